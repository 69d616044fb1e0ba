"""What waits between our state and the broker. Plain data: whoever waits for it owns the waiting.

State coalesces: one pending message per retained topic, the newest. The rest queues: replies and
events keep their order, are bounded in number and age, and what is dropped is counted.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice

from bridge.core.message import Message
from bridge.core.suspects import EVENT_TIMES, STATE_TIMES, Suspects

SET_ASIDE_S = 3600.0
"""How long nothing is sent on a topic at which the broker ends our sessions."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many queued messages wait at most, and how old an event may become, in seconds."""

    most: int = 100_000
    event_age_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message on its way. Events have a `number`: late ones say so. `queued`: it waited for a broker."""

    message: Message
    since_s: float
    number: int | None = None
    queued: bool = False

    @property
    def key(self) -> str | int | None:
        """What it is known by in the next session: topic of a state, number of an event; a reply has none."""
        return self.message.topic if self.message.retain else self.number


class Outbox:
    """Pending and unacknowledged messages of one link.

    `event_done` hears the number of each event that need not be kept any more: acknowledged or dropped.
    """

    def __init__(self, limits: Limits, event_done: Callable[[int], None] = lambda _: None) -> None:
        self._limits = limits
        self._event_done = event_done
        self._events = 0
        self._states: dict[str, Parcel] = {}
        self._line: deque[Parcel] = deque()
        self._flying: dict[int, Parcel] = {}
        self._refused: set[int] = set()
        self._suspects = Suspects()
        self._proven = False
        self._aside: dict[str, float] = {}
        self._tickets = 0
        self.connected = False
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._states) + len(self._line) + len(self._flying)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is on its way."""
        return not len(self)

    @property
    def oldest_s(self) -> float | None:
        """Since when the oldest message waits for the broker, in monotonic seconds."""
        waiting = (*self._states.values(), *islice(self._line, 1), *self._flying.values())
        return min((parcel.since_s for parcel in waiting), default=None)

    @property
    def in_flight(self) -> int:
        """How many messages the broker has not answered."""
        return len(self._flying) - len(self._refused)

    @property
    def states(self) -> tuple[Message, ...]:
        """The retained messages that the broker does not have, oldest first."""
        flying = (parcel for parcel in self._flying.values() if parcel.message.retain)
        return tuple(parcel.message for parcel in (*flying, *self._states.values()))

    def put_state(self, message: Message, now_s: float) -> None:
        """Let a retained message wait; it takes the place of an older one of its topic, and its age."""
        older = self._states.get(message.topic)
        self._states[message.topic] = Parcel(message, now_s if older is None else older.since_s)

    def put_event(self, message: Message, now_s: float) -> int:
        """Let an event wait its turn, and number it; the oldest one in line goes when there are too many."""
        self._events += 1
        self._queue(Parcel(message, now_s, self._events, queued=not self.connected))
        return self._events

    def put_back(self, number: int, message: Message, since_s: float) -> None:
        """Let an event of an earlier run wait, under its number; before all new ones."""
        self._events = max(self._events, number)
        self._queue(Parcel(message, since_s, number, queued=True))

    def put_reply(self, message: Message, now_s: float) -> None:
        """Let a reply wait its turn."""
        self._queue(Parcel(message, now_s))

    def refresh(self, messages: Iterable[Message], now_s: float) -> None:
        """A new broker session: all our state again, in this order, before whatever else waits."""
        fresh = {message.topic: Parcel(message, now_s) for message in messages}
        self._states = {**fresh, **{topic: old for topic, old in self._states.items() if topic not in fresh}}
        self.connected, self._proven = True, False

    def take(self, now_s: float) -> tuple[int, Message] | None:
        """The next message to send, with a ticket to hand back; states go first.

        None while some were not taken and others are on their way still, so that order is kept; and while
        a suspect would have company, or has left alone.
        """
        if self._refused:
            if self.in_flight:
                return None
            self._take_back()
        parcel = self._head(now_s)
        if parcel is None or (self._flying and self._is_alone(parcel)):
            return None
        self._remove_head()
        self._tickets += 1
        self._flying[self._tickets] = parcel
        return self._tickets, _dated(parcel, now_s)

    def _is_alone(self, parcel: Parcel) -> bool:
        """Whether a suspect is next, or on its way: it travels alone, so that its effect is clear."""
        return parcel.key in self._suspects or next(iter(self._flying.values())).key in self._suspects

    def done(self, ticket: int) -> float | None:
        """The broker has it: forget it and tell since when it waited."""
        parcel = self._flying.pop(ticket, None)
        if parcel is None:
            return None
        self._proven = True
        self._forget(parcel)
        return parcel.since_s

    def again(self, ticket: int) -> None:
        """The broker could not take it now: it waits again once everything on its way has been answered."""
        if ticket in self._flying:
            self._refused.add(ticket)

    def disconnected(self, *, by_broker: bool = False) -> Message | None:
        """The broker session is gone: what it did not acknowledge waits again, in its old order.

        A reply does not: it is sent once. Where the broker ended the session, the message that made it do so
        is returned when that is clear, and is not sent again.
        """
        self.connected = False
        culprit = None
        if by_broker:
            unanswered = [each for ticket, each in self._flying.items() if ticket not in self._refused]
            times = STATE_TIMES if all(each.message.retain for each in unanswered) else EVENT_TIMES
            keys = [each.key for each in unanswered]
            key = self._suspects.session_ended(keys, times, proven=self._proven)
            if key is not None:  # then it was alone
                _, parcel = self._flying.popitem()
                culprit = parcel.message
                self._drop(parcel, "poison")
        for ticket, parcel in list(self._flying.items()):
            if parcel.key is None:
                del self._flying[ticket]
                self._drop(parcel, "reply")
        self._take_back()
        return culprit

    def set_aside(self, topic: str, now_s: float) -> None:
        """Send nothing on this topic for an hour."""
        self._aside[topic] = now_s + SET_ASIDE_S

    def aside(self, now_s: float) -> tuple[str, ...]:
        """The topics on which nothing is sent."""
        self._aside = {topic: until_s for topic, until_s in self._aside.items() if now_s < until_s}
        return tuple(self._aside)

    def _take_back(self) -> None:
        for parcel in reversed(self._flying.values()):
            if parcel.message.retain:
                self._states.setdefault(parcel.message.topic, parcel)
            else:
                self._line.appendleft(replace(parcel, queued=True))
        self._flying.clear()
        self._refused.clear()

    def _queue(self, parcel: Parcel) -> None:
        self._line.append(parcel)
        if len(self._line) > self._limits.most:
            self._drop(self._line.popleft(), "overflow")

    def _head(self, now_s: float) -> Parcel | None:
        """What is to be sent next; what is too old, or must not be sent, is dropped on the way."""
        while self._states:
            topic = next(iter(self._states))
            if now_s >= self._aside.get(topic, 0.0):
                return self._states[topic]
            del self._states[topic]
        while self._line:
            parcel = self._line[0]
            if now_s < self._aside.get(parcel.message.topic, 0.0):
                self._drop(self._line.popleft(), "poison")
            elif parcel.number is not None and now_s - parcel.since_s > self._limits.event_age_s:
                self._drop(self._line.popleft(), "age")
            else:
                return parcel
        return None

    def _remove_head(self) -> None:
        if self._states:
            del self._states[next(iter(self._states))]
        else:
            self._line.popleft()

    def _drop(self, parcel: Parcel, reason: str) -> None:
        self._forget(parcel)
        self.dropped[reason] += 1

    def _forget(self, parcel: Parcel) -> None:
        self._suspects.clear(parcel.key)
        if parcel.number is not None:
            self._event_done(parcel.number)


def _dated(parcel: Parcel, now_s: float) -> Message:
    """The message to send; a late event says that it is late and how late."""
    payload = parcel.message.payload
    if parcel.number is None or not parcel.queued or payload is None or isinstance(payload, str):
        return parcel.message
    age_ms = round((now_s - parcel.since_s) * 1000)
    return replace(parcel.message, payload={**payload, "queued": True, "age_ms": age_ms})
