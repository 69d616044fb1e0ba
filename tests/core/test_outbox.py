"""State coalesces, events queue, nothing is lost between outbox and broker; the small memories too."""

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from bridge.core.backoff import delays
from bridge.core.blame import Culprit
from bridge.core.caused import BLAMED_AT_MOST, PROVEN_AT_MOST, REST_S, Caused
from bridge.core.line import Kind, Line, QueuedMessage
from bridge.core.message import Json, Message
from bridge.core.outbox import CROWD_AT_MOST, Limits, Outbox
from bridge.mqtt.encode import encode


def state(topic: str, payload: str | None = "x") -> Message:
    """A retained message."""
    return Message(topic, payload, retain=True)


def event(number: int) -> Message:
    """An event."""
    return Message("event", {"seq": number, "queued": False, "age_ms": 0})


def drain(outbox: Outbox, now_s: float = 0.0) -> list[Message]:
    """Take and acknowledge everything."""
    taken = []
    while (item := outbox.take(now_s)) is not None:
        outbox.done(item[0])
        taken.append(item[1])
    return taken


def sent(message: Message) -> object:
    """What the broker gets of it."""
    return json.loads(encode(message) or "null")


def test_states_coalesce_in_their_place() -> None:
    """One message per topic, the newest, in the place of the first; the events after it, in order."""
    outbox = Outbox(Limits())
    outbox.refresh([], 0)
    outbox.put_state(state("a", "old"), 0)
    outbox.put_event(event(1), 0)
    outbox.put_state(state("a", "new"), 0)
    outbox.put_reply(Message("reply", {"x": 1}), 0)

    assert len(outbox) == 3
    assert [message.payload for message in drain(outbox)] == ["new", {"x": 1}, event(1).payload]
    assert outbox.idle


def test_late_events_say_so() -> None:
    """Made while no broker was there: queued, with their age; too old ones are dropped and counted."""
    outbox = Outbox(Limits(event_age_s=10))
    outbox.put_event(event(1), 0.0)
    outbox.put_event(event(2), 8.0)
    outbox.put_event(Message("event", None), 8.0)

    messages = drain(outbox, 12.5)
    assert sent(messages[0]) == {"seq": 2, "queued": True, "age_ms": 4500}
    assert messages[1].payload is None
    assert outbox.dropped == {"age": 1}


@pytest.mark.parametrize("payload", [{"seq": 1}, b'{"seq":1}'])
def test_events_that_a_slow_broker_delays_say_so(payload: Json | bytes) -> None:
    """It is there, and they wait for it all the same; a moment is no news."""
    outbox = Outbox(Limits(event_age_s=10))
    outbox.refresh([], 0.0)
    for second in (0.0, 5.0, 9.5):
        outbox.put_event(Message("event", payload), second)

    messages = drain(outbox, 10.25)
    assert [sent(message) for message in messages] == [
        {"seq": 1, "queued": True, "age_ms": 5250},
        {"seq": 1},
    ]
    assert outbox.dropped == {"age": 1}


@pytest.mark.parametrize("payload", ["ding", b"7", None])
def test_what_is_no_object_cannot_say_that_it_waited(payload: str | bytes | None) -> None:
    """It is sent as it is."""
    outbox = Outbox(Limits())
    outbox.put_event(Message("event", payload), 0.0)
    assert [encode(message) for message in drain(outbox, 5.0)] == [encode(Message("event", payload))]


def test_the_oldest_goes_when_there_are_too_many() -> None:
    """Bounded and counted."""
    outbox = Outbox(Limits(most=2))
    for number in range(4):
        outbox.put_event(event(number), 0)

    assert outbox.dropped == {"overflow": 2}
    assert len(outbox) == 2


def test_what_was_not_acknowledged_comes_again_in_order() -> None:
    """Events at their old place and marked as late; an older state never replaces a newer one."""
    outbox = Outbox(Limits())
    outbox.refresh([state("a", "1"), state("b", "1")], 0)
    outbox.put_event(event(1), 0)
    outbox.put_event(event(2), 0)
    deliveries = [outbox.take(0) for _ in range(3)]
    assert outbox.in_flight == 3
    assert deliveries[0] is not None
    assert outbox.done(deliveries[0][0]) == 0
    assert outbox.done(999) is None
    outbox.put_state(state("b", "2"), 1)
    outbox.disconnected(0.0)
    outbox.refresh([state("a", "3")], 2)

    taken = drain(outbox, 2)
    assert taken[0].payload == "3", "what waited is not of the tree any more"
    assert [sent(message) for message in taken[1:]] == [
        {"seq": 1, "queued": True, "age_ms": 2000},
        {"seq": 2, "queued": True, "age_ms": 2000},
    ]


def test_the_age_of_what_waits_is_that_of_its_first_word() -> None:
    """A state that changes all the time is as old as its first change that nobody got."""
    outbox = Outbox(Limits())
    ages = [outbox.oldest_s]
    outbox.put_state(state("a"), 5.0)
    outbox.put_state(state("a"), 6.0)
    ages.append(outbox.oldest_s)
    outbox.put_event(event(1), 3.0)
    taken = [outbox.take(7.0), outbox.take(7.0)]
    ages.append(outbox.oldest_s)
    assert [outbox.done(each[0]) for each in taken if each is not None] == [5.0, 3.0]
    assert [*ages, outbox.oldest_s] == [None, 5.0, 3.0, None]


def test_what_was_not_taken_for_the_moment_comes_again_in_order() -> None:
    """After all that is on its way is answered; it does not count as under way meanwhile."""
    outbox = Outbox(Limits())
    for number in (1, 2, 3, 4):
        outbox.put_event(event(number), 0.0)
    first, second, third = (taken[0] for _ in range(3) if (taken := outbox.take(0.0)) is not None)
    outbox.again(first)
    outbox.again(77)
    assert (outbox.in_flight, len(outbox), outbox.take(0.0)) == (2, 4, None)
    outbox.done(second)
    outbox.again(third)
    payloads = [message.payload for message in drain(outbox)]
    assert [each["seq"] for each in payloads if isinstance(each, dict)] == [1, 3, 4]


def test_clearing_survives_an_outage() -> None:
    """A topic that must be cleared is not forgotten by the refresh."""
    outbox = Outbox(Limits())
    outbox.put_state(state("gone", None), 0)
    outbox.refresh([state("a")], 1)

    assert [(message.topic, message.payload) for message in drain(outbox)] == [("a", "x"), ("gone", None)]


def test_a_reply_is_sent_once() -> None:
    """What was on its way when the session ended goes again but for the reply; one that waited goes."""
    outbox = Outbox(Limits())
    outbox.put_reply(Message("r", "first"), 0)
    outbox.put_event(Message("e", {}), 0)
    sent = [outbox.take(0), outbox.take(0)]
    assert {item is not None and item[1].topic for item in sent} == {"r", "e"}
    outbox.put_reply(Message("r", "second"), 0)
    assert outbox.disconnected(0.0) is None
    outbox.refresh((), 0)

    assert [message.payload for message in drain(outbox) if message.topic == "r"] == ["second"]
    assert outbox.dropped == {"reply": 1}


def answers(outbox: Outbox) -> list[object]:
    """What the payloads of the messages that wait are, in the order in which they go."""
    outbox.refresh((), 0)
    return [message.payload for message in drain(outbox)]


def test_replies_push_no_event_out() -> None:
    """Nor do events push out replies: each line has its own limits, and the oldest of it goes."""
    outbox = Outbox(Limits(most=2, answers=3))
    outbox.put_event(event(1), 0)
    for number in range(5):
        outbox.put_reply(Message("r", str(number)), 0)
    outbox.put_event(event(2), 0)
    outbox.put_event(event(3), 0)

    assert outbox.dropped == {"reply": 2, "overflow": 1}
    assert len(outbox) == 5
    payloads = answers(outbox)
    assert [each for each in payloads if isinstance(each, str)] == ["2", "3", "4"]
    assert [each["seq"] for each in payloads if isinstance(each, dict)] == [2, 3]


@pytest.mark.parametrize(
    "large",
    [
        Message("r", {"message": "x" * 1000}),
        Message("r", "ä" * 500),
        Message("r" * 1000, None),
        Message("r", "", correlation=b"x" * 1000),
    ],
)
def test_replies_are_limited_in_bytes(large: Message) -> None:
    """Payload, topic and correlation data count, in bytes; what has left the line does not."""
    outbox = Outbox(Limits(answer_bytes=2500))
    outbox.refresh((), 0)
    for _ in range(3):
        outbox.put_reply(large, 0)
    assert (len(outbox), outbox.dropped) == (2, {"reply": 1})
    drain(outbox)
    for _ in range(2):
        outbox.put_reply(large, 0)
    assert (len(outbox), outbox.dropped) == (2, {"reply": 1})


def test_one_reply_larger_than_the_limit_goes() -> None:
    """It pushes no other one out, and does not stand in the way of the next."""
    outbox = Outbox(Limits(answer_bytes=500))
    for payload in ("before", "x" * 1000, "after"):
        outbox.put_reply(Message("r", payload), 0)
    assert answers(outbox) == ["before", "after"]
    assert outbox.dropped == {"reply": 1}


def test_deletions_on_command_topics_are_limited_too() -> None:
    """Strangers cause them, on topics of any length: they count as replies do."""
    outbox = Outbox(Limits(answer_bytes=100_000))
    for number in range(100):
        outbox.put_erasure(f"{number}{'x' * 30_000}", 0)
    assert (len(outbox), outbox.dropped) == (3, {"reply": 97})
    outbox.refresh((), 0)
    assert [(each.payload, each.retain) for each in drain(outbox)] == [(None, True)] * 3


def test_events_are_limited_in_bytes() -> None:
    """The oldest go, and are counted; what has left the line does not count."""
    outbox = Outbox(Limits(event_bytes=2500))
    outbox.refresh((), 0)
    for _ in range(2):
        for number in range(4):
            outbox.put_event(Message("e", b"%d" % number * 1000), 0)
        assert [encode(message)[:1] for message in drain(outbox)] == [b"2", b"3"]
    assert outbox.dropped == {"overflow": 4}


def test_states_that_change_all_the_time_starve_no_event() -> None:
    """Nor do events starve states: with a broker that takes one message for each that comes, both go on."""
    outbox = Outbox(Limits())
    outbox.refresh([state(f"u{number}") for number in range(10)], 0.0)
    taken = []
    for second in range(40):
        for number in range(10):
            outbox.put_state(state(f"u{number}", str(second)), second)
        outbox.put_event(event(second), second)
        outbox.put_reply(Message("reply", "x"), second)
        item = outbox.take(second)
        assert item is not None
        outbox.done(item[0])
        taken.append(item[1].topic)

    assert taken[:10] == [f"u{number}" for number in range(10)], "a new session hears all of them first"
    assert taken[11::2] == ["reply"] * 15
    assert taken[10::2] == [*(each for number in range(7) for each in (f"u{number}", "event")), "u7"]


def test_of_a_change_the_state_goes_first() -> None:
    """Whoever gets an event finds the state that was put in before it, whatever was sent or waits."""
    outbox = Outbox(Limits())
    outbox.refresh((), 0)
    outbox.put_state(state("b"), 0)
    assert outbox.take(0) is not None
    for before in ("a state that waits", "an event", "a state"):
        outbox.put_state(state("c"), 0)
        outbox.put_state(state("a"), 0)
        outbox.put_event(event(1), 0)
        assert [message.topic for message in drain(outbox)] == ["c", "a", "event"], before
        if before == "an event":
            outbox.put_event(event(1), 0)
        drain(outbox)


def test_what_another_bridge_tells_is_dropped_and_counted() -> None:
    """Only events: states and replies are of this bridge."""
    done: list[int] = []
    outbox = Outbox(Limits(), done.append)
    for number in range(3):
        outbox.put_event(event(number), 0)
    outbox.put_state(state("a"), 0)
    outbox.put_reply(Message("r", None), 0)
    outbox.forget_events()
    assert (outbox.dropped, done) == ({"takeover": 3}, [1, 2, 3])
    assert [message.topic for message in drain(outbox)] == ["a", "r"]


def test_the_newest_state_goes_in_the_place_of_a_refused_one() -> None:
    """Else the event of the first change would overtake both."""
    outbox = Outbox(Limits())
    outbox.refresh([state("x")], 0)
    for topic in ("b", "a"):
        outbox.put_state(state(topic, "1"), 0)
        outbox.put_event(event(1), 0)
    deliveries = [taken[0] for _ in range(5) if (taken := outbox.take(0)) is not None]
    outbox.put_state(state("a", "2"), 0)
    for delivery_id in deliveries:
        outbox.again(delivery_id)
    assert [message.topic for message in drain(outbox)] == ["x", "b", "event", "a", "event"]


@pytest.mark.parametrize("payload", ["2", None])
def test_a_refused_state_does_not_replace_a_newer_one(payload: str | None) -> None:
    """The broker could not take the older one for the moment, and has the newer one already."""
    outbox = Outbox(Limits())
    outbox.refresh([state("b", "1"), state("a", "1"), state("c", "1")], 0)
    old = [taken[0] for _ in range(3) if (taken := outbox.take(0)) is not None]
    outbox.put_state(state("a", payload), 0)
    new = outbox.take(0)
    assert new is not None
    for delivery_id in old[:2]:
        outbox.again(delivery_id)
    for delivery_id in (old[2], new[0]):
        outbox.done(delivery_id)
    assert [message.topic for message in drain(outbox)] == ["b"]


def test_a_state_that_changed_during_a_refresh_stays_before_later_events() -> None:
    """It goes in its place of the tree, and if it is refused it comes again there."""
    outbox = Outbox(Limits())
    outbox.refresh([state("a"), state("b")], 0)
    outbox.put_state(state("b", "new"), 0)
    outbox.put_event(event(1), 0)
    outbox.put_state(state("a", "new"), 0)
    for delivery_id in [taken[0] for _ in range(2) if (taken := outbox.take(0)) is not None]:
        outbox.again(delivery_id)
    assert [message.topic for message in drain(outbox)] == ["a", "b", "event"]


def test_it_is_crowded_while_the_broker_is_slow() -> None:
    """By events, or by the states of a first list; not while it is away: then the PBX is read on."""
    outbox = Outbox(Limits())
    for number in range(CROWD_AT_MOST):
        outbox.put_event(event(number), 0)
    outbox.put_event(event(CROWD_AT_MOST), 0)
    crowded = [outbox.crowded]
    outbox.refresh((), 0)
    crowded.append(outbox.crowded)
    assert outbox.take(0) is not None
    crowded.append(outbox.crowded)
    outbox.put_state(state("a"), 0)
    assert [*crowded, outbox.crowded] == [False, True, False, True]


def test_a_refresh_goes_before_what_waits() -> None:
    """The tree first, in its order, with the newest payloads; then erasures and what is new, and events."""
    outbox = Outbox(Limits())
    outbox.put_event(event(1), 0)
    outbox.put_state(state("b", "old"), 0)
    outbox.put_state(state("gone", None), 0)
    outbox.refresh([state(topic, "tree") for topic in "abc"], 1)
    outbox.put_state(state("d"), 1)
    for topic, payload in (("a", "new"), ("c", "new"), ("c", None)):
        assert outbox.put_state(state(topic, payload), 1), "the broker may have it"
    taken = [(message.topic, message.payload) for message in drain(outbox, 1)]
    assert taken[:3] == [("a", "new"), ("b", "tree"), ("c", None)]
    assert {topic for topic, _ in taken[3:]} == {"gone", "d", "event"}
    assert len(taken) == 6


def test_a_refresh_makes_its_messages_when_they_are_sent() -> None:
    """All at once would block. What a lost session leaves unsent may be at the broker all the same.

    Nothing is made only for its topic, and topics are not asked for unless something is erased.
    """
    made: list[str] = []
    asked: list[str] = []

    def topics() -> Iterator[str]:
        asked.append("topics")
        yield from "abc"

    def tree() -> Iterator[Message]:
        for topic in "abc":
            made.append(topic)
            yield state(topic)

    outbox = Outbox(Limits())
    outbox.refresh(tree(), 5.0, topics)
    assert outbox.take(5.0) is not None
    assert (made, outbox.idle, outbox.oldest_s) == (["a", "b"], False, 5.0)
    outbox.disconnected(6.0)
    assert outbox.put_state(state("c"), 7.0)
    assert (made, asked) == (["a", "b"], [])
    assert outbox.put_state(state("c", None), 7.0), "it is erased there"
    assert outbox.put_state(state("d"), 7.0)
    assert not outbox.put_state(state("d", None), 7.0), "nobody has it"
    assert (made, asked) == (["a", "b"], ["topics"])
    outbox.refresh([state("a")], 8.0)
    assert [(message.topic, message.payload) for message in drain(outbox, 8.0)] == [("a", "x"), ("c", None)]
    assert outbox.idle


def test_replies_and_events_take_turns() -> None:
    """A flood of one kind does not hold up the other."""
    outbox = Outbox(Limits())
    for number in range(4):
        outbox.put_reply(Message("r", str(number)), 0)
    for number in range(2):
        outbox.put_event(Message("e", None), number)
    outbox.refresh([state("s")], 0)
    assert [message.topic for message in drain(outbox)] == ["s", "e", "r", "e", "r", "r", "r"]


def test_a_reply_that_was_not_taken_for_the_moment_keeps_its_place() -> None:
    """It is sent again in the same session, before later ones."""
    outbox = Outbox(Limits())
    outbox.refresh((), 0)
    for number in range(3):
        outbox.put_reply(Message("r", str(number)), 0)
    first = outbox.take(0)
    assert first is not None
    outbox.again(first[0])
    assert [message.payload for message in drain(outbox)] == ["0", "1", "2"]


def test_it_knows_whether_an_answer_is_on_its_way() -> None:
    """Then the end of a session may be the answer's fault."""
    outbox = Outbox(Limits())
    outbox.refresh([state("s")], 0)
    outbox.put_reply(Message("r", None), 0)
    known = []
    for _ in range(2):
        assert outbox.take(0) is not None
        known.append(outbox.answers_in_flight)
    assert known == [False, True]


def test_a_line_can_be_looked_at() -> None:
    """In its order; that takes nothing out."""
    line = Line(2)
    for topic in ("a", "b", "c"):
        line.push(QueuedMessage(Message(topic, None), 0.0, Kind.EVENT))
    assert [entry.message.topic for entry in line] == ["b", "c"]
    assert len(line) == 2


def test_events_grow_too_old_while_no_broker_is_there() -> None:
    """They do not fill the memory until one comes."""
    done: list[int] = []
    outbox = Outbox(Limits(event_age_s=10), done.append)
    for second in range(100):
        outbox.put_event(event(second), float(second))
    assert (len(outbox), outbox.dropped["age"], done[-1]) == (11, 89, 89)


def session(outbox: Outbox, now_s: float, bad: Callable[[str], bool]) -> tuple[list[str], Culprit | None]:
    """One session with a broker that ends it at a bad topic: what it took, and what is blamed."""
    outbox.refresh([state("state")], now_s)
    taken: list[str] = []
    while (item := outbox.take(now_s)) is not None:
        if bad(item[1].topic):
            return taken, outbox.disconnected(now_s, by_broker=True)
        outbox.done(item[0])
        taken.append(item[1].topic)
    return taken, None


def deep(topic: str) -> bool:
    """What a broker with few levels does not take."""
    return topic.count("/") > 4


@pytest.mark.parametrize("kind", [Kind.REPLY, Kind.CHOSEN_REPLY, Kind.ERASURE])
def test_a_stranger_ends_three_sessions_an_hour(kind: Kind) -> None:
    """At a broker that ends them at an answer, whatever other topics there are; those it took go on."""
    outbox = Outbox(Limits())

    def ask(topic: str, now_s: float) -> None:
        if kind is Kind.ERASURE:
            outbox.put_erasure(topic, now_s)
        else:
            outbox.put_reply(Message(topic, "x"), now_s, chosen=kind is Kind.CHOSEN_REPLY)

    ask("good", 0.0)
    assert session(outbox, 0.0, deep) == (["state", "good"], None)
    ends, culprits = 0, []
    for number in range(100):
        ask(f"a/b/c/d/e/f{number}", number)
        ask("good", number)
        ask(f"good/{number}", number)
        taken, culprit = session(outbox, number, deep)
        ends += not outbox.connected
        culprits += [culprit] if culprit is not None else []
        if outbox.connected:
            assert set(taken) == {"state", "good"}
    assert ends == 3
    assert [(culprit.kind, deep(culprit.message.topic)) for culprit in culprits] == [(kind, True)]
    ask("good/new", 2 * REST_S)
    assert session(outbox, 2 * REST_S, deep) == (["state", "good/new"], None)


def test_a_right_that_is_taken_away_is_noticed() -> None:
    """A topic that the broker took before, and at which it now ends sessions, is trusted no more."""
    outbox = Outbox(Limits())
    ends = 0
    for number in range(10):
        outbox.put_reply(Message("a/b/c/d/e/f", "x"), number, chosen=True)
        session(outbox, number, deep if number else lambda _: False)
        ends += not outbox.connected
    assert ends == 3


def test_a_network_that_breaks_beside_a_reply_is_not_blamed_on_it() -> None:
    """Not when something else was on its way, nor when the broker took nothing in that session."""
    outbox = Outbox(Limits())
    for _ in range(10):
        outbox.put_reply(Message("r/1", "x"), 0.0, chosen=True)
        outbox.refresh((), 0.0)
        assert outbox.take(0.0) is not None
        assert outbox.disconnected(0.0, by_broker=True) is None
    outbox.put_reply(Message("r/2", "x"), 0.0, chosen=True)
    assert session(outbox, 0.0, deep) == (["state", "r/2"], None)


def test_a_network_that_breaks_again_and_again_beside_a_good_topic() -> None:
    """Each time when that was alone on its way: the broker takes it in between, so it is not blamed."""
    outbox = Outbox(Limits())
    for number in range(20):
        for ends in (True, False):
            outbox.put_reply(Message("r", "x"), number)
            taken, culprit = session(outbox, number, (lambda topic: topic == "r") if ends else deep)
            assert (taken[1:], culprit) == ([] if ends else ["r"], None)
    outbox.put_reply(Message("r/2", "x"), 20.0)
    assert session(outbox, 20.0, deep) == (["state", "r/2"], None)


def test_memory_of_topics_is_bounded() -> None:
    """The broker may take any number of topics that strangers name; the latest are known."""
    caused = Caused()
    for number in range(PROVEN_AT_MOST + 10):
        caused.taken(str(number))
    for number in range(2 * BLAMED_AT_MOST):
        caused.session_ended([f"bad {number}"], 0.0, alone=False)
    assert len(caused._blamed) == BLAMED_AT_MOST
    assert [caused.session_ended(["bad"], 0.0, alone=True) for _ in range(2)] == [False, True]
    assert [caused.may_send(str(number), 1.0) for number in (9, 10, PROVEN_AT_MOST)] == [False, True, True]
    assert caused.may_send("9", REST_S)


def test_what_was_only_written_proves_nothing() -> None:
    """With QoS 0 nobody says that the broker took it: a topic that it ends sessions at is not trusted."""
    outbox = Outbox(Limits())
    outbox.refresh((), 0.0)
    outbox.put_event(Message("e", None), 0.0)
    for _ in range(10):
        item = outbox.take(0.0)
        assert item is not None
        assert outbox.disconnected(0.0, by_broker=True) is None
        outbox.refresh([state("s")], 0.0)
        item = outbox.take(0.0)
        assert item is not None
        outbox.done(item[0], answered=False)
    assert [message.topic for message in drain(outbox)] == ["e"]


def test_delays_double_to_a_cap_with_a_spread() -> None:
    """Half the bound without luck, all of it with."""
    assert list(islice(delays(lambda: 0.0, first_s=1, longest_s=4), 4)) == [0.5, 1, 2, 2]
    assert list(islice(delays(lambda: 1.0, first_s=1, longest_s=4), 4)) == [1, 2, 4, 4]


def test_a_peer_that_comes_back_is_met_within_three_seconds() -> None:
    """However long it was away: the tree is to be whole five seconds later."""
    assert max(islice(delays(lambda: 1.0), 1000)) == 3


def test_what_the_broker_never_had_is_not_cleared() -> None:
    """While it is away users may come and go without end: nothing is left of them."""
    outbox = Outbox(Limits())
    outbox.refresh([state("a")], 0)
    drained = drain(outbox, 0)
    outbox.disconnected(1.0)
    for number in range(1000):
        assert outbox.put_state(state(f"u{number}"), 2.0)
        assert not outbox.put_state(state(f"u{number}", None), 2.0)
    assert (len(drained), len(outbox)) == (1, 0)
    assert outbox.put_state(state("a", None), 3.0)
    assert outbox.put_state(state("a"), 3.0)
    assert outbox.put_state(state("a", None), 3.0)
    assert [message.payload for message in drain(outbox, 4.0)] == [None]


@pytest.mark.parametrize("last", [True, False])
def test_what_is_cleared_may_be_there_again(*, last: bool) -> None:
    """Told, cleared, told: the next clearing is sent while the last word may be there."""
    outbox = Outbox(Limits())
    outbox.refresh([], 0)
    deliveries = []
    for payload in ("1", None, "2")[: 3 if last else 2]:
        outbox.put_state(state("a", payload), 0)
        item = outbox.take(0)
        assert item is not None
        deliveries.append(item[0])
    outbox.done(deliveries[0])
    outbox.done(deliveries[1])
    outbox.put_state(state("a", "3"), 1)

    assert outbox.put_state(state("a", None), 1) == last


def _erase_unsent(outbox: Outbox) -> None:
    outbox.put_state(state("new"), 0)
    outbox.put_state(state("new", None), 0)


def _drop_set_aside(outbox: Outbox) -> None:
    outbox.put_state(state("a"), 0)
    outbox.set_aside("a", 0)
    assert outbox.take(1) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda outbox: outbox.put_state(state("a"), 0),
        _erase_unsent,
        _drop_set_aside,
        lambda outbox: outbox.put_event(event(1), 0),
        lambda outbox: outbox.put_reply(Message("r", "x"), 0),
        lambda outbox: outbox.put_erasure("c", 0),
        lambda outbox: outbox.refresh([], 0),
        lambda outbox: outbox.again(1),
        lambda outbox: outbox.recheck(),
    ],
)
async def test_whoever_waits_is_woken(change: Callable[[Outbox], object]) -> None:
    """Everybody who waits for a change, by each of them; not by a delivery that is known to nobody."""
    outbox = Outbox(Limits(), signal=asyncio.Event())
    outbox.put_event(event(0), 0)
    assert outbox.take(0) is not None
    waiting = [asyncio.ensure_future(outbox.changed()) for _ in range(2)]
    outbox.done(99)
    outbox.again(99)
    done, _ = await asyncio.wait(waiting, timeout=0.01)
    assert not done

    change(outbox)

    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)


async def test_nobody_waits_without_a_signal() -> None:
    """It would wait for ever."""
    with pytest.raises(RuntimeError, match="without a signal"):
        await Outbox(Limits()).changed()


@pytest.mark.parametrize(
    ("others", "refused", "woken"),
    [(0, False, False), (1, False, True), (0, True, True)],
    ids=["nothing else", "another waits", "another was not taken"],
)
async def test_an_acknowledgement_wakes_the_sender_if_it_has_work(
    others: int, *, refused: bool, woken: bool
) -> None:
    """A message that waited for room, or one that is to be sent again now."""
    outbox = Outbox(Limits(), signal=asyncio.Event())
    for number in range(1 + others + refused):
        outbox.put_event(event(number), 0)
    items = [outbox.take(0) for _ in range(1 + refused)]
    if refused:
        outbox.again(items[1][0] if items[1] is not None else 0)
    sender = asyncio.ensure_future(outbox.changed())
    await asyncio.sleep(0)
    outbox.done(items[0][0] if items[0] is not None else 0)
    await asyncio.wait([sender], timeout=0.01)
    assert sender.done() == woken
    sender.cancel()


async def test_who_waits_for_the_end_is_woken_by_the_last_acknowledgement() -> None:
    """Not before: all must be delivered."""
    outbox = Outbox(Limits(), signal=asyncio.Event())
    for number in range(2):
        outbox.put_event(event(number), 0)
    stopping = asyncio.ensure_future(outbox.emptied())
    while (item := outbox.take(0)) is not None:
        await asyncio.sleep(0)
        assert not stopping.done()
        outbox.done(item[0])
    async with asyncio.timeout(5):
        await stopping
