"""State coalesces, events queue, nothing is lost between outbox and broker; the small memories too."""

from itertools import islice

from bridge.core.backoff import delays
from bridge.core.commands import Address
from bridge.core.ledger import REMEMBERED_AT_MOST, REMEMBERED_S, Allowance, Ledger
from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox


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


def test_states_coalesce_and_go_first() -> None:
    """One message per topic, the newest; events after them, in order."""
    outbox = Outbox(Limits())
    outbox.refresh([], 0)
    outbox.put_event(event(1), 0)
    for payload in ("old", "new"):
        outbox.put_state(state("a", payload), 0)
    outbox.put_reply(Message("reply", {"x": 1}), 0)

    assert len(outbox) == 3
    assert [message.payload for message in drain(outbox)] == ["new", event(1).payload, {"x": 1}]
    assert outbox.idle


def test_late_events_say_so() -> None:
    """Made while no broker was there: queued, with their age; too old ones are dropped and counted."""
    outbox = Outbox(Limits(event_age_s=10))
    outbox.put_event(event(1), 0.0)
    outbox.put_event(event(2), 8.0)
    outbox.put_event(Message("event", None), 8.0)

    messages = drain(outbox, 12.5)
    assert messages[0].payload == {"seq": 2, "queued": True, "age_ms": 4500}
    assert messages[1].payload is None
    assert outbox.dropped == {"age": 1}


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
    tickets = [outbox.take(0) for _ in range(3)]
    assert outbox.in_flight == 3
    assert tickets[0] is not None
    assert outbox.done(tickets[0][0]) == 0
    assert outbox.done(999) is None
    outbox.put_state(state("b", "2"), 1)
    outbox.disconnected()
    outbox.refresh([state("a", "3")], 2)

    taken = drain(outbox, 2)
    assert [message.payload for message in taken[:2]] == ["3", "2"]
    assert [message.payload for message in taken[2:]] == [
        {"seq": 1, "queued": True, "age_ms": 2000},
        event(2).payload,
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
    assert [item is not None and item[1].topic for item in sent] == ["r", "e"]
    outbox.put_reply(Message("r", "second"), 0)
    assert outbox.disconnected() is None
    outbox.refresh((), 0)

    assert [message.payload for message in drain(outbox) if message.topic == "r"] == ["second"]
    assert outbox.dropped == {"reply": 1}


def test_the_ledger_remembers_ten_minutes() -> None:
    """A duplicate finds the reply; those that came before it are told when it is there."""
    ledger, address = Ledger(), Address("r", "call")
    assert ledger.open("a", 0) is None
    entry = ledger.open("a", 1)
    assert entry is not None
    entry.waiting.append(address)

    assert ledger.close("a", {"x": 1}) == (address,)
    assert ledger.close("a", {"x": 1}) == ()
    assert ledger.close("never", {}) == ()
    assert ledger.open("a", REMEMBERED_S + 1) is None


def test_the_ledger_is_bounded() -> None:
    """The oldest is forgotten first."""
    ledger = Ledger()
    for number in range(REMEMBERED_AT_MOST + 1):
        ledger.open(str(number), 0)

    assert ledger.open("0", 0) is None
    assert ledger.open("5", 0) is not None


def test_a_full_ledger_still_knows_its_oldest_id() -> None:
    """Asking for it must not be what makes it forgotten: the command would run twice."""
    ledger = Ledger()
    for number in range(REMEMBERED_AT_MOST):
        ledger.open(str(number), 0)

    assert ledger.open("0", 0) is not None


def test_an_allowance_is_of_any_minute() -> None:
    """Used up, and back when the minute has passed."""
    allowance = Allowance(2)

    assert [allowance.take(second) for second in (0, 1, 2, 60, 60.5, 61)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


def test_delays_double_to_a_cap_with_a_spread() -> None:
    """Half the bound without luck, all of it with."""
    assert list(islice(delays(lambda: 0.0, first_s=1, longest_s=4), 4)) == [0.5, 1, 2, 2]
    assert list(islice(delays(lambda: 1.0, first_s=1, longest_s=4), 4)) == [1, 2, 4, 4]


def test_a_peer_that_comes_back_is_met_within_three_seconds() -> None:
    """However long it was away: the tree is to be whole five seconds later."""
    assert max(islice(delays(lambda: 1.0), 1000)) == 3
