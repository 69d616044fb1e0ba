"""What waits between our state and the broker. Plain data: whoever waits for it owns the waiting.

State coalesces: one pending message per retained topic, the newest. Events wait in one line and answers to
requests in another, each in order and within limits of its own: neither pushes the other out nor starves it.
What is dropped is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from bridge.core.caused import Caused
from bridge.core.line import ANSWERS, Kind, Line, QueuedMessage, size_of
from bridge.core.message import Message
from bridge.core.suspects import EVENT_TIMES, STATE_TIMES, Suspects

SET_ASIDE_S = 3600.0
"""How long nothing is sent on a topic at which the broker ends our sessions."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many events wait at most and for how many seconds; how many answers wait, and their bytes."""

    most: int = 100_000
    event_age_s: float = 300.0
    answers: int = 1000
    answer_bytes: int = 1_048_576


@dataclass(frozen=True, slots=True)
class Culprit:
    """The message at which the broker ended the session."""

    message: Message
    kind: Kind


class Signal(Protocol):
    """What an asyncio.Event does; the core runs on no event loop of its own."""

    def set(self) -> None:
        """Let everybody who waits go on."""
        ...

    def clear(self) -> None:
        """Let those who wait from now on wait."""
        ...

    async def wait(self) -> object:
        """Return once it is set."""
        ...


class Outbox:
    """Pending and unacknowledged messages of one link; `changed` waits until there may be more to do.

    `event_done` is called with the number of each event that need not be kept any longer: acknowledged or
    dropped. `held`: something that must be on disk before it is sent is not there yet. Without a `signal`
    nothing can wait.
    """

    def __init__(
        self,
        limits: Limits,
        event_done: Callable[[int], None] = lambda _: None,
        held: Callable[[], bool] = lambda: False,
        signal: Signal | None = None,
    ) -> None:
        self._limits = limits
        self._held = held
        self._event_done = event_done
        self._signal = signal
        self._numbered = 0
        self._states: dict[str, QueuedMessage] = {}
        self._at_broker: set[str] = set()
        self._events = Line(limits.most)
        self._answers = Line(limits.answers, limits.answer_bytes)
        self._answer_is_next = False
        self._flying: dict[int, QueuedMessage] = {}
        self._refused: set[int] = set()
        self._suspects = Suspects()
        self._caused = {kind: Caused() for kind in ANSWERS}
        self._no_erasures_until_s = 0.0
        self._proven = False
        self._aside: dict[str, float] = {}
        self._last_delivery_id = 0
        self.connected = False
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._states) + len(self._events) + len(self._answers) + len(self._flying)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is on its way."""
        return not len(self)

    @property
    def oldest_s(self) -> float | None:
        """Since when the oldest message waits for the broker, in monotonic seconds."""
        heads = (line.head for line in (self._events, self._answers))
        waiting = (*self._states.values(), *heads, *self._flying.values())
        return min((entry.since_s for entry in waiting if entry is not None), default=None)

    @property
    def in_flight(self) -> int:
        """How many messages the broker has not answered."""
        return len(self._flying) - len(self._refused)

    @property
    def answers_in_flight(self) -> bool:
        """The broker has not answered something that a request caused."""
        return any(entry.kind in ANSWERS for entry in self._flying.values())

    async def changed(self) -> None:
        """Return when something was put, sent off or held back since the caller looked.

        No news is lost between the look and the wait: there is no `await` between them, so nothing else runs.
        """
        if self._signal is None:
            raise RuntimeError("this outbox was made without a signal")
        self._signal.clear()
        await self._signal.wait()

    def recheck(self) -> None:
        """What was held may be sent now."""
        if self._signal is not None:
            self._signal.set()

    def put_state(self, message: Message, now_s: float) -> bool:
        """Let a retained message wait; it takes the place of an older one of its topic, and its age.

        False: it clears what the broker never had, and neither is sent. A PBX may make and delete users
        without end while the broker is away.
        """
        older = self._states.get(message.topic)
        if message.payload is None:
            if older is not None and message.topic not in self._at_broker:
                del self._states[message.topic]
                self.recheck()
                return False
            self._at_broker.add(message.topic)
        since_s = now_s if older is None else older.since_s
        self._states[message.topic] = QueuedMessage(message, since_s, Kind.STATE)
        self.recheck()
        return True

    def put_event(self, message: Message, now_s: float) -> int:
        """Let an event wait its turn, and number it; the oldest one in line goes when there are too many."""
        self._numbered += 1
        queued = not self.connected
        self._queue_event(QueuedMessage(message, now_s, Kind.EVENT, self._numbered, queued=queued), now_s)
        return self._numbered

    def put_back(self, number: int, message: Message, since_s: float) -> None:
        """Let an event of an earlier run wait, under its number; before all new ones."""
        self._numbered = max(self._numbered, number)
        self._queue_event(QueuedMessage(message, since_s, Kind.EVENT, number, queued=True), since_s)

    def put_reply(self, message: Message, now_s: float, *, chosen: bool = False) -> None:
        """Let a reply wait its turn. `chosen`: the request chose the topic."""
        self._queue_answer(message, Kind.CHOSEN_REPLY if chosen else Kind.REPLY, now_s)

    def put_erasure(self, topic: str, now_s: float) -> None:
        """Have a retained message deleted from a command topic, unless that is known to be in vain."""
        if now_s < self._no_erasures_until_s:
            return
        self._queue_answer(Message(topic, None, retain=True), Kind.ERASURE, now_s)

    def pause_erasures(self, until_s: float) -> None:
        """Delete nothing from command topics until then: the broker ignores it."""
        self._no_erasures_until_s = until_s

    def refresh(self, messages: Iterable[Message], now_s: float) -> None:
        """A new broker session: all our state again, in this order, before whatever else waits."""
        fresh = {message.topic: QueuedMessage(message, now_s, Kind.STATE) for message in messages}
        self._states = {**fresh, **{topic: old for topic, old in self._states.items() if topic not in fresh}}
        self._at_broker |= fresh.keys()
        self.connected, self._proven = True, False
        self.recheck()

    def take(self, now_s: float) -> tuple[int, Message] | None:
        """The next message to send, with a delivery_id to hand back; states go first.

        None while some were not taken and others are on their way still, so that order is kept; and while
        a suspect would have company, or has left alone; and while anything is held.
        """
        if self._held():
            return None
        if self._refused:
            if self.in_flight:
                return None
            self._take_back()
        entry = self._head(now_s)
        if entry is None or (self._flying and self._one_goes_alone(entry, now_s)):
            return None
        self._remove(entry)
        self._last_delivery_id += 1
        self._flying[self._last_delivery_id] = entry
        if entry.kind is Kind.STATE:
            self._at_broker.add(entry.message.topic)
        return self._last_delivery_id, _dated(entry, now_s)

    def _one_goes_alone(self, entry: QueuedMessage, now_s: float) -> bool:
        """Whether a suspect is next, or on its way: it travels alone, so that its effect is clear."""
        return any(self._is_suspect(each, now_s) for each in (entry, next(iter(self._flying.values()))))

    def _is_suspect(self, entry: QueuedMessage, now_s: float) -> bool:
        if entry.kind in ANSWERS:
            return self._caused[entry.kind].goes_alone(entry.message.topic, now_s)
        return entry.key in self._suspects

    def done(self, delivery_id: int, *, answered: bool = True) -> float | None:
        """The broker has it: forget it and tell since when it waited.

        `answered`: the broker said so. With QoS 0 it was only written to the socket, which proves nothing.
        """
        entry = self._flying.pop(delivery_id, None)
        if entry is None:
            return None
        self._proven = self._proven or answered
        if entry.kind is Kind.STATE and entry.message.payload is None:
            self._note_cleared(entry.message.topic)
        if entry.kind in ANSWERS and answered:
            self._caused[entry.kind].taken(entry.message.topic)
        self._forget(entry)
        self.recheck()
        return entry.since_s

    def _note_cleared(self, topic: str) -> None:
        if all(entry.message.topic != topic for entry in self._flying.values()):
            self._at_broker.discard(topic)

    def again(self, delivery_id: int) -> None:
        """The broker could not take it now: it waits again once everything on its way has been answered."""
        if delivery_id in self._flying:
            self._refused.add(delivery_id)
            self.recheck()

    def disconnected(self, now_s: float, *, by_broker: bool = False) -> Culprit | None:
        """The broker session is gone: what it did not acknowledge waits again, in its old order.

        An answer does not: it is sent once. Where the broker ended the session, the message that made it do
        so is returned when that is clear, and is not sent again.
        """
        self.connected = False
        culprit = self._judge(now_s) if by_broker else None
        for delivery_id, entry in list(self._flying.items()):
            if entry.kind in ANSWERS:
                del self._flying[delivery_id]
                self._drop(entry, "reply")
        self._take_back()
        return culprit

    def _judge(self, now_s: float) -> Culprit | None:
        """Find out whether the broker ended the session because of one message."""
        unanswered = [each for delivery_id, each in self._flying.items() if delivery_id not in self._refused]
        alone = self._proven and len(unanswered) == 1
        for kind, caused in self._caused.items():
            topics = [each.message.topic for each in unanswered if each.kind is kind]
            if caused.session_ended(topics, now_s, alone=alone):
                return Culprit(unanswered[0].message, kind)
        times = STATE_TIMES if all(each.kind is Kind.STATE for each in unanswered) else EVENT_TIMES
        keys = [each.key for each in unanswered]
        key = self._suspects.session_ended(keys, times, proven=self._proven)
        if key is None:
            return None
        _, entry = self._flying.popitem()  # it was alone
        self._drop(entry, "poison")
        return Culprit(entry.message, entry.kind)

    def set_aside(self, topic: str, now_s: float) -> None:
        """Send nothing on this topic for an hour."""
        self._aside[topic] = now_s + SET_ASIDE_S

    def aside(self, now_s: float) -> tuple[str, ...]:
        """The topics on which nothing is sent."""
        self._aside = {topic: until_s for topic, until_s in self._aside.items() if now_s < until_s}
        return tuple(self._aside)

    def _take_back(self) -> None:
        for entry in reversed(self._flying.values()):
            if entry.kind is Kind.STATE:
                self._states.setdefault(entry.message.topic, entry)
            elif entry.kind is Kind.EVENT:
                self._events.put_back(replace(entry, queued=True))
            else:
                self._answers.put_back(entry)
        self._flying.clear()
        self._refused.clear()

    def _queue_event(self, entry: QueuedMessage, now_s: float) -> None:
        """What is too old would not be sent any more: it need not wait until a broker is there."""
        while (head := self._events.head) is not None and self._is_too_old(head, now_s):
            self._drop(self._events.pop(), "age")
        for gone in self._events.push(entry):
            self._drop(gone, "overflow")
        self.recheck()

    def _queue_answer(self, message: Message, kind: Kind, now_s: float) -> None:
        for gone in self._answers.push(QueuedMessage(message, now_s, kind, size=size_of(message))):
            self._drop(gone, "reply")
        self.recheck()

    def _is_too_old(self, event: QueuedMessage, now_s: float) -> bool:
        return now_s - event.since_s > self._limits.event_age_s

    def _head(self, now_s: float) -> QueuedMessage | None:
        """What is to be sent next; what is too old, or must not be sent, is dropped on the way."""
        while self._states:
            topic = next(iter(self._states))
            if now_s >= self._aside.get(topic, 0.0):
                return self._states[topic]
            del self._states[topic]
            self.recheck()
        event, answer = self._next_event(now_s), self._next_answer(now_s)
        if event is None or answer is None:
            self._answer_is_next = False
            return event or answer
        return answer if self._answer_is_next else event

    def _next_event(self, now_s: float) -> QueuedMessage | None:
        while (head := self._events.head) is not None:
            if now_s < self._aside.get(head.message.topic, 0.0):
                self._drop(self._events.pop(), "poison")
            elif self._is_too_old(head, now_s):
                self._drop(self._events.pop(), "age")
            else:
                break
        return head

    def _next_answer(self, now_s: float) -> QueuedMessage | None:
        while (head := self._answers.head) is not None:
            if self._caused[head.kind].may_send(head.message.topic, now_s):
                break
            self._drop(self._answers.pop(), "poison")
        return head

    def _remove(self, entry: QueuedMessage) -> None:
        """Events and answers take turns while both wait."""
        if entry.kind is Kind.STATE:
            del self._states[entry.message.topic]
            return
        is_event = entry.kind is Kind.EVENT
        (self._events if is_event else self._answers).pop()
        self._answer_is_next = is_event

    def _drop(self, entry: QueuedMessage, reason: str) -> None:
        self._forget(entry)
        self.dropped[reason] += 1
        self.recheck()

    def _forget(self, entry: QueuedMessage) -> None:
        self._suspects.clear(entry.key)
        if entry.number is not None:
            self._event_done(entry.number)


def _dated(entry: QueuedMessage, now_s: float) -> Message:
    """The message to send; a late event says that it is late and how late."""
    payload = entry.message.payload
    if entry.number is None or not entry.queued or payload is None or isinstance(payload, str):
        return entry.message
    age_ms = round((now_s - entry.since_s) * 1000)
    return replace(entry.message, payload={**payload, "queued": True, "age_ms": age_ms})
