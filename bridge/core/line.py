"""Messages that wait their turn, in order and within limits. Plain data; decides nothing about sending."""

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bridge.core.message import Message

OVERHEAD_BYTES = 64


class Kind(Enum):
    """What a message is to the outbox. The last three answer requests, so that strangers cause them.

    `REPLY`: on `response/<verb>`. `CHOSEN_REPLY`: on a topic that the request chose. `ERASURE`: deletes a
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
    """A message on its way. Events have a `number`: late ones say so. `queued`: it waited for a broker."""

    message: Message
    since_s: float
    kind: Kind
    number: int | None = None
    queued: bool = False
    size: int = 0

    @property
    def key(self) -> str | int | None:
        """How the next session knows it: topic of a state, number of an event; answers are sent once."""
        return self.message.topic if self.kind is Kind.STATE else self.number


class Line:
    """A queue with limits: `push` returns what had to go, the oldest first; or what is too large for it."""

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
        """The next one, which stays."""
        return self._entries[0] if self._entries else None

    def push(self, entry: QueuedMessage) -> tuple[QueuedMessage, ...]:
        """Let it wait at the end."""
        if self._most_bytes is not None and entry.size > self._most_bytes:
            return (entry,)
        self._entries.append(entry)
        self._bytes += entry.size
        gone = []
        while len(self) > self._most or (self._most_bytes is not None and self._bytes > self._most_bytes):
            gone.append(self.pop())
        return tuple(gone)

    def pop(self) -> QueuedMessage:
        """Take the next one out."""
        entry = self._entries.popleft()
        self._bytes -= entry.size
        return entry

    def put_back(self, entry: QueuedMessage) -> None:
        """Let one that was taken out be the next again."""
        self._entries.appendleft(entry)
        self._bytes += entry.size


def size_of(message: Message) -> int:
    """About how many bytes its packet takes, not less."""
    payload = message.payload
    body = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
    texts = len(message.topic.encode(errors="replace")) + len((body or "").encode(errors="replace"))
    return texts + len(message.correlation or b"") + OVERHEAD_BYTES
