"""One run of the bridge in a fuzzed history: the real link, whose PBX and broker rules move.

Time stands still but when a rule lets it pass; nothing waits.
"""

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from bridge.core.journal import Journal
from bridge.core.liveness import Deadlines
from bridge.core.message import BrokerLimits
from bridge.core.model import Instant
from bridge.core.outbox import Limits
from bridge.core.topics import Topics
from bridge.errors import SessionLost
from bridge.link.link import Link, LinkSettings
from bridge.link.performer import CommandSettings
from bridge.mqtt.encode import encode
from bridge.mqtt.session import WINDOW
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from bridge.pbx.wire import PollSlice
from tests.fuzz.broker import Broker
from tests.fuzz.disk import DiskJournal
from tests.fuzz.exchange import Exchange, Session
from tests.fuzz.line import FuzzDialer, Line, Sent
from tests.fuzz.pbx_session import FuzzSession, Opener
from tests.fuzz.people import View
from tests.fuzz.still_loop import StillLoop

TOPICS = Topics("innovaphone", "hq")
LIMITS = Limits(most=10_000, event_age_s=1e9)
LONGEST_PAUSE_S = 120
METRICS = Metrics(CollectorRegistry())


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


class Run:
    """The bridge from its start until it is killed."""

    def __init__(
        self, view: View, epoch: str, clock: Clock, journal: Journal, broker: Broker, exchange: Exchange
    ) -> None:
        self.epoch = epoch
        self.doubted: list[tuple[Session | None, Callable[[], None]]] = []
        self.window = WINDOW
        self._journal = journal
        self._exchange = exchange
        self._broker = broker
        self._loop = StillLoop()
        self._dialer = FuzzDialer(broker, TOPICS, lambda: {message.topic for message in self.mirror.tree()})
        self._opener = Opener(exchange, lambda: self.remembers)
        settings = LinkSettings(epoch, TOPICS, view.scope, LIMITS, CommandSettings(), Deadlines(), 1.0)
        self._link = Link(
            settings,
            self._opener,
            (self._dialer,),
            observer=Observer(TOPICS.pbx, METRICS, Bugs(lambda _: None)),
            clock=clock.now,
            later=lambda _seconds, call: self.doubted.append((exchange.session, call)),
            journal=journal,
        )
        self.outbox, self.mirror = self._link.outbox, self._link.mirror
        self._task = self._loop.create_task(self._link.run())
        self.turn()

    @property
    def pbx(self) -> FuzzSession | None:
        """The PBX session, if any."""
        return self._opener.current

    @property
    def remembers(self) -> bool:
        """The retained state of an earlier run has been read."""
        return self._link._broker.earlier.remembers.is_set()

    @property
    def line(self) -> Line | None:
        """The connection to the broker, if any."""
        return self._dialer.line

    @property
    def wire(self) -> deque[Sent]:
        """Messages that have not arrived."""
        return deque() if self.line is None else self.line.wire

    @property
    def unacknowledged(self) -> deque[Sent]:
        """Messages that arrived and are not acknowledged."""
        return deque() if self.line is None else self.line.unacknowledged

    def turn(self, seconds: float = 0.0) -> None:
        """Run the link until it waits. Raises the bug that ended it."""
        self._loop.run_idle(seconds)
        if self._task.done():
            self._task.result()

    def _until(self, reached: Callable[[], bool]) -> None:
        """Let time pass until a condition holds, because the link pauses before it tries again."""
        self.turn()
        for _ in range(LONGEST_PAUSE_S):
            if reached():
                return
            self.turn(1.0)
        raise AssertionError("the link has given up")

    def connect(self, window: int) -> None:
        """A broker session; the first one of a run reads back what an earlier run told."""
        self.window = min(window, WINDOW)
        self._dialer.let_in(BrokerLimits(receive_maximum=self.window))
        self._until(lambda: self.line is not None and self.line.serves and self.remembers)

    def carry(self, arrive: int, acknowledge: int) -> None:
        """Deliver this many messages and this many acknowledgements."""
        if self.line is not None:
            self.line.carry(arrive, acknowledge)
            self.turn()

    def look(self) -> None:
        """Let the link do its work of once a second."""
        self._link.measure()
        self.turn()

    def cut(self) -> None:
        """Lose the broker session and every message under way; the broker publishes the will."""
        if self.line is not None:
            self.line.cut()
            self._broker.publish(TOPICS.state, b"offline", retain=True)
            self.turn()

    def begin(self) -> FuzzSession:
        """A PBX session is open."""
        self._opener.let_in()
        self._until(lambda: self.pbx is not None and self.pbx.serving)
        assert self.pbx is not None
        return self.pbx

    def lose(self) -> None:
        """The PBX session is gone."""
        if self.pbx is not None:
            self.pbx.break_off(SessionLost("the session is gone"))
            self.turn()

    def report(self, part: PollSlice) -> None:
        """One slice of a Poll's answer."""
        if self.pbx is not None and (batch := self.pbx.resolved(part)):
            self.pbx.heard.reported(batch)
            self.turn()

    def monitor(self, pick: int) -> None:
        """Ask the PBX to monitor one of those who wait for it."""
        if self.pbx is not None and self.pbx.wanted:
            self.pbx.ask(self._exchange, pick)
            self.turn()

    def settle(self, number: int) -> None:
        """The time for a user's running calls to be told is over."""
        assert self.pbx is not None
        guid, _ = self.pbx.settling.pop(number)
        self.pbx.heard.settled(guid)
        self.turn()

    def placed(self, guid: str, leg_handle: int, command_id: str) -> str:
        """A command has started a call; the id of the call."""
        assert self.pbx is not None
        call_id = self.pbx.heard.placed(guid, leg_handle, command_id)
        self.turn()
        return call_id

    def reconcile(self) -> None:
        """Give up the calls whose end should have come by now, those of earlier sessions too."""
        for session, call in self.doubted:
            if session is None or not session.queue or session is not self._exchange.session:
                self.doubted.remove((session, call))
                call()
                self.turn()
                return

    def kill(self) -> None:
        """End the process: whatever its code still does reaches neither the broker nor the disk."""
        self.cut()
        if isinstance(self._journal, DiskJournal):
            self._journal.killed()
        self._task.cancel()
        self._loop.run_idle(LONGEST_PAUSE_S)
        assert self._task.done()
        self._loop.close()

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
