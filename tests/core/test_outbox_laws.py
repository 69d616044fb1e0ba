"""Laws of the outbox that hold for any sequence of puts, takes and answers."""

from dataclasses import dataclass, field

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox

TOPICS = ("a", "b")
many = settings(max_examples=300)
puts = st.sampled_from((*TOPICS, "event", "event", "reply"))
takes = st.just("take")
answers = st.sampled_from(("done", "again"))


def number_of(message: Message) -> int:
    """The step at which it was put in."""
    assert isinstance(message.payload, str)
    return int(message.payload)


@dataclass
class Model:
    """An outbox, and what was put in and is under way. A payload is the number of its step."""

    outbox: Outbox
    newest: dict[str, int] = field(default_factory=dict)
    sent: dict[str, list[int]] = field(default_factory=lambda: {topic: [0] for topic in TOPICS})
    promised: dict[int, dict[str, int]] = field(default_factory=dict)
    flying: dict[int, Message] = field(default_factory=dict)
    there: dict[str, int] = field(default_factory=dict)

    def put(self, what: str, step: int) -> None:
        """Put in a message. An event promises the states that were put in before it."""
        if what == "event":
            self.promised[step] = dict(self.newest)
            self.outbox.put_event(Message("event", str(step)), 0.0)
        elif what == "reply":
            self.outbox.put_reply(Message("reply", str(step)), 0.0)
        else:
            self.newest[what] = step
            self.outbox.put_state(Message(what, str(step), retain=True), 0.0)

    def take(self) -> Message | None:
        """Take a message. The promises of an event are kept."""
        item = self.outbox.take(0.0)
        if item is None:
            return None
        self.flying[item[0]] = message = item[1]
        step = number_of(message)
        if message.retain:
            assert step >= self.there.get(message.topic, 0), "an older state replaces one that is there"
            self.sent[message.topic].append(step)
        elif message.topic == "event":
            for topic, promised in self.promised[step].items():
                assert max(self.sent[topic]) >= promised, f"event {step} before {topic}"
        return message

    def answer(self, word: str) -> None:
        """The broker acknowledges the oldest message under way, or cannot take it now."""
        if not self.flying:
            return
        delivery_id = next(iter(self.flying))
        message = self.flying.pop(delivery_id)
        if word == "done":
            self.there[message.topic] = number_of(message)
            self.outbox.done(delivery_id)
            return
        self.outbox.again(delivery_id)
        if message.retain:
            self.sent[message.topic].remove(number_of(message))


@many
@given(story=st.lists(puts | takes | answers, max_size=40), window=st.integers(1, 8), whole=st.booleans())
@example(story=["a", "take", "a", "take", "again", "done", "take"], window=2, whole=False)
def test_no_event_is_taken_before_a_state_that_was_put_before_it(
    *, story: list[str], window: int, whole: bool
) -> None:
    """Of a topic that changed again, the newest state counts. Nor after the broker refused some for now.

    And what the broker acknowledged is not replaced by an older state.
    """
    model = Model(Outbox(Limits()))
    tree = [Message(topic, "0", retain=True) for topic in TOPICS] if whole else []
    model.outbox.refresh(tree, 0.0)
    for number, step in enumerate(story, 1):
        if step in {"done", "again"}:
            model.answer(step)
        elif step != "take":
            model.put(step, number)
        elif model.outbox.in_flight < window:
            model.take()


@many
@given(st.lists(puts | takes, max_size=60))
def test_each_waits_at_most_for_what_was_put_before_it(story: list[str]) -> None:
    """One of each other kind may go between any two: no kind starves another, whatever is put in later.

    A state does not wait for the events before it: there may be 100,000.
    """
    model = Model(Outbox(Limits()))
    model.outbox.refresh([], 0.0)
    waiting: dict[str, int] = {}
    replies = 0
    for number, step in enumerate(story, 1):
        if step != "take":
            model.put(step, number)
            key = step if step in TOPICS else f"{step} {number}"
            topics = sum(topic in waiting for topic in TOPICS)
            before = {"reply": replies, "event": len(waiting) - replies}.get(step, topics)
            replies += step == "reply"
            waiting.setdefault(key, 4 * before + 3)
        elif (message := model.take()) is not None:
            key = message.topic if message.retain else f"{message.topic} {number_of(message)}"
            assert waiting.pop(key) >= 0
            replies -= message.topic == "reply"
            waiting = {each: left - 1 for each, left in waiting.items()}
