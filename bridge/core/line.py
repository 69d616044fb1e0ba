"""Queued messages, their kinds, and a bounded queue. Plain data; must not decide what is sent."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

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


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message in the outbox. Events have a `number`. `queued`: it waited for a broker, and must say so."""

    message: Message
    since_s: float
    kind: Kind
    number: int | None = None
    queued: bool = False
    size: int = 0

    @property
    def key(self) -> str | int | None:
        """Identifies a message across sessions: topic of a state, number of an event. Answers have none."""
        return self.message.topic if self.kind is Kind.STATE else self.number


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
    body = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
    texts = len(message.topic.encode(errors="replace")) + len((body or "").encode(errors="replace"))
    return texts + len(message.correlation or b"") + OVERHEAD_BYTES
