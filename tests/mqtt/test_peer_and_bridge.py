"""The whole bridge between a simulated PBX and a broker with bad habits."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"
EVENT = "innovaphone/hq/user/anna/event"
API = STAFF[0]
WINDOW = 50
EVERYBODY = (("all", False),)
CROWD = (API, *(SimUser(f"User {number}", f"u{number}", groups=EVERYBODY) for number in range(2 * WINDOW)))
LONG = "x" * 1000
KEEPALIVE_S = 5


@asynccontextmanager
async def running(peer: Peer, pbx: SimPbx, **mqtt: Any) -> AsyncIterator[None]:
    """The bridge at a peer."""
    settings = configuration(peer.port, pbx_section(pbx))
    settings["mqtt"] |= mqtt
    async with bridge(settings):
        yield


def states(users: tuple[SimUser, ...]) -> set[str]:
    """The topics of these users."""
    return {f"innovaphone/hq/user/{user.h323.replace('/', '%2F')}/state" for user in users}


async def told(peer: Peer, users: tuple[SimUser, ...], since: int = 0) -> None:
    """Wait until the peer has all states after so many publishes, the PBX is online and all calls known."""

    def complete() -> bool:
        latest = {each.topic: each.payload for each in peer.publishes[since:]}
        settled = b'"settled":true' in latest.get(INFO, b"")
        return settled and latest.get(STATE) == b"online" and states(users) <= latest.keys()

    await eventually(complete, "the whole tree is told")


@pytest.mark.parametrize(
    ("protocol", "announced", "window"),
    [("5", 1, 1), ("5", 20, 20), ("5", 60, WINDOW), ("5", None, WINDOW), ("3.1.1", None, WINDOW)],
)
async def test_the_window(protocol: str, announced: int | None, window: int) -> None:
    """Without PUBACK no more is under way than the broker receives at once, or fifty; then all the rest."""
    async with Peer(Habits(receive_maximum=announced)) as peer, SimPbx(CROWD, FAST) as pbx:
        async with running(peer, pbx, protocol=protocol):
            await told(peer, CROWD)
            # What is in flight when a broker ends a session is suspected, and then travels alone.
            await eventually(lambda: peer.unacknowledged == 0, "all is acknowledged")
            before = len(peer.publishes)
            peer.habits = Habits(receive_maximum=announced, puback_s=None)
            peer.break_packet()
            await eventually(lambda: len(peer.connects) == 2, "the bridge comes again")
            await eventually(lambda: peer.unacknowledged == window, "the window is full")
            peer.habits = Habits(receive_maximum=announced)
            await told(peer, CROWD, since=before)
        assert peer.most_unacknowledged == window


@pytest.mark.slow
async def test_a_broker_that_acknowledges_nothing_any_more(pbx: SimPbx) -> None:
    """It is left after the time of the keepalive; what it did not acknowledge comes again."""
    async with Peer() as peer, running(peer, pbx, keepalive_s=KEEPALIVE_S):
        await told(peer, STAFF)
        peer.habits = Habits(puback_s=None)
        pbx.ring("Anna Müller", "0123")
        await eventually(lambda: peer.payloads(EVENT), "the call is told")
        assert b'"queued":true' not in peer.payloads(EVENT)[0]
        await eventually(lambda: len(peer.connects) == 2, "the bridge left", within=PATIENCE_S + KEEPALIVE_S)
        peer.habits = Habits()
        await eventually(lambda: b'"queued":true' in peer.payloads(EVENT)[-1], "the call is told again, late")


@pytest.mark.parametrize("announced", [1, 3])
async def test_the_mark_of_the_reading_back_takes_no_place(pbx: SimPbx, announced: int) -> None:
    """The broker acknowledges nothing from the start: no more is under way than it receives at once."""
    async with Peer(Habits(receive_maximum=announced, puback_s=None)) as peer, running(peer, pbx):
        await eventually(lambda: peer.most_unacknowledged >= announced, "the window is full")
        pbx.ring("Anna Müller", "0123")
        await eventually(lambda: pbx.sessions.up_to_date, "there is more to tell")
    assert peer.most_unacknowledged == announced


@pytest.mark.parametrize(
    ("habits", "qos", "retain"),
    [
        (Habits(maximum_qos=0), 0, True),
        (Habits(maximum_qos=1), 1, True),
        (Habits(retain_available=False), 1, False),
        (Habits(maximum_qos=0, retain_available=False, receive_maximum=1), 0, False),
    ],
)
async def test_what_the_broker_can_do(pbx: SimPbx, habits: Habits, qos: int, *, retain: bool) -> None:
    """Every publish is within it, and everything is told, the goodbye included."""
    async with Peer(habits) as peer:
        async with running(peer, pbx):
            await told(peer, STAFF)
            pbx.ring("Anna Müller", "0123").hang_up()
            await eventually(lambda: b'"missed"' in b"".join(peer.payloads(EVENT)), "the call is told")
        await eventually(lambda: peer.payloads(STATE)[-1] == b"offline", "the goodbye is told")
    first, *told_then = [each for each in peer.publishes if not each.topic.endswith("dot.check")]
    lasting = [each for each in told_then if not each.topic.endswith("/event")]
    assert (first.topic, first.qos) == (STATE, 0), "the mark that ends the reading back"
    assert {each.qos for each in told_then} == {qos}
    assert {each.retain for each in lasting} == {retain}


async def test_a_user_too_large_for_the_broker() -> None:
    """That one is left out; all others are told."""
    long = SimUser(LONG, "long", groups=EVERYBODY)
    async with Peer(Habits(maximum_packet_bytes=1000)) as peer, SimPbx((*STAFF, long), FAST) as pbx:
        async with running(peer, pbx):
            await told(peer, STAFF)
        await eventually(lambda: peer.goodbyes == 1, "all is said")
    assert not states((long,)) & {each.topic for each in peer.publishes}
    assert 0 < peer.largest_packet <= 1000


async def test_a_broker_that_is_busy_at_first(pbx: SimPbx) -> None:
    """It is tried again until it lets us in; before that it hears nothing of us."""
    async with Peer(Habits(connack_code=0x88)) as peer, running(peer, pbx):
        await eventually(lambda: len(peer.connects) == 2, "the bridge tries again")
        assert not peer.publishes
        peer.habits = Habits()
        await told(peer, STAFF)


async def test_a_broker_that_is_over_its_quota(pbx: SimPbx) -> None:
    """What it cannot take for the moment comes again, in order, and is not counted as dropped."""
    async with Peer() as peer, running(peer, pbx):
        await told(peer, STAFF)
        before = len(peer.publishes)
        peer.habits = Habits(puback_code=0x97)
        with structlog.testing.capture_logs() as log:
            pbx.ring("Anna M\u00fcller", "0123")
            await eventually(lambda: len(peer.publishes) > before, "the bridge tries")
            await eventually(lambda: log, "the bridge says so")
        peer.habits = Habits()
        taken = len(peer.publishes)
        await eventually(lambda: "ringing" in types(peer, taken), "the events come again")
        state = next(
            each for each in peer.publishes[taken:] if each.topic == "innovaphone/hq/user/anna/state"
        )
        assert b'"ringing"' in state.payload
    assert types(peer, taken)[:2] == ["incoming", "ringing"]
    assert [(each["event"], each["log_level"]) for each in log][:1] == [("publish held back", "warning")]
    assert len(peer.connects) == 1


def types(peer: Peer, since: int) -> list[str]:
    """The types of Anna's events after so many publishes."""
    return [json.loads(each.payload)["event_type"] for each in peer.publishes[since:] if each.topic == EVENT]


async def test_a_broker_that_refuses_our_commands(pbx: SimPbx) -> None:
    """No state is told while nobody could command: a human must give the right."""
    async with Peer() as peer, running(peer, pbx):
        await told(peer, STAFF)
        before = len(peer.publishes)
        peer.habits = Habits(suback_codes=(0x87,))
        peer.break_packet()
        await eventually(lambda: peer.cuts == 2, "the bridge went away; the will is needed")
        assert (len(peer.connects), len(peer.publishes)) == (2, before)


async def test_another_client_takes_over(pbx: SimPbx) -> None:
    """Nobody proves to be another bridge: we say what happened, and come back soon."""
    async with Peer() as peer, running(peer, pbx):
        await told(peer, STAFF)
        with structlog.testing.capture_logs() as log:
            peer.disconnect(0x8E)
            await eventually(lambda: log, "the bridge noticed it")
        await eventually(lambda: len(peer.connects) > 1, "it is back")
    down = log[0]
    assert (down["event"], down["log_level"]) == ("mqtt down", "warning")
    assert "another client uses our client id" in down["reason"]


@pytest.mark.parametrize("garbage", [None, b"\x00\x00", b"\x30\x06\x00\x02\xff\xfe\x00x"])
async def test_a_session_that_breaks(pbx: SimPbx, garbage: bytes | None) -> None:
    """In the middle of a packet, or by bytes that are none: the bridge comes again and tells everything."""
    async with Peer() as peer, running(peer, pbx):
        await told(peer, STAFF)
        before = len(peer.publishes)
        if garbage is None:
            peer.break_packet()
        else:
            peer.garbage(garbage)
        await told(peer, STAFF, since=before)
        assert [each.level for each in peer.connects] == [5, 5]
