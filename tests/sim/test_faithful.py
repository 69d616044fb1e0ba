"""The simulated PBX as others see it: zeep's own synchronous client, the vendor's WSDL, plain HTTP."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth
from zeep import Client, Settings
from zeep.transports import Transport

from bridge.sim.auth import Account
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.session import Habits
from tests.bus import eventually
from tests.kit.http_client import HttpClient
from tests.running import FAST, STAFF

ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
STUB = b"""<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:t="http://schemas.xmlsoap.org/soap/encoding/"
 targetNamespace="http://schemas.xmlsoap.org/soap/encoding/"><attribute name="arrayType" type="string"/>
 <complexType name="Array"><sequence>
 <any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></sequence>
 <attribute ref="t:arrayType"/></complexType></schema>"""
FLAGS = dict.fromkeys(("v", "v501", "v700", "v800", "vx1000"), True)


class Offline(Transport):
    """The encoding schema from here, nothing from the network."""

    def load(self, url: str) -> bytes:
        """Content of a file, or our stub."""
        if url.startswith(ENCODING):
            return STUB
        content: bytes = super().load(url)
        return content


def vendors_wsdl() -> str:
    """The vendor's WSDL, where it is at hand."""
    beside = Path(__file__).parents[3] / "shared" / "vendor-wsdl" / "pbx10_00.wsdl"
    path = Path(os.environ.get("INNOVAPHONE_WSDL", beside))
    if not path.is_file():
        pytest.skip("the vendor's pbx10_00.wsdl is not at hand: name it by INNOVAPHONE_WSDL")
    return str(path)


async def as_zeep(sim: SimPbx, talk: Callable[[Any], Any]) -> Any:
    """Talk to the PBX by zeep's plain synchronous client, in a thread."""
    path = vendors_wsdl()

    def work() -> Any:
        with requests.Session() as session:
            session.auth = HTTPDigestAuth("admin", "secret")
            options = Settings(strict=False, xsd_ignore_sequence_order=True)
            client = Client(path, transport=Offline(session=session), settings=options)
            return talk(client.create_service("{http://innovaphone.com/pbx}pbxBinding", sim.soap_url))

    return await asyncio.to_thread(work)


def listed(array: Any) -> list[Any]:
    """Items of an array, however zeep shows it."""
    return list(getattr(array, "item", array) or [])


@pytest.mark.vendor
async def test_zeep_takes_it_for_a_pbx(pbx: SimPbx) -> None:
    """Version, session, first list to its end, a followed user, a call placed and cleared, presence, end."""

    def talk(service: Any) -> Any:
        assert service.Version().FirmwareVersion.strip() == "14r2 simulated"
        opened = service.Initialize(user="API", appl="test", **FLAGS)
        session, key = opened["return"], opened["key"]
        names: list[str | None] = []
        while None not in names:
            names += [user.cn for user in listed(service.Poll(session).user)]
        handle = service.UserInitialize(session, "Anna Müller", xfer=False, disc=False, hw="")
        leg = service.UserCall(handle, "", "0123", "", 0, [], 0, "")
        calls: list[Any] = []
        while not any(call.state == 5 for call in calls):
            calls += listed(service.Poll(session).call)
        service.UserClear(leg, 26, [])
        while calls[-1].active:
            calls += listed(service.Poll(session).call)
        presence = {"activity": "away", "note": "", "status": "open"}
        set_presence = service.SetPresence(presence, im=False, contact="tel:", guid="*", h323="anna")
        echo = service.Echo(session, key), service.Echo(session, key + 1)
        found = [user.cn for user in listed(service.FindUser(*["1"] * 4, "B", "", "", 2, 0, nohide=True))]
        service.End(session)
        return names, [(call.state, call.msg) for call in calls], set_presence, echo, found

    names, calls, set_presence, echo, found = await as_zeep(pbx, talk)

    assert names == ["API", "Anna Müller", "Bert O'Neil", "Carla & Co", "Night", None]
    assert calls[:4] == [(1, "x-setup"), (3, "r-call-proc"), (4, "r-alert"), (5, "r-conn")]
    assert calls[-1][1] == "del"
    assert [message for _, message in calls].count("del") == 1
    assert (set_presence, echo) == (1, (1, 0))
    assert found == ["Bert O'Neil", "Carla & Co"]
    assert len(pbx.sessions) == 0


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
