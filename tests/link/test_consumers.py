"""Programs outside of our tree: they are told all again a moment after they have started."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.commands.permissions import Form, Grant, Permissions
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.outputs import OUTPUTS, home_assistant
from bridge.core.outputs.home_assistant.devices import Discovery, Mode
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.records import Batch, Group, UserRecord
from bridge.core.rules import Rule, Scope
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.link.consumers import READ_S, REST_S, SOON_S, SPREAD_S, Consumers
from bridge.link.mirror import Mirror
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from tests.bus import Mosquitto
from tests.core.builders import PEOPLE
from tests.kit.unpacked import unpacked

TOPICS = Topics("innovaphone", "hq")
STATUS = "homeassistant/status"
DISCOVERY = Discovery(Mode.DEVICE, DiscoveryTopics("homeassistant"), (Rule(),))


class Stage:
    """A mirror whose broker takes everything, and a timer that the test runs."""

    def __init__(self, discovery: Discovery = DISCOVERY) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.outbox = Outbox(Limits())
        self.mirror = Mirror(
            TOPICS,
            Scope(),
            self.outbox,
            epoch="e",
            clock=lambda: Instant(1_795_000_000_000, 1.0),
            outputs=(*OUTPUTS, home_assistant.output(discovery)),
        )
        self.retained: dict[str, object] = {}
        self.mirror.refresh()
        self.mirror.began(About())
        self.mirror.reported(Batch(users=PEOPLE, list_complete=True))
        self.sent()
        self.consumers = Consumers(
            self.mirror,
            later=lambda seconds, callback: self.timers.append((seconds, callback)),
            random=lambda: 0.5,
            limited=lambda *_, **__: None,
        )

    def sent(self) -> dict[str, object]:
        """What was sent since the last look, all of it acknowledged."""
        found: dict[str, object] = {}
        while (item := self.outbox.take(1.0)) is not None:
            self.outbox.done(item[0])
            message = unpacked(item[1])
            found[message.topic] = message.payload
            if message.retain:
                self.retained[message.topic] = message.payload
        return found

    @property
    def wanted(self) -> dict[str, object]:
        """What must be retained now, of discovery."""
        tree = {message.topic: message.payload for message in self.mirror.tree()}
        return {topic: payload for topic, payload in tree.items() if topic.startswith("homeassistant/")}


@pytest.fixture
def stage() -> Stage:
    """All is told."""
    return Stage()


def test_a_start_of_home_assistant_is_answered_after_a_moment(stage: Stage) -> None:
    """Once for each start, with its own topics alone, at a time that differs between bridges."""
    assert stage.consumers.hear(Incoming(STATUS, b"online"))
    assert stage.consumers.hear(Incoming(STATUS, b"online"))
    ((seconds, tell),) = stage.timers
    assert seconds == SOON_S + SPREAD_S / 2
    assert stage.sent() == {}
    tell()
    told = stage.sent()
    assert len(told) == len(PEOPLE) + 1
    assert all(topic.startswith("homeassistant/device/") for topic in told)
    assert None not in told.values()


def test_who_says_often_that_he_has_started_is_told_once_a_minute(stage: Stage) -> None:
    """What comes within the minute is answered once, at its end."""
    stage.consumers.hear(Incoming(STATUS, b"online"))
    stage.timers.pop()[1]()
    assert stage.sent()
    for _ in range(3):
        for _ in range(100):
            stage.consumers.hear(Incoming(STATUS, b"online"))
        assert stage.sent() == {}
        ((seconds, rested),) = stage.timers
        assert seconds == REST_S
        stage.timers.clear()
        rested()
        assert stage.sent()


def test_after_a_quiet_minute_a_start_is_answered_soon_again(stage: Stage) -> None:
    """Nobody started meanwhile: nothing is told."""
    stage.consumers.hear(Incoming(STATUS, b"online"))
    stage.timers.pop()[1]()
    stage.sent()
    stage.timers.pop()[1]()
    assert (stage.sent(), stage.timers) == ({}, [])
    stage.consumers.hear(Incoming(STATUS, b"online"))
    assert [seconds for seconds, _ in stage.timers] == [SOON_S + SPREAD_S / 2]


@pytest.mark.parametrize(
    "incoming",
    [Incoming(STATUS, b"offline"), Incoming(STATUS, b"online", retain=True), Incoming(STATUS, b"")],
)
def test_nothing_else_is_a_start(stage: Stage, incoming: Incoming) -> None:
    """A retained word is older than our session, which began with all of it."""
    assert stage.consumers.hear(incoming)
    assert stage.timers == []


def test_other_topics_are_for_others(stage: Stage) -> None:
    """What was left of users, for instance."""
    assert not stage.consumers.hear(Incoming("innovaphone/hq/user/anna/state", b"online"))


def test_what_was_left_goes_once_the_users_are_known(stage: Stage) -> None:
    """Not before: a user of the list may be the one that it is about. What two readings found goes."""
    left, more, wanted = (
        "homeassistant/device/innovaphone__hq__zoe/config",
        "homeassistant/device/innovaphone__hq__zac/config",
        "homeassistant/device/innovaphone__hq/config",
    )
    stage.mirror.began(About())
    stage.sent()
    stage.mirror.found_elsewhere({left, wanted})
    stage.mirror.found_elsewhere({more})
    assert stage.sent() == {}
    stage.mirror.reported(Batch(users=PEOPLE, list_complete=True, unreadable=("a record",)))
    assert left not in stage.sent()
    stage.mirror.began(About())
    stage.mirror.reported(Batch(users=PEOPLE, list_complete=True))
    sent = stage.sent()
    assert (sent[left], sent[more], wanted in sent) == (None, None, False)


def test_what_was_left_goes_at_once_while_the_users_are_known(stage: Stage) -> None:
    """The broker was away when the link started."""
    stage.mirror.found_elsewhere({"homeassistant/device/innovaphone__hq__zoe/config"})
    assert stage.sent() == {"homeassistant/device/innovaphone__hq__zoe/config": None}


@pytest.mark.broker
async def test_what_others_say_meanwhile_does_not_keep_us_waiting(broker: Mosquitto, stage: Stage) -> None:
    """Messages that are not retained are new: what was left has come before them."""
    will = Message(TOPICS.state, "offline", retain=True)
    ours, theirs = (BrokerSettings("127.0.0.1", broker.port, name) for name in ("ours", "theirs"))
    async with connect(ours, will) as connection, connect(theirs, will) as other:
        talking = asyncio.create_task(_talk(other))
        async with asyncio.timeout(READ_S / 2):
            await stage.consumers.read(connection)
        assert not talking.done()
        talking.cancel()


async def _talk(other: Connection) -> None:
    """Announce a lamp, again and again."""
    while True:
        await other.publish(Message("homeassistant/device/lamp/config", {"name": "lamp"}))


RECORDS = st.builds(
    UserRecord,
    guid=st.sampled_from(["g-1", "g-2", "g-3"]),
    name=st.sampled_from(["Anna", "Bert"]),
    short_name=st.sampled_from(["anna", "bert", ""]),
    number=st.sampled_from(["21", "22", "31"]),
    type=st.sampled_from(["ep", "gw"]),
    active=st.sampled_from([True, True, True, False]),
    registered=st.booleans(),
    is_switch=st.booleans(),
    groups=st.sampled_from([(), (Group("hidden", active=False),)]),
)
STEPS = st.lists(st.lists(RECORDS, min_size=1, max_size=3), min_size=1, max_size=8)
RULES = (Rule(exclude=True, group="hidden"), Rule(number="2*"))
PERMISSIONS = Permissions(grants=(Grant(frozenset({"call"}), (Rule(short_name="anna"),), Form.USER),))


@pytest.mark.parametrize("mode", Mode)
@settings(max_examples=40)
@given(steps=STEPS)
def test_what_is_retained_is_what_is_wanted(mode: Mode, steps: list[list[UserRecord]]) -> None:
    """Whoever comes, goes, is renamed, swaps names, or changes its kind: nothing is left, nothing is old."""
    stage = Stage(replace(DISCOVERY, mode=mode, users=RULES, permissions=PERMISSIONS))
    for records in steps:
        stage.mirror.reported(Batch(users=tuple(records)))
        stage.sent()
        kept = {
            topic: payload
            for topic, payload in stage.retained.items()
            if topic.startswith("homeassistant/") and payload is not None
        }
        assert kept == stage.wanted
