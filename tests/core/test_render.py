"""Payloads as the contract has them, and the way back from them after a restart."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import render
from bridge.core.model import Call, Direction, Event, EventType, Instant
from bridge.core.presentation import PLAIN
from bridge.core.records import CallState, Group, Party, Presence
from bridge.core.rules import Rule, Scope, selects
from bridge.core.value import evolve
from tests.core.builders import ANNA, PEOPLE, History, leg, restored, user

CALL_KEYS = [
    "id",
    "conference",
    "direction",
    "state",
    "remote",
    "diverted_from",
    "first_diverted_from",
    "transferred_by",
    "transferred_to",
    "parked_at",
    "picked_up_from",
    "held",
    "held_by_remote",
    "started_at",
    "answered_at",
    "ended_at",
    "ring_s",
    "talk_s",
    "outcome",
    "cause",
    "uui",
    "command_id",
]
USER_KEYS = [
    "schema",
    "pbx",
    "user",
    "guid",
    "name",
    "display_name",
    "number",
    "type",
    "active",
    "registered",
    "call_state",
    "alerting",
    "channels",
    "presence",
    "groups",
    "emails",
    "location",
    "node",
    "calls",
    "last_call",
    "missed",
    "since",
    "time",
]
NOW = Instant(1_795_000_100_000, 2000.0)


def busy() -> History:
    """Anna has had a call and has one, with everything that a payload can show."""
    anna = evolve(
        PEOPLE[0],
        presence=Presence("busy", "open", "note"),
        groups=(Group("sales", active=True),),
        emails=("a@example.com",),
    )
    ended = leg(1, CallState.CONNECTED, cause=16, uui="hi", conference="c0")
    more = leg(2, CallState.CONNECTED, diverted_from=Party("22", short_name="bert"), held=True)
    return History().start(anna, *PEOPLE[1:]).see(ended, evolve(ended, ended=True), more)


def test_keys_are_those_of_the_contract() -> None:
    """In its order; consumers build on them."""
    payload: Any = render.user_state(busy().state, "hq", ANNA, PLAIN)

    assert list(payload) == USER_KEYS
    assert list(payload["calls"][0]) == CALL_KEYS
    assert payload["last_call"]["cause"] == {"code": 16, "text": "normal call clearing"}
    assert payload["calls"][0]["diverted_from"]["user"] == "bert"
    assert payload["call_state"] == "held"
    assert payload["time"].endswith("Z")


def test_an_event_has_its_keys() -> None:
    """And a reason or a switch where there is one."""
    event: Any = render.event(busy().events[0], "e", "hq", PLAIN)
    resync: Any = render.event(
        Event(1, 0, EventType.UPDATED, ANNA, "anna", None, resync=True), "e", "hq", PLAIN
    )
    wanted = ["schema", "id", "seq", "epoch", "time", "event_type", "pbx", "user", "call", "queued", "age_ms"]

    assert list(event) == wanted
    assert list(resync) == [*wanted, "reason"]
    assert (event["id"], resync["reason"]) == ("e-1", "resync")


@pytest.mark.parametrize(
    ("calls", "word"),
    [
        ([], "idle"),
        ([(Direction.OUTBOUND, CallState.SETUP, False)], "dialing"),
        ([(Direction.INBOUND, CallState.SETUP, False)], "ringing"),
        ([(Direction.INBOUND, CallState.CONNECTED, True)], "held"),
        ([(Direction.INBOUND, CallState.CONNECTED, True)] * 2, "held"),
        (
            [(Direction.INBOUND, CallState.CONNECTED, True), (Direction.INBOUND, CallState.CONNECTED, False)],
            "connected",
        ),
        (
            [(Direction.INBOUND, CallState.CONNECTED, False), (Direction.INBOUND, CallState.RINGING, False)],
            "ringing",
        ),
        ([(Direction.INBOUND, CallState.DISCONNECTING, False)], "idle"),
    ],
)
def test_one_word_for_all_calls(calls: list[tuple[Direction, CallState, bool]], word: str) -> None:
    """The first that fits, in the contract's order."""
    made = tuple(
        Call(str(index), ANNA, 1, direction, state, 0, 0.0, held=held)
        for index, (direction, state, held) in enumerate(calls)
    )

    assert render.call_state(made) == word


def test_a_restart_gives_back_what_was_told() -> None:
    """Rendered, through JSON, restored, rendered: equal; calls wait to be confirmed."""
    state = busy().state
    payloads = {
        topic: json.loads(json.dumps(render.user_state(state, "hq", guid, PLAIN)))
        for guid, topic in state.topics.items()
    }
    again, strange = restored("e2", payloads, Scope(), NOW)

    assert strange == ()
    for guid in state.users:
        assert render.user_state(again, "hq", guid, PLAIN) == render.user_state(state, "hq", guid, PLAIN)
    assert again.calls[ANNA][0].leg_handle is None


def test_a_switch_is_shown_and_restored() -> None:
    """Mode and value, in the state and in the event."""
    night = user(ANNA, "Night", is_switch=True)
    history = History().start(night).see(leg(remote=Party("11")))
    shown: Any = render.user_state(history.state, "hq", ANNA, PLAIN)
    event: Any = render.event(history.events[-1], "e", "hq", PLAIN)
    assert shown["switch"] == event["switch"] == {"mode": "manual", "on": True}
    payload = {"guid": "g", "since": "2026-01-01T00:00:00Z", "switch": {"mode": "manual", "on": True}}
    again, _ = restored("e", {"g": payload}, Scope(user_id="guid"), NOW)

    assert again.users["g"].switch is not None
    assert again.users["g"].switch.manual


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        {},
        {"guid": "g"},
        {"guid": "g", "since": "yesterday"},
        {"guid": "g", "since": "2026-01-01T00:00:00"},
        {"guid": "g", "since": "0001-01-01T00:00:00Z"},
    ],
)
def test_what_is_not_ours_is_cleared(payload: object) -> None:
    """The broker is not trusted."""
    assert restored("e", {"x": payload}, Scope(), NOW)[1] == ("x",)


def test_odd_calls_are_left_out() -> None:
    """Ended, nameless or impossible ones."""
    good = {"id": "1", "started_at": "2026-01-01T00:00:00Z", "direction": "inbound", "state": "ringing"}
    odd = [good | {"state": "ended"}, good | {"id": ""}, good | {"direction": "up"}, 5]
    payload = {"guid": "g", "since": "2026-01-01T00:00:00Z", "calls": [good, *odd], "missed": -1}
    again, _ = restored("e", {"g": payload, "h": payload}, Scope(), NOW)

    assert [call.id for call in again.calls["g"]] == ["1"]
    assert again.users["g"].missed == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(USER_KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([*USER_KEYS, *CALL_KEYS]), json_values))
def test_restoring_is_total(payload: dict[str, object]) -> None:
    """Anything may be retained there."""
    restored("e", {"x": {"guid": "g", "since": "2026-01-01T00:00:00Z", **payload}}, Scope(), NOW)


def test_rules() -> None:
    """The first that matches decides; only exclusions let the rest in."""
    anna = evolve(PEOPLE[0], groups=(Group("sales", active=True), Group("all", active=False)))

    assert selects((), anna)
    assert not selects((Rule(exclude=True, group="sales"),), anna)
    assert selects((Rule(exclude=True, group="x"),), anna)
    assert not selects((Rule(name="B*"),), anna)
    assert selects((Rule(number="2*", type="ep", short_name="a*", group="sales", active=True),), anna)
    assert not selects((Rule(group="all", active=True),), anna)


def test_a_user_is_found_by_call_and_topic() -> None:
    """Lookups on the state."""
    state = busy().state

    assert state.call(state.calls[ANNA][0].id) == state.calls[ANNA][0]
    assert state.call("none") is None
    assert state.user_of("none") is None
    assert state.complete
