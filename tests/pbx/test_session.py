"""What a session decides by itself, and what it still does when it is over."""

import asyncio
from dataclasses import replace

import pytest

from bridge.core.backend import at_any_time
from bridge.core.commands.callee import Callee
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.model import User
from bridge.core.records import Batch, UserRecord
from bridge.errors import CommandError, SessionLost
from bridge.pbx.client import Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.session import DOUBT_LONGEST_S, Session, SessionSettings, doubt_s, session
from bridge.pbx.wire import SLICE
from bridge.sim.faults import Fault
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from bridge.sim.session import Habits
from tests.bus import eventually
from tests.pbx.attempt import SOAP, Witness
from tests.running import FAST


def test_a_pbx_that_answers_polls_with_nothing_for_days() -> None:
    """The pauses grow to their limit and stay there, however often: never an error of arithmetic."""
    pauses = [doubt_s(doubts) for doubts in range(1, 3000)]

    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[1] < DOUBT_LONGEST_S == pauses[-1]


async def test_a_session_that_broke_places_no_call(pbx: SimPbx) -> None:
    """It is about to be ended, and would take the call with it; the requester may try again."""
    pbx.faults.add(Fault("fault", "Poll"))
    record = UserRecord("g", "Anna M\u00fcller")
    wanted = PlaceCall(User(record, since_ms=0, changed_ms=0), Callee("08001234"))
    client = Client(SOAP, Endpoint(pbx.soap_url, "admin", "secret"), poll_s=5, request_s=5)
    async with client, session(client, SessionSettings("API")) as opened:
        with pytest.raises(SessionLost):
            await opened.serve(Witness(opened))
        with pytest.raises(CommandError) as refusal:
            await opened.perform(wanted, command_id=None, in_time=at_any_time)

    assert (refusal.value.code, refusal.value.retryable) == ("pbx_offline", True)
    assert not pbx.requests("UserCall")


class Slow(Witness):
    """Hears a session, and takes its time to keep what it heard."""

    def __init__(self, opened: Session) -> None:
        super().__init__(opened)
        self.waits, self.let = asyncio.Event(), asyncio.Event()

    def reported(self, batch: Batch) -> None:
        """Go on when the list is complete."""

    async def kept(self) -> None:
        """Wait until a test lets it."""
        self.waits.set()
        await self.let.wait()


async def test_a_poll_acknowledges_what_the_last_one_brought(pbx: SimPbx) -> None:
    """So it is sent when that is kept: after a crash nobody would report it again."""
    client = Client(SOAP, Endpoint(pbx.soap_url, "admin", "secret"), poll_s=5, request_s=5)
    async with client, session(client, SessionSettings("API")) as opened:
        events = Slow(opened)
        serving = asyncio.create_task(opened.serve(events))
        async with asyncio.timeout(5):
            await events.waits.wait()
        await client.version()
        assert len(pbx.requests("Poll")) == 1
        events.let.set()
        await eventually(lambda: len(pbx.requests("Poll")) > 1, "the PBX is asked for more")
        opened.resync()
        with pytest.raises(SessionLost):
            await serving


class Diary(Witness):
    """Notes how many users each slice had, and when it was asked to keep them."""

    def __init__(self, opened: Session) -> None:
        super().__init__(opened)
        self.told: list[int | str] = []

    def reported(self, batch: Batch) -> None:
        """Note a slice."""
        self.told.append(len(batch.users))
        super().reported(batch)

    async def kept(self) -> None:
        """Note that it was asked."""
        self.told.append("kept")


@pytest.mark.parametrize("held_s", [0.0, 60.0])
async def test_a_large_reply_waits_for_the_broker_between_its_slices(
    monkeypatch: pytest.MonkeyPatch, held_s: float
) -> None:
    """Not for ever: the PBX waits for the next Poll, and then the rest is told at once."""
    monkeypatch.setattr("bridge.pbx.session.HELD_S", held_s)
    seen = [SimUser(f"User {number}", groups=(("all", False),)) for number in range(SLICE * 2 + 4)]
    async with SimPbx(
        [SimUser("API", groups=(("all", True),)), *seen], replace(FAST, habits=Habits(batch=500))
    ) as pbx:
        client = Client(SOAP, Endpoint(pbx.soap_url, "admin", "secret"), poll_s=5, request_s=5)
        async with client, session(client, SessionSettings("API")) as opened:
            diary = Diary(opened)
            with pytest.raises(SessionLost, match="a new session"):
                await opened.serve(diary)

    slices: list[int | str] = [SLICE, SLICE, 5]
    between = [each for size in slices for each in (size, "kept")][:-1]
    assert diary.told[: len(between if held_s else slices)] == (between if held_s else slices)
