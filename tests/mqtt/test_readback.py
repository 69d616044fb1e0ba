"""What is read back at the start: all that is ours, and not more than there is room for."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge import clock
from bridge.core.message import Incoming, Message
from bridge.core.restore import Memory
from bridge.core.retained import Retained
from bridge.core.rules import Scope, SizeLimits
from bridge.core.topics import Topics
from bridge.errors import SessionLost
from bridge.mqtt import readback
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.readback import read_back, weight
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
TOPICS = Topics("innovaphone", "hq")
WILL = Message(TOPICS.state, "offline", retain=True)


def settings(port: int, protocol: str = "auto") -> BrokerSettings:
    """The broker of a test."""
    return BrokerSettings("127.0.0.1", port, "test", protocol=protocol)


def state(user: str, **more: Any) -> Mapping[str, object]:
    """A user's state."""
    return {"guid": f"guid of {user}", "since": "2026-01-01T00:00:00Z", **more}


async def retain(port: int, payloads: Mapping[str, Mapping[str, object]]) -> None:
    """Leave these states of users at the broker."""
    pending = [Message(TOPICS.user_state(user), payload, retain=True) for user, payload in payloads.items()]
    async with connect(settings(port), WILL) as connection:
        while pending:
            await asyncio.gather(*map(connection.publish, pending[:50]))
            del pending[:50]


def user_topics(bus: Observer) -> set[str]:
    """The users of whom something is retained."""
    return {user for topic in bus.tree if (user := TOPICS.user_in_state(topic)) is not None}


def new_retained(most: SizeLimits | None = None) -> Retained:
    """Nothing is known yet."""
    return Retained(Memory(), Scope(limits=most or SizeLimits()), clock.now)


async def test_reads_back_more_than_a_queue_holds(broker: Mosquitto) -> None:
    """Mosquitto queues 1,000 messages of QoS 1 and drops the rest; our own queue holds 2,000."""
    count = 3000
    await retain(broker.port, {f"u{number}": state(f"u{number}") for number in range(count)})
    retained = new_retained()
    async with connect(settings(broker.port), WILL) as connection:
        found = await read_back(connection, TOPICS, retained)
        assert (len(retained.users), found.erased, connection.dropped) == (count, 0, 0)
        assert found.marked


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_queue_that_is_too_short_is_said(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """Mosquitto drops what it cannot send at once beyond it, of QoS 0 too: one line says what helps."""
    async with Mosquitto(tmp_path, "max_queued_messages 5") as broker:
        long = {"note": "x" * 100_000}
        await retain(broker.port, {f"u{number}": state(f"u{number}", **long) for number in range(300)})
        conf = configuration(broker.port, pbx_section(pbx))
        conf["mqtt"] |= {"protocol": protocol, "connect_timeout_s": 1}
        with structlog.testing.capture_logs() as log:
            async with bridge(conf):
                await eventually(lambda: any(each["event"] == "mqtt up" for each in log), "it is up")
        (line,) = (each for each in log if each["event"] == "broker is limited")
        assert "does not deliver all retained messages" in line["reason"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_is_foreign_or_too_much_is_cleared(
    broker: Mosquitto, bus: Observer, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """More than may wait at once: the broker is asked again until all of it is gone. The rest stays."""
    bus.judges = False  # nobody but us publishes here
    monkeypatch.setattr("bridge.core.retained.MARGIN", 0)
    monkeypatch.setattr("bridge.mqtt.readback.BACKLOG_TOPICS", 100)
    ours = {f"u{number}": state(f"u{number}") for number in range(40)}
    foreign = {f"x{number}": {"guid": "no more than that"} for number in range(700)}
    await retain(broker.port, {**foreign, **ours, "more": state("more")})
    await eventually(lambda: len(user_topics(bus)) == 741, "all is retained")
    retained = new_retained(SizeLimits(users=40))
    async with connect(settings(broker.port, protocol), WILL) as connection:
        found = await read_back(connection, TOPICS, retained)
    await bus.heard_all()

    assert len(retained.users) == 40
    assert found.erased == 701
    assert user_topics(bus) == set(retained.users)
    assert retained.left_out["retained"] >= 1


async def test_a_start_that_is_killed_makes_progress(
    broker: Mosquitto, bus: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at the hundredth foreign state: some are cleared already."""
    bus.judges = False  # the same
    await retain(broker.port, {f"x{number}": {"text": "x" * 5000} for number in range(300)})
    await eventually(lambda: len(user_topics(bus)) == 300, "all is retained")
    judged = 0
    real = Retained.judge

    def judge(self: Retained, topic_id: str, size: int) -> object:
        nonlocal judged
        judged += 1
        if judged == 100:
            connection.drop()
        return real(self, topic_id, size)

    monkeypatch.setattr(Retained, "judge", judge)
    async with connect(settings(broker.port), WILL) as connection:
        with pytest.raises(SessionLost):
            await read_back(connection, TOPICS, new_retained())
    await bus.heard_all()

    assert 0 < len(user_topics(bus)) < 300


async def test_who_goes_on_publishing_there_does_not_hold_us(broker: Mosquitto, bus: Observer) -> None:
    """Only what is retained counts as more to come."""
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            bus.send(TOPICS.user_state("loud"), {"text": "again"})
            await asyncio.sleep(readback.QUIET_S / 10)

    publishing = asyncio.create_task(publish())
    async with connect(settings(broker.port), WILL) as connection, asyncio.timeout(8):
        found = await read_back(connection, TOPICS, new_retained())
    stop.set()
    await publishing

    assert found.erased == 0


async def test_it_ends_though_the_broker_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """More and more is retained: after a while we go on without the rest."""
    monkeypatch.setattr("bridge.mqtt.readback.LONGEST_S", 1.0)
    async with Peer(Habits()) as peer, connect(settings(peer.port), WILL) as connection:
        reading = asyncio.create_task(read_back(connection, TOPICS, new_retained()))
        number = 0
        while not reading.done():
            number += 1
            hear(connection, Incoming(TOPICS.user_state(f"x{number}"), b"{}", retain=True))
            await asyncio.sleep(0.01)
        assert (await reading).erased > 0


def hear(connection: Connection, incoming: Incoming) -> None:
    """Let a message arrive, if somebody listens."""
    if connection.listener is not None:
        connection.listener(incoming)


async def test_a_broker_that_reads_nothing_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not leave us is not waited for longer than for all the rest, and not sent again and again."""
    monkeypatch.setattr("bridge.mqtt.readback.LONGEST_S", 1.0)
    async with Peer(Habits()) as peer, connect(settings(peer.port), WILL) as connection:
        monkeypatch.setattr(Connection, "writing", property(lambda _: True))
        reading = asyncio.create_task(read_back(connection, TOPICS, new_retained()))
        await eventually(lambda: connection.listener is not None, "it listens")
        hear(connection, Incoming(TOPICS.user_state("x"), b"{}", retain=True))
        assert (await reading).erased == 0


@pytest.mark.parametrize(
    ("text", "times"),
    [("Anna", 1), ("Anna M\u00fcller", 1), ("\u0410\u043d\u043d\u0430", 1), ("Anna \U0001f600", 4)],
)
def test_wide_letters_weigh_more(text: str, times: int) -> None:
    """As they are, and as JSON may escape them."""
    for payload in (text.encode(), json.dumps(text).encode()):
        assert weight(payload) == times * len(payload)
