"""The simulated PBX as others see it: zeep's own synchronous client, the vendor's WSDL, plain HTTP."""

from dataclasses import replace
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from bridge.sim.auth import Account
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.session import Habits
from tests.bus import eventually
from tests.kit.http_client import HttpClient
from tests.running import FAST, STAFF


async def post(client: HttpClient, sim: SimPbx, body: str) -> requests.Response:
    """A SOAP request whose element has no namespace at all (docs/wire.md#requests)."""
    envelope = f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{body}</e:Body></e:Envelope>'
    return await client.post(sim.soap_url, envelope)


OPEN = (
    "<Initialize><user>{}</user><v>true</v><v501>true</v501><v700>1</v700><v800>true</v800>"
    "<vx1000>true</vx1000></Initialize>"
)
OLD = "<Initialize><user>API</user><v>true</v></Initialize>"
DIGEST = HTTPDigestAuth("admin", "secret")


async def test_authentication() -> None:
    """Digest by default, basic where it is allowed, 401 before anything is read."""
    for mode, auth, status in (
        ("digest", DIGEST, 200),
        ("digest", HTTPDigestAuth("admin", "wrong"), 401),
        ("digest", HTTPBasicAuth("admin", "secret"), 401),
        ("both", HTTPBasicAuth("admin", "secret"), 200),
        ("basic", HTTPBasicAuth("admin", "wrong"), 401),
        ("none", None, 200),
    ):
        async with (
            SimPbx(STAFF, replace(FAST, account=Account("admin", "secret", mode))) as sim,
            HttpClient(auth) as client,
        ):
            assert (await post(client, sim, "<Version/>")).status_code == status
            assert (await client.get(f"{sim.url}/pbx10_00.wsdl")).status_code == 200
            assert (await client.get(f"{sim.url}/x")).status_code == 404


async def test_scope_and_refusals() -> None:
    """Members of the groups in which the user is active; alone without one; 0 for nobody or old dialects."""
    hidden = SimUser("Hidden", groups=(("all", False),), hidden=True)
    quick = replace(FAST, habits=Habits(hold_s=0.05))
    async with (
        SimPbx((*STAFF, hidden), quick) as sim,
        HttpClient(DIGEST) as client,
    ):
        assert ">0</key>" in (await post(client, sim, OPEN.format("Nobody"))).text
        assert ">0</key>" in (await post(client, sim, OLD)).text
        assert (await post(client, sim, "<Fly/>")).status_code == 500
        assert (await post(client, sim, "<Poll><session>9</session></Poll>")).status_code == 500
        assert (await client.post(sim.soap_url, "<x")).status_code == 500
        assert (await client.post(sim.soap_url, "<!DOCTYPE a><a/>")).status_code == 500
        for user, count in (("API", 5), ("Bert O'Neil", 1)):
            await post(client, sim, OPEN.format(user))
            session = sim.sessions.get(len(sim.requests("Initialize")) - 2)
            assert session is not None
            names = [news.user.cn for news in (await session.poll())[0] + (await session.poll())[0]]
            assert len([name for name in names if name]) == count


async def test_a_session_dies_with_its_last_connection() -> None:
    """And takes the call it placed a moment ago with it (docs/wire.md#session, docs/wire.md#call-control)."""
    options = SimOptions(session_linger_s=0.05, habits=Habits(hold_s=0.05), account=Account("", "", "none"))
    async with SimPbx(STAFF, options) as sim:
        async with HttpClient() as client:
            await post(client, sim, OPEN.format("API"))
            body = "<UserInitialize><session>1</session><user>Anna Müller</user></UserInitialize>"
            await post(client, sim, body)
            await post(client, sim, "<UserCall><user>2</user><e164>0123</e164></UserCall>")
            empty = [(await post(client, sim, "<Poll><session>1</session></Poll>")).text for _ in range(3)]
            assert "UserInfo[0]" in empty[-1]
            assert len(sim.exchange.legs) == 1
        await eventually(lambda: len(sim.sessions) == 0, "the session is gone")
        assert sim.exchange.legs == {}


async def test_a_crash_refuses_and_comes_back_on_the_same_port(pbx: SimPbx) -> None:
    """Sessions and calls are gone."""
    pbx.ring("Anna Müller", "0123")
    async with HttpClient(DIGEST) as client:
        await post(client, pbx, OPEN.format("API"))
        url = pbx.url
        await pbx.crash()
        with pytest.raises(requests.ConnectionError):
            await post(client, pbx, "<Version/>")
        await pbx.start_again()
        assert pbx.url == url
        assert (await post(client, pbx, "<Version/>")).status_code == 200
    assert (len(pbx.sessions), pbx.exchange.legs) == (0, {})


async def test_calls_have_all_their_forms(pbx: SimPbx) -> None:
    """Divert, pick up, park, transfer and forking leave the right legs."""
    heard: list[tuple[int, str]] = []

    class Ear:
        """Hears legs; the names of arguments are the listener's."""

        def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
            """Users are not of interest."""

        def leg_changed(self, leg: Any, message: str, *, xfer: bool | None) -> None:
            """A leg."""
            heard.append((leg.word, message))

        def wishes(self, guid: str) -> frozenset[str]:
            """None."""
            return frozenset()

    pbx.exchange.listeners.append(Ear())
    pbx.ring("Anna Müller", "0123").divert("Anna Müller", "Bert O'Neil")
    assert {number.type for leg in pbx.exchange.legs.values() for number in leg.numbers} >= {
        "leg2",
        "leg2orig",
    }
    picked = pbx.ring("Anna Müller", "0124")
    picked.pick_up("Bert O'Neil", "Anna Müller")
    picked.park("Bert O'Neil", "Carla & Co")
    first, second = pbx.dial("Anna Müller", "22"), pbx.dial("Anna Müller", "0125")
    first.answer()
    second.answer()
    first.hold("Anna Müller")
    first.transfer("Anna Müller", second)

    assert (133, "x-conn") in heard
    assert (261, "update") in heard
    assert any(message == "r-ct" for _, message in heard)
    assert all(leg.guid != pbx.exchange.users["Anna Müller"].id for leg in pbx.exchange.legs.values())
