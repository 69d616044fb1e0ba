"""What survives a reload in memory, and what is taken over from an earlier run."""

from bridge.core.journal import COMMANDS_AT_MOST, KeptCommand, KeptEvent, MemoryJournal, hand_over
from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox


def test_memory_keeps_what_waits_and_the_newest_ids() -> None:
    """Events that are not done, and as many commands as a ledger knows."""
    journal = MemoryJournal()
    first, second = (KeptEvent(number, Message("t", {"seq": number}), 0) for number in (1, 2))
    for event in (first, second):
        journal.event(event)
    journal.event_done(1)
    journal.user("anna", {"missed": 1})
    for number in range(COMMANDS_AT_MOST + 1):
        journal.command(KeptCommand(str(number), "call", 0, None))
    journal.commit()
    journal.close()
    kept = journal.kept()
    assert kept.events == (second,)
    assert (kept.users, len(kept.commands), kept.commands[0].id) == ({}, COMMANDS_AT_MOST, "1")


def test_memory_is_whole_once_a_link_has_left_its_states() -> None:
    """Until then the broker's memory of users is the only one; the next link takes the states over."""
    journal = MemoryJournal()
    assert not journal.kept().whole
    journal.leave(lambda: {"anna": {"missed": 1}, "bert": {"missed": 0}})
    assert (dict(journal.kept().users), journal.kept().whole) == (
        {"anna": {"missed": 1}, "bert": {"missed": 0}},
        True,
    )
    journal.user("anna", {"missed": 1})
    journal.user("bert", None)
    assert journal.kept().users == {}


def test_what_one_journal_kept_goes_behind_what_another_has() -> None:
    """Events get numbers of the other one, in order; a newer state replaces its own."""
    memory, other = MemoryJournal(), MemoryJournal()
    for journal, word in ((memory, "later"), (other, "earlier")):
        journal.event(KeptEvent(1, Message("t", {"word": word}), 0))
    command = KeptCommand("c-1", "call", 0, None)
    memory.command(command)
    memory.leave(lambda: {"anna": {"missed": 1}})
    other.leave(lambda: {"anna": {"missed": 0}, "gone": {"missed": 5}})
    hand_over(memory.kept(), other)
    kept = other.kept()
    assert [(event.number, event.message.payload) for event in kept.events] == [
        (1, {"word": "earlier"}),
        (2, {"word": "later"}),
    ]
    assert (kept.commands, kept.users) == ((command,), {})


def test_events_of_an_earlier_run_go_first_and_keep_their_numbers() -> None:
    """New ones are numbered behind them; what is done or dropped is told by number."""
    done: list[int] = []
    outbox = Outbox(Limits(most=2), done.append)
    outbox.put_back(7, Message("t", {"seq": 7}), -50.0)
    assert outbox.put_event(Message("t", {"seq": 8}), 0.0) == 8
    outbox.refresh([], 0.0)
    delivery_id, message = outbox.take(0.0) or (0, Message("", None))
    assert (message.payload, message.age_ms) == ({"seq": 7}, 50_000)
    outbox.done(delivery_id)
    for number in (9, 10):
        outbox.put_event(Message("t", {"seq": number}), 0.0)
    assert done == [7, 8]
