"""One run of the bridge in a fuzzed history: the real mirror and outbox.

What the link, both sessions and the MQTT client do around them is done here by hand, without waiting.
"""

import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from bridge.core.journal import Journal, Snapshot
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.records import Batch
from bridge.core.restore import Memory, remembered
from bridge.core.retained import Retained, Verdict
from bridge.core.status import About, LinkState
from bridge.core.topics import Topics
from bridge.link.mirror import Mirror
from bridge.mqtt.encode import encode
from bridge.mqtt.session import WINDOW
from bridge.pbx.wire import PollSlice
from tests.fuzz.broker import Broker
from tests.fuzz.exchange import Exchange, Session
from tests.fuzz.people import View

TOPICS = Topics("innovaphone", "hq")
LIMITS = Limits(most=10_000, event_age_s=1e9)


class Clock:
    """Both clocks; each look at them is a millisecond later."""

    def __init__(self) -> None:
        self.unix_ms = 1_795_000_000_000
        self.monotonic_s = 1000.0

    def now(self) -> Instant:
        """The present moment."""
        self.unix_ms += 1
        self.monotonic_s += 0.001
        return Instant(self.unix_ms, self.monotonic_s)


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was handed to the connection."""

    delivery_id: int
    topic: str
    payload: bytes
    retain: bool


@dataclass(slots=True)
class PbxSide:
    """What the bridge knows of its PBX session.

    `settling`: users that were followed, and how many records must have been taken until all their
    running calls have come.
    """

    session: Session
    by_handle: dict[int, str] = field(default_factory=dict)
    wanted: dict[str, None] = field(default_factory=dict)
    settling: list[tuple[str, int]] = field(default_factory=list)

    def want(self, guid: str) -> None:
        """Note a user to follow."""
        if guid not in self.by_handle.values():
            self.wanted[guid] = None

    def unwant(self, guid: str) -> None:
        """Note a user not to follow."""
        self.wanted.pop(guid, None)
        self.by_handle = {handle: other for handle, other in self.by_handle.items() if other != guid}

    def resolved(self, part: PollSlice) -> Batch:
        """What the session makes of a slice: legs with the guids of their users, those of nobody left out."""
        known = ((heard.record, self.by_handle.get(heard.user_handle)) for heard in part.legs)
        legs = tuple(replace(record, user=guid) for record, guid in known if guid is not None)
        return Batch(part.users, legs, part.list_complete, part.unreadable)


class Run:
    """The bridge from its start until it is killed."""

    def __init__(self, view: View, epoch: str, clock: Clock, journal: Journal) -> None:
        self.clock = clock
        self.epoch = epoch
        self.pbx: PbxSide | None = None
        self.doubted: list[tuple[Session, str, frozenset[str]]] = []
        self.remembers = False
        self.window = WINDOW
        self.wire: deque[Sent] = deque()
        self.unacknowledged: deque[Sent] = deque()
        self.outbox = Outbox(LIMITS, journal.event_done)
        self.mirror = Mirror(
            TOPICS,
            view.scope,
            self.outbox,
            epoch=epoch,
            clock=clock.now,
            journal=journal,
        )
        self._memory = self._take_over(journal.kept())
        self._due: set[str] = set()

    def _take_over(self, kept: Snapshot) -> Memory:
        now = self.clock.now()
        for event in kept.events:
            self.outbox.put_back(event.number, event.message, now.seconds_at(event.unix_ms))
        scope = self.mirror.scope
        users = {topic: remembered(topic, payload, scope, now) for topic, payload in kept.users.items()}
        return Memory(users, kept.whole)

    def connect(self, broker: Broker, window: int) -> None:
        """A broker session; the first one of a run reads back what an earlier run told."""
        self.window = min(window, WINDOW)
        if not self.remembers:
            broker.publish(TOPICS.state, b"offline", retain=True)
            self._read_back(broker)
            self.remembers = True
        tree = self.mirror.tree()
        self._due = {message.topic for message in tree}
        self.outbox.refresh(tree, self.clock.now().monotonic_s)

    def _read_back(self, broker: Broker) -> None:
        """What is foreign is cleared at once."""
        retained = Retained(self._memory, self.mirror.scope, self.clock.now)
        for topic_id, payload in broker.users(TOPICS.root).items():
            verdict = retained.judge(topic_id, 100)
            if verdict is Verdict.READ:
                verdict = retained.take(topic_id, 100, payload)
            if verdict is Verdict.FOREIGN:
                broker.publish(TOPICS.user_state(topic_id), b"", retain=True)
        assert not retained.left_out
        self.mirror.restore(retained.users)

    def pump(self, most: int) -> None:
        """Send what the window lets through; all that is retained goes before the first event."""
        while most and self.outbox.in_flight < self.window:
            item = self.outbox.take(self.clock.now().monotonic_s)
            if item is None:
                return
            delivery_id, message = item
            self._due.discard(message.topic)
            assert message.retain or not self._due
            self.wire.append(Sent(delivery_id, message.topic, encode(message), message.retain))
            most -= 1

    def carry(self, broker: Broker, arrive: int, acknowledge: int) -> None:
        """Let so many messages arrive, and so many acknowledgements come back."""
        for _ in range(min(arrive, len(self.wire))):
            sent = self.wire.popleft()
            broker.publish(sent.topic, sent.payload, retain=sent.retain)
            self.unacknowledged.append(sent)
        for _ in range(min(acknowledge, len(self.unacknowledged))):
            self.outbox.done(self.unacknowledged.popleft().delivery_id)

    def cut(self, broker: Broker) -> None:
        """The broker session is gone with what was under way; the broker publishes the will."""
        self.wire.clear()
        self.unacknowledged.clear()
        self.outbox.disconnected(0.0)
        broker.publish(TOPICS.state, b"offline", retain=True)

    def begin(self, exchange: Exchange) -> PbxSide:
        """A PBX session is open."""
        self.pbx = PbxSide(exchange.open())
        self.mirror.began(About("v", "s", "l"))
        return self.pbx

    def lose(self) -> None:
        """The PBX session is gone."""
        self.pbx = None
        self.mirror.set_status(LinkState.UNREACHABLE, "no session")

    def report(self, part: PollSlice) -> None:
        """One slice of a Poll's answer, and whom to follow after it."""
        if self.pbx is None or not (batch := self.pbx.resolved(part)):
            return
        changes = self.mirror.reported(batch)
        self.doubted.extend((self.pbx.session, guid, ids) for guid, ids in changes.quiet.items())
        for guid in changes.unmonitor:
            self.pbx.unwant(guid)
        for user in changes.monitor:
            self.pbx.want(user.guid)

    def follow(self, exchange: Exchange, pick: int) -> None:
        """Ask the PBX to follow one of those who wait for it."""
        if self.pbx is None or not self.pbx.wanted:
            return
        guid = list(self.pbx.wanted)[pick % len(self.pbx.wanted)]
        del self.pbx.wanted[guid]
        handle = exchange.follow(guid)
        if handle:
            self.pbx.by_handle[handle] = guid
            self.mirror.monitored(guid)
            self.pbx.settling.append((guid, self.pbx.session.queued))
        else:
            self.mirror.not_monitored(guid)

    def settle(self, number: int) -> str:
        """The time for a user's running calls to be told is over; returns the user."""
        assert self.pbx is not None
        guid, _ = self.pbx.settling.pop(number)
        self.mirror.settled(guid)
        return guid

    def reconcile(self) -> None:
        """Give up the calls whose end should have come by now, those of earlier sessions too."""
        for session, guid, ids in self.doubted:
            if not session.queue or self.pbx is None or session is not self.pbx.session:
                self.mirror.reconcile(guid, ids)
                self.doubted.remove((session, guid, ids))
                return

    def rendered(self) -> dict[str, Any]:
        """What must be retained for the present state."""
        return {message.topic: decoded(encode(message)) for message in self.mirror.tree()}

    def waiting_events(self) -> list[Any]:
        """The events that the broker has not acknowledged."""
        entries = [*self.outbox._flying.values(), *self.outbox._events]
        messages = [entry.message for entry in entries if entry.number is not None]
        return [json.loads(encode(message)) for message in messages]


def decoded(payload: bytes) -> Any:
    """A retained payload as a consumer reads it; the time of `info` is that of its making."""
    if payload[:1] != b"{":
        return payload.decode()
    value = orjson.loads(payload)
    return value if "guid" in value else {**value, "time": ""}
