"""Habits of a PBX that were once wrong here: renames, idle sessions, power, moves, the first list."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import requests

from bridge.sim.auth import Account
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.session import Habits
from tests.bus import eventually
from tests.kit.http_client import HttpClient
from tests.running import STAFF

OPEN = SimOptions(
    account=Account("", "", "none"), habits=Habits(hold_s=0.05), session_linger_s=0.05, call_guard_s=0.0
)
FLAGS = "".join(f"<{name}>true</{name}>" for name in ("v", "v501", "v700", "v800", "vx1000"))
INITIALIZE = f"<Initialize><user>API</user>{FLAGS}</Initialize>"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ANNA, BERT, CARLA = "Anna Müller", "Bert O'Neil", "Carla & Co"


class Talk:
    """A client that sends bare operations."""

    def __init__(self, client: HttpClient, sim: SimPbx) -> None:
        self._client = client
        self._sim = sim

    async def __call__(self, body: str) -> requests.Response:
        """Send one operation; the answer."""
        envelope = f'<e:Envelope xmlns:e="{SOAP}"><e:Body>{body}</e:Body></e:Envelope>'
        return await self._client.post(self._sim.soap_url, envelope)


@asynccontextmanager
async def talk(sim: SimPbx) -> AsyncIterator[Talk]:
    """A client of a PBX."""
    async with HttpClient() as client:
        yield Talk(client, sim)


@pytest.fixture
async def sim() -> AsyncIterator[SimPbx]:
    """A PBX that lets everybody in and holds a Poll for a moment only."""
    async with SimPbx(STAFF, OPEN) as running:
        yield running


def number_of(sim: SimPbx, cn: str) -> int:
    """The number of a user's leg."""
    guid = sim.exchange.users[cn].id
    return next(leg.number for leg in sim.exchange.legs.values() if leg.guid == guid)


async def test_a_rename_keeps_the_guid(sim: SimPbx) -> None:
    """State is kept by guid (docs/wire.md#users): the long name may change."""
    guid = sim.exchange.users[ANNA].id
    sim.change_user(ANNA, cn="Anna Huber")

    assert sim.exchange.users["Anna Huber"].id == guid
    assert ANNA not in sim.exchange.users


async def test_a_session_that_was_only_opened_dies_too(sim: SimPbx) -> None:
    """Its one connection is the one it was opened over (docs/wire.md#session)."""
    async with talk(sim) as say:
        await say(INITIALIZE)
        assert len(sim.sessions) == 1
    await eventually(lambda: len(sim.sessions) == 0, "the session is gone")


async def test_requests_may_come_at_once(sim: SimPbx) -> None:
    """Each is answered, in order, without more bytes from the client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.url.rpartition(":")[2]))
    writer.write(b"GET /pbx10_00.wsdl HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    try:
        async with asyncio.timeout(30):
            for _ in range(3):
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_comments_in_a_request_do_no_harm(sim: SimPbx) -> None:
    """Any toolkit may write them."""
    async with talk(sim) as say:
        for body in ("<!-- c --><Version/>", "<Echo><!-- c --><session>1</session></Echo>"):
            assert (await say(body)).status_code == 200


async def test_transfers_that_make_no_sense_change_nothing(sim: SimPbx) -> None:
    """The same leg twice, legs of two users, one that is not there."""
    sim.ring(ANNA, "1").answer()
    sim.ring(BERT, "2").answer()
    anna, bert = number_of(sim, ANNA), number_of(sim, BERT)
    async with talk(sim) as say:
        for first, second in ((anna, anna), (anna, bert), (anna, 999)):
            await say(f"<UserTransfer><a>{first}</a><b>{second}</b></UserTransfer>")

    assert len(sim.exchange.legs) == 2


@pytest.mark.parametrize("to", [f"<cn>{BERT}</cn>", "<e164>0999</e164>"])
async def test_a_redirect_really_moves_the_call(sim: SimPbx, to: str) -> None:
    """To a user or outside; an unknown name answers false and changes nothing."""
    sim.ring(ANNA, "1")
    leg = number_of(sim, ANNA)
    async with talk(sim) as say:
        nowhere = await say(f"<UserRedirect><call>{leg}</call><cn>Nobody</cn></UserRedirect>")
        moved = await say(f"<UserRedirect><call>{leg}</call>{to}</UserRedirect>")

    assert (">false<" in nowhere.text, ">true<" in moved.text) == (True, True)
    assert sim.exchange.counts(sim.exchange.users[ANNA].id) == (0, 0)
    assert sim.exchange.counts(sim.exchange.users[BERT].id) == ((1, 1) if BERT in to else (0, 0))


async def test_park_and_pick_up(sim: SimPbx) -> None:
    """The parked leg waits in state 8; who picks it up talks."""
    sim.ring(ANNA, "1").answer()
    async with talk(sim) as say:
        await say(INITIALIZE)
        handles = [
            (await say(f"<UserInitialize><session>1</session><user>{cn}</user></UserInitialize>")).text
            for cn in (ANNA, BERT)
        ]
        await say(f"<UserPark><call>{number_of(sim, ANNA)}</call><position>-1</position></UserPark>")
        parked = number_of(sim, ANNA)
        assert sim.exchange.legs[parked].state == 8
        assert len(handles) == 2
        picked = await say(f"<UserPickup><user>3</user><call>{parked}</call></UserPickup>")

    assert ">0<" not in picked.text
    assert [leg.state for leg in sim.exchange.legs.values()] == [5]


async def test_power_off_ends_what_would_have_happened_by_itself(sim: SimPbx) -> None:
    """No call comes back after a reboot, whatever was to follow."""
    async with talk(sim) as say:
        await say(INITIALIZE)
        await say(f"<UserInitialize><session>1</session><user>{ANNA}</user></UserInitialize>")
        await say("<UserCall><user>2</user><e164>22</e164></UserCall>")
    assert len(sim.exchange.legs) == 1
    await sim.reboot()
    done = asyncio.Event()
    sim.exchange.later(3 * 0.05, done.set)
    await done.wait()

    assert (sim.exchange.legs, sim.exchange.calls, len(sim.sessions)) == ({}, [], 0)


@pytest.mark.parametrize("where", ["update_before_end", "update_after_end"])
async def test_the_end_of_the_list_may_stand_anywhere(where: str) -> None:
    """Updates come before it, or behind it in the same reply (docs/wire.md#poll)."""
    habits = replace(Habits(hold_s=0.05, batch=50), **{where: True})
    async with SimPbx(STAFF, replace(OPEN, habits=habits)) as sim, talk(sim) as say:
        await say(INITIALIZE)
        session = sim.sessions.get(1)
        assert session is not None
        ends = [news.end_of_list for news in (await session.poll())[0]]

    assert ends.count(True) == 1
    assert ends[-1] is (where == "update_before_end")
    assert len(ends) == len(STAFF) + 2


async def test_handles_open_with_wishes(sim: SimPbx) -> None:
    """An unknown device gives a handle that is silent (docs/wire.md#monitoring); a known one does not."""
    sim.change_user(BERT, devices=(("phone", "Desk"),))
    async with talk(sim) as say:
        await say(INITIALIZE)
        for device in ("typo", "phone"):
            who = f"<session>1</session><user>{BERT}</user><hw>{device}</hw>"
            assert ">0<" not in (await say(f"<UserInitialize>{who}</UserInitialize>")).text
        session = sim.sessions.get(1)
        assert session is not None
        await session.poll()
        sim.ring(BERT, "1")
        legs = (await session.poll())[1]

    assert {news.user_handle for news in legs} == {3}


async def test_users_come_and_go(sim: SimPbx) -> None:
    """No two of one name; calls of one that is deleted end."""
    sim.add_user(SimUser("New", groups=(("all", False),)))
    with pytest.raises(ValueError, match="already"):
        sim.add_user(SimUser("New"))
    sim.ring("New", "1")
    sim.remove_user("New")

    assert sim.exchange.legs == {}
    assert sim.exchange.users[CARLA].registered


async def test_two_pbxs_share_a_port() -> None:
    """A dynamic PBX has its own path on the same box (docs/wire.md#address)."""
    async with SimPbx(STAFF, OPEN) as box:
        branch = replace(OPEN, path="/PBX0-branch/user.soap")
        async with SimPbx(STAFF[:1], branch, beside=box) as other, talk(other) as say:
            assert other.url == box.url
            assert (await say("<Version/>")).status_code == 200
            with pytest.raises(ValueError, match="two PBXs"):
                await SimPbx(STAFF, branch, beside=box).__aenter__()
