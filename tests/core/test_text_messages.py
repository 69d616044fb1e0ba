"""Text messages: told under the id of their command once the PBX knows their fate. They are no calls."""

from dataclasses import replace

from bridge.core import render
from bridge.core.presentation import PLAIN
from bridge.core.records import CallState, LegRecord
from bridge.core.rules import Rule
from bridge.core.text_messages import KEPT
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, SCOPE, History, leg

DELIVERED = LegRecord(ANNA, 9, ended=True, text_delivered=True)
REFUSED = LegRecord(ANNA, 9, ended=True, cause=20)


def told(history: History) -> list[tuple[object, ...]]:
    """What the events say: type, whether it is a message, id of the call and of the command, outcome."""
    payloads = [render.event(each, "e", "hq", PLAIN) for each in history.events]
    return [
        (each["event_type"], each.get("text_message", False), call["id"], call["command_id"], call["outcome"])
        for each in payloads
        if (call := each["call"]) is not None
    ]


def test_a_delivered_message_is_told() -> None:
    """By two events, and in no state: neither a running call nor the last one."""
    history = History().start()
    sent = history.send(ANNA, 9, "m-1")
    assert told(history) == [], "nothing is known yet"
    before = history.state.users
    history.see(DELIVERED)

    assert told(history) == [
        ("outgoing", True, sent, "m-1", None),
        ("ended", True, sent, "m-1", "answered"),
    ]
    assert (history.state.users, len(history.state.calls), history.changes.users) == (before, 0, ())
    assert told(history.see(DELIVERED, REFUSED))[2:] == [], "once"


def test_a_message_that_cannot_be_delivered_has_failed() -> None:
    """With the cause that the PBX has for it."""
    history = History().start()
    history.send(ANNA, 9, None)
    history.see(REFUSED)

    assert [outcome for *_, outcome in told(history)] == [None, "failed"]
    last = history.events[-1].call
    assert last is not None
    assert (last.cause, last.state) == (20, CallState.ENDED)


def test_a_call_with_the_same_handle_is_another_thing() -> None:
    """It was there before: its end is its own, and the message's is not its end."""
    history = History().start().see(leg(9))
    sent = history.send(ANNA, 9, "m-1")
    call = history.state.calls[ANNA][0].id
    assert sent != call
    history.see(DELIVERED)
    assert [each.id for each in history.state.calls[ANNA]] == [call]

    history.send(ANNA, 9, "m-2")
    history.end(leg(9))
    assert told(history)[-1][:3] == ("missed", False, call)
    history.see(REFUSED)
    assert told(history)[-1][:2] == ("ended", True)


def test_messages_of_others_are_none_of_our_business() -> None:
    """Of another program, of another session, of a user who is not there."""
    history = History().start()
    history.send(ANNA, 9, "m-1")
    history.begin().see(DELIVERED, evolve(DELIVERED, user=BERT), evolve(DELIVERED, user="g-zoe"))

    assert told(history) == []
    assert not history.state.calls


def test_a_message_is_told_of_a_user_whose_calls_are_not() -> None:
    """Who asked for it wants to know."""
    history = History(replace(SCOPE, calls=(Rule(short_name="bert"),))).start()
    history.send(ANNA, 9, "m-1")
    history.see(DELIVERED)

    assert [kind for kind, *_ in told(history)] == ["outgoing", "ended"]


def test_few_messages_are_remembered() -> None:
    """A PBX that says nothing must not fill the memory: the oldest is forgotten."""
    history = History().start()
    for handle in range(KEPT + 1):
        history.send(ANNA, handle, f"m-{handle}")

    assert len(history.state.text_messages) == KEPT
    assert (ANNA, 0) not in history.state.text_messages
