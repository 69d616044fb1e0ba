"""The queue between the state of a link and its broker session. Must not send anything or encode anything.

States coalesce: at most one message per retained topic waits, the newest, in the place of the first. Events
wait in one line, answers to requests in another, each with its own limits. All three take turns, so none can
starve another; but no event goes before a state that was put in before it. What is dropped is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from bridge.core.blame import Blame, Culprit
from bridge.core.line import ANSWERS, AtBroker, Kind, Line, QueuedMessage, Refresh, States, size_of
from bridge.core.message import Message
from bridge.core.value import evolve

LATE_S = 1.0
"""An event that has waited this long says so, although the broker was there."""
CROWD_AT_MOST = 1000
"""So many events and states may wait for a broker that is there, before the PBX is asked for more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most events that wait, their greatest age in seconds, and their bytes; answers and their bytes."""

    most: int = 100_000
    event_age_s: float = 300.0
    answers: int = 1000
    answer_bytes: int = 1_048_576
    event_bytes: int = 100_000_000


class Signal(Protocol):
    """An asyncio.Event as the core sees it: the core imports no event loop."""

    def set(self) -> None:
        """Wake all waiters."""
        ...

    def clear(self) -> None:
        """Make later calls of `wait` block."""
        ...

    async def wait(self) -> object:
        """Block until `set` is called."""
        ...


class Outbox:
    """The waiting and unacknowledged messages of one link. Await `changed` for something to send.

    `event_done` is called with the number of each event that was acknowledged or dropped, so that the journal
    can delete it. `held` says whether a message still has to reach the disk before anything is sent.
    Without a `signal`, `changed` cannot be awaited.
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
        self._refresh = Refresh()
        self._states = States()
        self._at_broker = AtBroker(self._refresh)
        self._events = Line(limits.most, limits.event_bytes)
        self._answers = Line(limits.answers, limits.answer_bytes)
        self._places = 0
        self._answer_is_next = self._event_is_next = False
        self._flying: dict[int, QueuedMessage] = {}
        self._refused: set[int] = set()
        self._blame = Blame()
        self._no_erasures_until_s = 0.0
        self._last_delivery_id = 0
        self._empties = 0
        self.connected = False
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        waiting = len(self._refresh) + len(self._states) + len(self._events) + len(self._answers)
        return waiting + len(self._flying)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return not len(self)

    @property
    def oldest_s(self) -> float | None:
        """When the oldest unacknowledged message was put in, in monotonic seconds."""
        heads = (line.head for line in (self._refresh, self._events, self._answers))
        waiting = (*self._states, *heads, *self._flying.values())
        return min((entry.since_s for entry in waiting if entry is not None), default=None)

    @property
    def taken(self) -> int:
        """How many messages have been taken to be sent."""
        return self._last_delivery_id

    @property
    def in_flight(self) -> int:
        """The number of messages that were sent and not yet answered."""
        return len(self._flying) - len(self._refused)

    @property
    def answers_in_flight(self) -> bool:
        """An answer to a request was sent and is not yet acknowledged."""
        return any(entry.kind in ANSWERS for entry in self._flying.values())

    @property
    def crowded(self) -> bool:
        """The broker is there, but slower than the PBX: no more should be asked of it."""
        return self.connected and len(self._events) + len(self._states) > CROWD_AT_MOST

    async def emptied(self) -> None:
        """Wait until the broker has acknowledged everything."""
        self._empties += 1
        try:
            while not self.idle:
                await self.changed()
        finally:
            self._empties -= 1

    async def changed(self) -> None:
        """Wait for the next change: a message was put in, refused or dropped, or can be sent now.

        Look at the outbox first, then await this.
        """
        if self._signal is None:
            raise RuntimeError("this outbox was made without a signal")
        # Nothing can change between the caller's look and this line: neither awaits in between. So a change
        # that the signal still shows is one that the caller has seen.
        self._signal.clear()
        await self._signal.wait()

    def recheck(self) -> None:
        """Wake the sender: messages that were held may be sent now."""
        if self._signal is not None:
            self._signal.set()

    def put_state(self, message: Message, now_s: float) -> bool:
        """Queue a retained message. It replaces a waiting one of its topic and inherits its age and place.

        Return False if the message erases a topic that the broker has never had; then nothing is sent.
        """
        older = self._states.get(message.topic)
        if message.payload is None:
            # A PBX may create and delete users without end while the broker is away. If their erasures
            # were queued, the outbox would grow for ever.
            if older is not None and not self._refresh and message.topic not in self._at_broker:
                self._states.discard(message.topic)
                self.recheck()
                return False
            self._at_broker.add(message.topic)
        if older is None:
            self._states.put(QueuedMessage(message, now_s, Kind.STATE, place=self._next_place()))
        else:
            self._states.put(older._replace(message=message))
        self.recheck()
        return True

    def put_event(self, message: Message, now_s: float) -> int:
        """Queue an event and return its number. When the line is full, the oldest event is dropped."""
        self._numbered += 1
        self._queue_event(message, self._numbered, now_s, queued=not self.connected)
        return self._numbered

    def put_back(self, number: int, message: Message, since_s: float) -> None:
        """Queue an event of an earlier run under its old number, before any new event."""
        self._numbered = max(self._numbered, number)
        self._queue_event(message, number, since_s, queued=True)

    def put_reply(self, message: Message, now_s: float, *, chosen: bool = False) -> None:
        """Queue a reply. `chosen`: the request named the response topic."""
        self._queue_answer(message, Kind.CHOSEN_REPLY if chosen else Kind.REPLY, now_s)

    def put_erasure(self, topic: str, now_s: float) -> None:
        """Queue the erasure of a retained command, unless the broker is known to ignore erasures."""
        if now_s < self._no_erasures_until_s:
            return
        self._queue_answer(Message(topic, None, retain=True), Kind.ERASURE, now_s)

    def pause_erasures(self, until_s: float) -> None:
        """Erase no command topics until then: the broker ignores it."""
        self._no_erasures_until_s = until_s

    def refresh(
        self, messages: Iterable[Message], now_s: float, topics: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """Start a new broker session: all retained messages go in this order, before everything else.

        They replace all states that wait. Each is taken from `messages` when its turn comes, and replaced by
        what has been put in meanwhile. `topics` returns theirs; the broker may have them already.
        """
        self._states.keep_erasures()
        self._refresh.begin(messages, now_s, topics)
        self.connected = True
        self._blame.session_began()
        self.recheck()

    def take(self, now_s: float) -> tuple[int, Message] | None:
        """The next message to send and its delivery id.

        None if nothing may be sent now: something is held; or the broker refused messages while others are
        still in flight, and the order must be kept; or a suspect has to travel alone.
        """
        if self._held():
            return None
        if self._refused:
            if self.in_flight:
                return None
            self._take_back()
        found = self._next(now_s)
        if found is None or (self._flying and self._one_goes_alone(found[1], now_s)):
            return None
        waiting, entry = found
        waiting.pop()
        if isinstance(waiting, Refresh):
            self._states.discard(entry.message.topic)
        else:
            is_answer = entry.kind in ANSWERS
            self._answer_is_next = not is_answer and self._answers.head is not None
            self._event_is_next = self._event_is_next if is_answer else entry.kind is Kind.STATE
        self._last_delivery_id += 1
        self._flying[self._last_delivery_id] = entry
        if entry.kind is Kind.STATE:
            self._at_broker.add(entry.message.topic)
        return self._last_delivery_id, _dated(entry, now_s)

    def _one_goes_alone(self, entry: QueuedMessage, now_s: float) -> bool:
        """A suspect is next or in flight. It travels alone, so that its effect is certain."""
        flying = next(iter(self._flying.values()))
        return self._blame.goes_alone(entry, now_s) or self._blame.goes_alone(flying, now_s)

    def done(self, delivery_id: int, *, answered: bool = True) -> float | None:
        """Forget a delivered message and return when it was put in.

        `answered`: the broker acknowledged it. With QoS 0 it was only written to the socket, which proves
        nothing.
        """
        entry = self._flying.pop(delivery_id, None)
        if entry is None:
            return None
        self._refused.discard(delivery_id)
        if answered:
            self._blame.answered(entry)
        if entry.kind is Kind.STATE:
            self._forget_older(delivery_id, entry.message.topic)
            if entry.message.payload is None:
                self._note_erased(entry.message.topic)
        self._forget(entry)
        if self._empties or self._refused or len(self) > len(self._flying):  # else nobody has work
            self.recheck()
        return entry.since_s

    def _forget_older(self, delivery_id: int, topic: str) -> None:
        """A state is answered: refused older ones of its topic must not be sent after it."""
        for older in [each for each in self._refused if each < delivery_id]:
            if self._flying[older].key == topic:
                self._refused.remove(older)
                del self._flying[older]

    def _note_erased(self, topic: str) -> None:
        if all(entry.message.topic != topic for entry in self._flying.values()):
            self._at_broker.discard(topic)

    def again(self, delivery_id: int) -> None:
        """The broker cannot take this message now: queue it again when everything in flight is answered."""
        if delivery_id in self._flying:
            self._refused.add(delivery_id)
            self.recheck()

    def disconnected(self, now_s: float, *, by_broker: bool = False) -> Culprit | None:
        """The broker session is gone: queue unacknowledged messages again, in their old order.

        Answers are dropped: each is sent once. If the broker closed the session and it is certain which
        message made it do so, that message is returned and not sent again.
        """
        self.connected = False
        self._refresh.end()
        culprit = self._judge(now_s) if by_broker else None
        for delivery_id, entry in list(self._flying.items()):
            if entry.kind in ANSWERS:
                del self._flying[delivery_id]
                self._drop(entry, "reply")
        self._take_back()
        return culprit

    def _judge(self, now_s: float) -> Culprit | None:
        """Find the message that made the broker close the session, if it is certain."""
        unanswered = [each for delivery_id, each in self._flying.items() if delivery_id not in self._refused]
        culprit = self._blame.session_ended(unanswered, now_s)
        if culprit is not None and culprit.kind not in ANSWERS:
            _, entry = self._flying.popitem()  # a suspect travels alone
            self._drop(entry, "poison")
        return culprit

    def set_aside(self, topic: str, now_s: float) -> None:
        """Skip this topic for an hour."""
        self._blame.set_aside(topic, now_s)

    def aside(self, now_s: float) -> tuple[str, ...]:
        """The topics that are skipped now."""
        return self._blame.aside(now_s)

    def forget_events(self) -> None:
        """Drop and count the events that wait: another bridge tells them now."""
        while self._events.head is not None:
            self._drop(self._events.pop(), "takeover")

    def _take_back(self) -> None:
        # Everything in flight was taken from the heads of the lines and so is older than what still waits.
        # Put back in reverse, one by one at the head, the messages end up in their old order. A state that
        # changed meanwhile has a newer message waiting already: that one wins, in the older place.
        for entry in reversed(self._flying.values()):
            if entry.kind is Kind.STATE:
                self._states.put_back(entry)
            elif entry.kind is Kind.EVENT:
                self._events.put_back(entry._replace(queued=True))
            else:
                self._answers.put_back(entry)
        self._flying.clear()
        self._refused.clear()

    def _queue_event(self, message: Message, number: int, now_s: float, *, queued: bool) -> None:
        """Queue an event and drop those that are too old to be sent: they need not wait for a broker."""
        while (head := self._events.head) is not None and self._is_too_old(head, now_s):
            self._drop(self._events.pop(), "age")
        place = self._next_place()
        entry = QueuedMessage(message, now_s, Kind.EVENT, number, queued, size_of(message), place)
        for gone in self._events.push(entry):
            self._drop(gone, "overflow")
        self.recheck()

    def _queue_answer(self, message: Message, kind: Kind, now_s: float) -> None:
        for gone in self._answers.push(QueuedMessage(message, now_s, kind, size=size_of(message))):
            self._drop(gone, "reply")
        self.recheck()

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def _is_too_old(self, event: QueuedMessage, now_s: float) -> bool:
        return now_s - event.since_s > self._limits.event_age_s

    def _next(self, now_s: float) -> tuple[Refresh | States | Line, QueuedMessage] | None:
        """The next message, and where it waits. What is too old or must not be sent is dropped on the way."""
        while (found := self._first()) is not None:
            waiting, entry = found
            if not self._blame.may_send(entry, now_s):
                reason = None if entry.kind is Kind.STATE else "poison"
            elif entry.kind is Kind.EVENT and self._is_too_old(entry, now_s):
                reason = "age"
            else:
                break
            waiting.pop()
            self._drop(entry, reason)
        return found

    def _first(self) -> tuple[Refresh | States | Line, QueuedMessage] | None:
        """What a new session hears first; then those in turn, but no event before an older state."""
        first = self._refresh.head
        if first is not None:
            newer = self._states.get(first.message.topic)
            return self._refresh, first if newer is None else newer._replace(place=first.place)
        state, event, answer = self._states.head, self._events.head, self._answers.head
        if answer is not None and (self._answer_is_next or (state is None and event is None)):
            return self._answers, answer
        if state is not None and (event is None or not self._event_is_next or state.place < event.place):
            return self._states, state
        return None if event is None else (self._events, event)

    def _drop(self, entry: QueuedMessage, reason: str | None) -> None:
        """Drop a message and count it. A state without a reason is skipped: it comes again."""
        if reason is not None:
            self._forget(entry)
            self.dropped[reason] += 1
        self.recheck()

    def _forget(self, entry: QueuedMessage) -> None:
        self._blame.forget(entry)
        if entry.number is not None:
            self._event_done(entry.number)


def _dated(entry: QueuedMessage, now_s: float) -> Message:
    """The message as it is sent: an event that waited says so."""
    waited_s = now_s - entry.since_s
    if entry.number is None or not (entry.queued or waited_s >= LATE_S):
        return entry.message
    return evolve(entry.message, age_ms=round(waited_s * 1000))
