"""One message that makes the broker end every session: set aside soundly, named, and the rest goes on."""

import json
from collections import Counter
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.blame import SET_ASIDE_S
from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox
from bridge.core.suspects import EVENT_TIMES, STATE_TIMES, Suspects
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

EVERYBODY = (("all", False),)
LONG = SimUser("x" * 1500, "long", groups=EVERYBODY)
LONGER = SimUser("y" * 2500, "longer", groups=EVERYBODY)
CROWD = (
    *STAFF,
    LONG,
    *(SimUser(f"User {number}", f"u{number}", groups=EVERYBODY) for number in range(60)),
    LONGER,
)
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"
PATIENCE_S = 30.0
FIRST = Message("t/first", "x", retain=True)
"""As in the bridge, whose `state` goes first in each session."""


def state(user: str) -> str:
    """The state topic of a user."""
    return f"innovaphone/hq/user/{user}/state"


def sessions(peer: Peer) -> int:
    """How many there were; to look for another bridge takes none."""
    return sum("probe" not in each.client_id for each in peer.connects)


@pytest.mark.broker
async def test_states_too_large_for_a_mosquitto(tmp_path: Path) -> None:
    """MQTT 3.1.1 tells no limit: the broker ends the session. All others are told, the large ones named."""
    async with (
        Mosquitto(tmp_path, "max_packet_size 1400") as broker,
        Observer(broker.port) as bus,
        SimPbx(CROWD, FAST) as pbx,
    ):
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                await eventually(
                    lambda: bus.now(state("u59")) and bus.now(STATE) == "online",
                    "the rest is told",
                    PATIENCE_S,
                )
                pbx.ring("Anna Müller", "0123").hang_up()
                await eventually(lambda: "missed" in bus.types("anna"), "events come", PATIENCE_S)
                known = set(bus.tree)
    aside = [each["topic"] for each in log if each["event"] == "message set aside"]
    assert aside in ([state("long")], [state("longer"), state("long")], [state("longer")])
    assert {state(user.h323.replace("/", "%2F")) for user in CROWD} - known == {
        state("long"),
        state("longer"),
    }


@pytest.mark.parametrize("topics", [{state("anna")}, {state("anna"), state("bert")}])
async def test_topics_at_which_the_broker_closes(pbx: SimPbx, topics: set[str]) -> None:
    """A right that is missing, with a broker that says so by closing: each topic is set aside by itself."""
    async with Peer(Habits(closes_at=frozenset(topics))) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                await eventually(
                    lambda: (
                        peer.payloads(STATE)[-1:] == [b"online"]
                        and b'"settled":true' in peer.payloads(INFO)[-1]
                        and peer.payloads(state("night"))
                    ),
                    "the rest is told",
                    PATIENCE_S,
                )
    assert {each["topic"] for each in log if each["event"] == "message set aside"} <= topics
    assert set(peer.poisoned) <= topics
    assert max(peer.poisoned.count(topic) for topic in topics) <= 1 + STATE_TIMES


async def test_a_forbidden_topic_is_no_limit_of_size(pbx: SimPbx) -> None:
    """It comes before anything larger was taken, but it is small: everything that is larger goes on."""
    async with Peer(Habits(closes_at=frozenset({INFO}))) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        async with bridge(settings):
            await eventually(lambda: peer.payloads(state("anna")), "users are told", PATIENCE_S)
            pbx.ring("Anna Müller", "0123").hang_up()
            await eventually(
                lambda: b'"missed"' in b"".join(peer.payloads("innovaphone/hq/user/anna/event")),
                "events come",
                PATIENCE_S,
            )


@pytest.mark.parametrize(
    "closes", [Habits(closes_at=frozenset({state("long")})), Habits(closes_above_bytes=1400)]
)
async def test_when_the_hour_is_over(closes: Habits, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set aside is told again in the same session, though nothing has changed."""
    monkeypatch.setattr("bridge.core.packet_limit.SET_ASIDE_S", 8.0)
    monkeypatch.setattr("bridge.core.blame.SET_ASIDE_S", 8.0)
    async with Peer(closes) as peer, SimPbx((*STAFF, LONG), FAST) as pbx:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                await eventually(
                    lambda: any(each["event"] == "message set aside" for each in log), "set aside", PATIENCE_S
                )
                peer.habits, before = Habits(), sessions(peer)
                await eventually(lambda: sessions(peer) > before, "a new session", PATIENCE_S)
                assert not peer.payloads(state("long"))
                await eventually(lambda: peer.payloads(state("long")), "it is told again", PATIENCE_S)
                assert sessions(peer) == before + 1


async def test_an_event_that_ends_sessions(pbx: SimPbx) -> None:
    """It is dropped and counted, and others follow."""
    async with Peer() as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        async with bridge(settings):
            await eventually(lambda: b'"settled":true' in b"".join(peer.payloads(INFO)), "all is known")
            peer.habits = Habits(closes_at=frozenset({"innovaphone/hq/user/anna/event"}))
            pbx.ring("Anna Müller", "0123").hang_up()
            await eventually(lambda: len(peer.poisoned) >= 1 + EVENT_TIMES, "the event was tried", PATIENCE_S)
            pbx.ring("Bert O'Neil", "0123").hang_up()
            await eventually(
                lambda: b'"missed"' in b"".join(peer.payloads("innovaphone/hq/user/bert/event")),
                "others are told",
                PATIENCE_S,
            )


async def test_a_reply_is_not_repeated(pbx: SimPbx) -> None:
    """A reply that ends the session, whoever chose its topic, is sent once."""
    topic = "innovaphone/hq/response/ping"
    async with Peer(Habits(closes_at=frozenset({topic}))) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        async with bridge(settings):
            await eventually(lambda: peer.payloads(STATE)[-1:] == [b"online"], "it is online")
            peer.send_publish("innovaphone/hq/command/ping", json.dumps({"id": "1"}).encode())
            await eventually(lambda: peer.poisoned, "the reply was sent")
            before = len(peer.publishes)
            await eventually(
                lambda: b"online" in [each.payload for each in peer.publishes[before:]], "all is told again"
            )
    assert peer.poisoned == [topic]


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True),
    st.integers(0, 19),
    st.integers(1, 10),
)
def test_the_culprit_is_found_whatever_was_beside_it(keys: list[int], poison: int, window: int) -> None:
    """A broker that dies at one message: only that one is blamed, and everything else arrives."""
    culprit = f"t/{keys[poison % len(keys)]}"
    outbox, arrived, blamed = Outbox(Limits()), set[str](), list[str]()
    tree = [Message(f"t/{key}", "x", retain=True) for key in keys]
    for _ in range(2 + STATE_TIMES):
        outbox.refresh([FIRST, *tree], 0.0)
        if not _session(outbox, culprit, window, arrived):
            break
        ended = outbox.disconnected(0.0, by_broker=True)
        if ended is not None:
            blamed.append(ended.message.topic)
            outbox.set_aside(ended.message.topic, 0.0)
    assert blamed == [culprit]
    assert outbox.idle
    assert arrived == {FIRST.topic, *(f"t/{key}" for key in keys)} - {culprit}


def _session(outbox: Outbox, culprit: str, window: int, arrived: set[str]) -> bool:
    """A session; whether it ended by the culprit. The broker takes what came before, and answers late."""
    while True:
        sent = []
        while outbox.in_flight < window and (item := outbox.take(0.0)) is not None:
            sent.append(item)
        if not sent:
            return False
        for delivery_id, message in sent:
            if message.topic == culprit:
                return True
            arrived.add(message.topic)
            outbox.done(delivery_id)


def test_chance_blames_nobody() -> None:
    """A cut beside a message that is taken afterwards, and cuts with nothing or only replies on their way."""
    suspects = Suspects()

    def ended(*keys: str | None, proven: bool = True) -> object:
        return suspects.session_ended(keys, STATE_TIMES, proven=proven)

    assert ended() is None
    assert ended(None) is None
    assert ended("a") is None
    suspects.clear("a")
    assert ended("a") is None
    assert ended("a", "b") is None
    assert ended("b") is None
    assert ended("b", None) is None
    assert [ended("b", proven=False) for _ in range(5)] == [None] * 5
    suspects.clear(None)
    assert [ended("a"), ended("a")] == [None, "a"]
    assert "a" not in suspects
    assert "b" in suspects


def test_a_network_that_breaks_three_times_loses_no_event() -> None:
    """Each time beside the same event, by chance the only one on its way: it arrives all the same."""
    outbox = Outbox(Limits())
    outbox.put_event(Message("t/a", {"n": 1}), 0.0)
    outbox.put_event(Message("t/a", {"n": 2}), 0.0)
    for _ in range(3):
        outbox.refresh([FIRST], 0.0)
        state = outbox.take(0.0)
        assert state is not None
        outbox.done(state[0])
        assert outbox.take(0.0) is not None
        assert outbox.disconnected(0.0, by_broker=True) is None
    arrived = []
    while (taken := outbox.take(0.0)) is not None:
        arrived.append(taken[1].payload)
        outbox.done(taken[0])
    assert [each["n"] for each in arrived if isinstance(each, dict)] == [1, 2]
    assert outbox.dropped == Counter()


def test_a_network_that_breaks_at_once_silences_nothing() -> None:
    """What goes first in each session is on its way alone each time; that says nothing of it."""
    outbox = Outbox(Limits())
    for _ in range(10):
        outbox.refresh([FIRST], 0.0)
        assert outbox.take(0.0) is not None
        assert outbox.disconnected(0.0, by_broker=True) is None
    assert outbox.dropped == Counter()


def test_a_topic_rests_for_an_hour() -> None:
    """Neither states nor events go there meanwhile; then they do."""
    outbox = Outbox(Limits(event_age_s=10 * SET_ASIDE_S))
    outbox.set_aside("t/a", 0.0)
    outbox.put_state(Message("t/a", "x", retain=True), 1.0)
    outbox.put_event(Message("t/a", {}), 1.0)
    outbox.put_event(Message("t/b", {}), 1.0)
    taken = outbox.take(1.0)
    assert taken is not None
    assert (taken[1].topic, outbox.dropped["poison"], outbox.aside(2.0)) == ("t/b", 1, ("t/a",))
    outbox.done(taken[0])
    assert outbox.aside(SET_ASIDE_S) == ()
    outbox.put_state(Message("t/a", "x", retain=True), SET_ASIDE_S)
    assert outbox.take(SET_ASIDE_S) is not None


def test_what_was_answered_ends_no_session() -> None:
    """A broker that cannot take a message for the moment, and then restarts, is not ended by it."""
    outbox = Outbox(Limits())
    outbox.put_event(Message("t/a", {}), 0.0)
    for _ in range(1 + EVENT_TIMES):
        outbox.refresh((), 0.0)
        taken = outbox.take(0.0)
        assert taken is not None
        outbox.again(taken[0])
        assert outbox.disconnected(0.0, by_broker=True) is None
    assert (len(outbox), outbox.dropped) == (1, Counter())
