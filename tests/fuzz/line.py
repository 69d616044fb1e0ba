"""The line from the real link to the fuzzed broker: what is on it arrives when a rule says so."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.core.topics import Topics
from bridge.errors import LinkError, SessionLost
from bridge.mqtt.client import Connection
from bridge.mqtt.encode import encode
from bridge.mqtt.inbox import Inbox
from bridge.mqtt.pending import Answered
from bridge.mqtt.probe import ProbeResult
from bridge.mqtt.settings import MQTT_5, BrokerSettings
from tests.fuzz.broker import Broker

SETTINGS = BrokerSettings("broker", 1883, "bridge")


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was handed to the connection, and who waits for its acknowledgement."""

    message: Message
    answered: Answered


class Line(Connection):
    """A connection without a network: an acknowledged message waits on it, one of QoS 0 arrives at once.

    `retained`: the topics that must be sent before the first event of a session.
    """

    def __init__(
        self, broker: Broker, topics: Topics, limits: BrokerLimits, retained: Callable[[], set[str]]
    ) -> None:
        # not that of a Connection, which makes a client of paho
        self.protocol, self.settings, self.limits = MQTT_5, SETTINGS, limits
        self.incoming = Inbox()
        self.listener: Callable[[Incoming], None] | None = None
        self.dropped = self.oversized = self.largest_taken = 0
        self.silent = True  # what ends it is the network, at no message in particular
        self.lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self.wire: deque[Sent] = deque()
        self.unacknowledged: deque[Sent] = deque()
        self.serves = False
        self._due = set[str]()
        self._retained = retained
        self._broker = broker
        self._topics = topics

    @property
    def heard_s(self) -> float:
        """Not used in these histories."""
        return 0.0

    @property
    def gathering(self) -> AbstractContextManager[None]:
        """What is sent waits on the line."""
        return nullcontext()

    @property
    def writing(self) -> bool:
        """Nothing is ever buffered."""
        return False

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Deliver retained messages. A new session subscribes to its commands last, then it serves."""
        for each in subscriptions:
            for topic, payload in list(self._broker.retained.items()):
                if each.retain_handling == 0 and matches(each.topic_filter, topic):
                    self._deliver(Incoming(topic, payload, retain=True))
        if subscriptions[0].topic_filter == self._topics.commands[0]:
            self.serves, self._due = True, self._retained()

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Ignored: these histories deliver nothing later."""

    def send(self, message: Message, answered: Answered) -> None:
        """Put a message on the line."""
        sent = Sent(message, answered)
        if self.lost.done():
            answered(SessionLost("the line is cut"))
        elif message.qos == 0:
            self._arrive(sent)
            answered(None)
        else:
            self._due.discard(message.topic)
            assert message.retain or not self._due
            self.wire.append(sent)

    def carry(self, arrive: int, acknowledge: int) -> None:
        """Deliver this many messages and this many acknowledgements."""
        for _ in range(min(arrive, len(self.wire))):
            self._arrive(self.wire.popleft())
        for _ in range(min(acknowledge, len(self.unacknowledged))):
            self.unacknowledged.popleft().answered(None)

    def cut(self) -> None:
        """Lose the connection and every message under way."""
        self.lost.set_result(SessionLost("the line is cut"))
        lost = [*self.wire, *self.unacknowledged]
        self.wire.clear()
        self.unacknowledged.clear()
        for sent in lost:
            sent.answered(SessionLost("the line is cut"))

    def _arrive(self, sent: Sent) -> None:
        message, payload = sent.message, encode(sent.message)
        if message.topic != self._topics.dotted:
            self._broker.publish(message.topic, payload, retain=message.retain)
        if message.qos:
            self.unacknowledged.append(sent)
        if message.topic in {self._topics.state, self._topics.dotted}:
            self._deliver(Incoming(message.topic, payload))

    def _deliver(self, incoming: Incoming) -> None:
        (self.listener or self.incoming.put_nowait)(incoming)


class FuzzDialer:
    """Opens a connection when a rule allows it (Dialer)."""

    def __init__(self, broker: Broker, topics: Topics, retained: Callable[[], set[str]]) -> None:
        self.line: Line | None = None
        self._limits = BrokerLimits()
        self._broker = broker
        self._retained = retained
        self._topics = topics
        self._let_in = asyncio.Event()

    def let_in(self, limits: BrokerLimits) -> None:
        """The broker takes one connection."""
        self._limits = limits
        self._let_in.set()

    @asynccontextmanager
    async def open(self, will: Message, attempt: int) -> AsyncIterator[Connection]:
        """One connection for each time that it is let in."""
        await self._let_in.wait()
        self._let_in.clear()
        line = self.line = Line(self._broker, self._topics, self._limits, self._retained)
        try:
            yield line
        finally:
            self.line = None
            if not line.lost.done():
                self._broker.publish(will.topic, encode(will), retain=True)

    async def probe(self, topics: Topics) -> ProbeResult:
        """No other bridge in these histories."""
        return ProbeResult.NOBODY

    async def until_offline(self, topics: Topics, within_s: float) -> None:
        """No other bridge in these histories."""

    def answer_probe(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """No other bridge in these histories."""
        return False


def matches(topic_filter: str, topic: str) -> bool:
    """An MQTT filter with single-level wildcards matches a topic."""
    ours, levels = topic_filter.split("/"), topic.split("/")
    return len(ours) == len(levels) and all(a in {"+", b} for a, b in zip(ours, levels, strict=True))
