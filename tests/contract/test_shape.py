"""A payload changes only with the number `schema`: consumers rely on what tests/contract/schema-N.txt has."""

import pytest

from tests.contract import shape


def test_no_promise_is_broken() -> None:
    """Keys, types, words and limits stay while `schema` has this number."""
    assert shape.broken(shape.written(), shape.promises()) == [], (
        "consumers rely on these: take the change back, or raise SCHEMA in bridge/core/payloads.py"
    )


def test_each_promise_is_written_down() -> None:
    """What is new binds us from its release on."""
    new = sorted(shape.promises() - shape.written())

    assert new == [], "add what is new to the file: python -m tests.contract"


@pytest.mark.parametrize(
    ("before", "now", "broken"),
    [
        ({"Call.id: type=string always"}, {"Call.id: type=string always", "Call.x: type=string"}, []),
        ({"Call.id: type=string always"}, set(), ["Call.id: type=string always"]),
        ({"Call.id: type=string always"}, {"Call.id: type=string"}, ["Call.id: type=string always"]),
        (
            {"CallRequest.number: type=string maxLength=64"},
            {"CallRequest.number: type=string maxLength=32"},
            None,
        ),
        ({"Outcome: 'missed'"}, {"Outcome: 'missed'", "Outcome: 'lost'"}, []),
        ({"EventType: 'missed'"}, {"EventType: 'missed'", "EventType: 'lost'"}, ["EventType: 'lost'"]),
        (set(), {"EventType: 'missed'"}, []),
    ],
)
def test_what_breaks_a_consumer(before: set[str], now: set[str], broken: list[str] | None) -> None:
    """Additions do not, except in a list that is closed."""
    assert shape.broken(before, now) == (sorted(before) if broken is None else broken)


def test_promises_say_type_limits_and_presence() -> None:
    """Of nested, listed and requested things."""
    assert shape.promises() >= {
        "Call.remote: Party always",
        "Call.diverted_from: Party | type=null always",
        "UserState.calls: list of Call always",
        "UserState.switch: Switch",
        "Event.schema: type=integer const=1 always",
        "Call.started_at: type=string format=date-time always",
        "UserState.call_state: UserStateCallState always",
        "UserStateCallState: 'held'",
        "Outcome: 'missed'",
        "CallRequest.facility: type=integer minimum=0 maximum=999",
        "CallReply.call: type=string always",
        "State: 'online'",
    }
