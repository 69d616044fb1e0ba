"""Queued messages, their kinds, and the queues in which they wait. Must not decide what is sent."""

import json
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from bridge.core.message import Message

OVERHEAD_BYTES = 64


class Kind(Enum):
    """The kinds of messages. The last three answer requests, so anybody who sends requests can cause them.

    `REPLY` goes to `response/<verb>`, `CHOSEN_REPLY` to a topic that the request named. `ERASURE` deletes a
    retained message from a command topic.
    """

    STATE = "state"
    EVENT = "event"
    REPLY = "reply"
    CHOSEN_REPLY = "chosen_reply"
    ERASURE = "erasure"


ANSWERS = (Kind.REPLY, Kind.CHOSEN_REPLY, Kind.ERASURE)


class QueuedMessage(NamedTuple):
    """A message in the outbox. A tuple, because one is made for every message, and that costs a fifth.

    Events have a `number`. `queued`: it waited for a broker, and must say so. `place`: the order in which
    states and events were put in; 0 for the states of a new session, which go before.
    """

    message: Message
    since_s: float
    kind: Kind
    number: int | None = None
    queued: bool = False
    size: int = 0
    place: int = 0

    @property
    def key(self) -> str | int | None:
        """Identifies a message across sessions: topic of a state, number of an event. Answers have none."""
        return self.message.topic if self.kind is Kind.STATE else self.number


class States:
    """Retained messages, at most one for each topic. Each topic keeps its place until it is taken."""

    def __init__(self) -> None:
        # A dict would look at every place that was emptied before its first one, each time.
        self._entries: OrderedDict[str, QueuedMessage] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[QueuedMessage]:
        return iter(self._entries.values())

    @property
    def head(self) -> QueuedMessage | None:
        """The next message, without taking it out."""
        return next(iter(self._entries.values()), None)

    def get(self, topic: str) -> QueuedMessage | None:
        """The message that waits for this topic."""
        return self._entries.get(topic)

    def put(self, entry: QueuedMessage) -> None:
        """Append a message, or replace the one of its topic."""
        self._entries[entry.message.topic] = entry

    def keep_erasures(self) -> None:
        """Forget all other messages."""
        erasures = (entry for entry in self if entry.message.payload is None)
        self._entries = OrderedDict((entry.message.topic, entry) for entry in erasures)

    def put_back(self, entry: QueuedMessage) -> None:
        """Return a message to the head. If a newer one of its topic waits, that one moves there."""
        topic = entry.message.topic
        newer = self._entries.get(topic)
        self._entries[topic] = entry if newer is None else newer._replace(place=entry.place)
        self._entries.move_to_end(topic, last=False)

    def pop(self) -> QueuedMessage:
        """Take the next message out."""
        return self._entries.popitem(last=False)[1]

    def discard(self, topic: str) -> None:
        """Take the message of this topic out."""
        self._entries.pop(topic, None)


class Refresh:
    """All retained messages, for a new session. Each is made when its turn comes: there may be 20,000.

    `topics` returns those of all of them, without making messages. Nobody asks for them after the last one.
    """

    def __init__(self) -> None:
        self._messages: Iterator[Message] = iter(())
        self._topics: Callable[[], Iterable[str]] = tuple
        self._since_s = 0.0
        self.head: QueuedMessage | None = None

    def __len__(self) -> int:
        """How many are made already."""
        return 0 if self.head is None else 1

    def begin(self, messages: Iterable[Message], now_s: float, topics: Callable[[], Iterable[str]]) -> None:
        """Start with the first message."""
        self._messages, self._since_s, self._topics = iter(messages), now_s, topics
        self.pop()

    def pop(self) -> None:
        """Go on to the next message."""
        message = next(self._messages, None)
        self.head = None if message is None else QueuedMessage(message, self._since_s, Kind.STATE)
        if message is None:
            self._topics = tuple

    def end(self) -> None:
        """Skip the rest."""
        self._messages, self.head = iter(()), None

    def skipped(self) -> Iterable[str]:
        """The topics of a refresh of which the rest was skipped; each time only once."""
        topics, self._topics = self._topics, tuple
        return topics()


class AtBroker:
    """The topics that the broker may retain: what was sent, and what an earlier session may have sent.

    The topics of a skipped refresh are found out when they matter, which is seldom.
    """

    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh
        self._topics: set[str] = set()

    def __contains__(self, topic: str) -> bool:
        if topic not in self._topics and not self._refresh:
            self._topics.update(self._refresh.skipped())
        return topic in self._topics

    def add(self, topic: str) -> None:
        """The broker may retain this from now on."""
        self._topics.add(topic)

    def discard(self, topic: str) -> None:
        """The broker retains this no longer."""
        self._topics.discard(topic)


class Line:
    """A bounded queue of messages."""

    def __init__(self, most: int, most_bytes: int | None = None) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._entries: deque[QueuedMessage] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[QueuedMessage]:
        return iter(self._entries)

    @property
    def head(self) -> QueuedMessage | None:
        """The next message, without taking it out."""
        return self._entries[0] if self._entries else None

    def push(self, entry: QueuedMessage) -> tuple[QueuedMessage, ...]:
        """Append a message. Return what was dropped: the oldest ones, or this one if it is too large."""
        if self._most_bytes is not None and entry.size > self._most_bytes:
            return (entry,)
        self._entries.append(entry)
        self._bytes += entry.size
        gone = []
        while len(self) > self._most or (self._most_bytes is not None and self._bytes > self._most_bytes):
            gone.append(self.pop())
        return tuple(gone)

    def pop(self) -> QueuedMessage:
        """Take the next message out."""
        entry = self._entries.popleft()
        self._bytes -= entry.size
        return entry

    def put_back(self, entry: QueuedMessage) -> None:
        """Return a message to the head of the queue."""
        self._entries.appendleft(entry)
        self._bytes += entry.size


def size_of(message: Message) -> int:
    """An upper estimate of the bytes of its packet."""
    payload = message.payload
    if isinstance(payload, bytes):
        body = payload
    else:
        text = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
        body = (text or "").encode(errors="replace")
    topic = message.topic.encode(errors="replace")
    return len(topic) + len(body) + len(message.correlation or b"") + OVERHEAD_BYTES
