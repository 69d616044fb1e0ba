"""A new run on what an old one retained: nothing told twice, nothing forgotten, nothing hostile believed."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import fold, render
from bridge.core.model import Instant, PbxState
from bridge.core.presentation import PLAIN
from bridge.core.records import Batch, CallState, Party, UserRecord
from bridge.core.rules import Scope, SizeLimits
from bridge.core.value import evolve
from tests.core.builders import ANNA, GATE, PEOPLE, History, leg, restored, user

NOW = Instant(1_795_000_100_000, 2000.0)
SINCE = "2026-01-01T00:00:00Z"
HUGE = pytest.param(10**400, id="huge")
CALL = {"id": "old-1", "started_at": SINCE, "direction": "inbound", "state": "connected"}


def retained(state: PbxState) -> dict[str, object]:
    """What stands on the broker for a state."""
    return {
        topic: json.loads(json.dumps(render.user_state(state, "hq", guid, PLAIN)))
        for guid, topic in state.topics.items()
    }


def restarted(state: PbxState, scope: Scope | None = None) -> History:
    """A new run that has read back what the old one told."""
    history = History(scope or Scope(), epoch="new")
    history.state, strange = restored("new", retained(state), history.scope, history.now)
    assert strange == ()
    return history


def listed(state: PbxState) -> History:
    """A new run whose first list is complete; what calls run is still open."""
    return restarted(state).begin().take(Batch(users=PEOPLE, list_complete=True))


def shown(payload: Mapping[str, object]) -> Any:
    """What is told of one user after reading this payload back, as the broker gets it."""
    state, strange = restored("new", {"g": {"guid": "g", "since": SINCE, **payload}}, Scope(), NOW)
    assert strange == ()
    return orjson.loads(orjson.dumps(render.user_state(state, "hq", "g", PLAIN)))


def test_a_call_that_still_runs_goes_on_under_its_id() -> None:
    """No second beginning, the old start, one end with the whole talking time."""
    old = History(epoch="old").start()
    old.see(leg(state=CallState.RINGING), leg(state=CallState.CONNECTED))
    before = old.state.calls[ANNA][0]
    new = listed(old.state).see(leg(99, CallState.CONNECTED)).settle()
    after = new.state.calls[ANNA][0]

    assert new.types() == []
    assert (after.id, after.leg_handle, after.started_ms) == (before.id, 99, before.started_ms)
    new.end(leg(99, CallState.CONNECTED))
    assert new.types() == ["ended"]
    assert new.outcome() == "answered"


@pytest.mark.parametrize("behind_s", [0, 5, 3600, 20 * 365 * 86_400])
def test_durations_never_go_back(behind_s: int) -> None:
    """The clock was behind when the bridge started again: what was told stays, and goes on from there."""
    old = History(epoch="old").start()
    ringing, talking = leg(state=CallState.RINGING), leg(state=CallState.CONNECTED)
    old.see(ringing, ringing, talking, leg(9, conference="c9"))
    old.see(leg(state=CallState.CONNECTED, held=True), leg(9, CallState.RINGING, conference="c9"))
    told, alerting = old.state.calls[ANNA]
    now = Instant(old.now.unix_ms - behind_s * 1000, 500.0)
    new = History(epoch="new")
    new.state, _ = restored("new", retained(old.state), Scope(), now)
    after = Instant(old.now.unix_ms + 60_000, 510.0)
    ends = [evolve(talking, ended=True), evolve(leg(9, conference="c9"), ended=True)]
    new.begin().take(Batch(users=PEOPLE, list_complete=True))
    new.apply(fold.fold(new.state, Batch(legs=tuple(ends)), Scope(), after))
    calls = {event.call.id: event.call for event in new.events if event.call}

    assert told.ring_s
    assert told.talk_s
    assert alerting.ring_s
    assert calls[told.id].ring_s == told.ring_s
    assert (calls[told.id].talk_s or 0) >= told.talk_s + 10
    assert (calls[alerting.id].ring_s or 0) >= alerting.ring_s + 10


def test_how_long_a_call_rang_is_known_from_its_moments_too() -> None:
    """What is retained may come from elsewhere, without the duration."""
    answered = {**CALL, "answered_at": "2026-01-01T00:00:04.500Z"}

    assert shown({"calls": [answered]})["calls"][0]["ring_s"] == 4.5


def test_a_busy_trunk_keeps_all_its_calls() -> None:
    """Under their ids: a hundred at once are nothing special."""
    records = [leg(n, CallState.CONNECTED, user=GATE, conference=f"c{n}") for n in range(100)]
    old = History(epoch="old").start().take(Batch(legs=tuple(records)))
    new = listed(old.state).take(Batch(legs=tuple(records))).settle()

    assert new.types(GATE) == []
    assert [call.id for call in new.state.calls[GATE]] == [call.id for call in old.state.calls[GATE]]


def test_a_call_that_ended_unseen_is_lost_once() -> None:
    """Its terminal event comes when the PBX has named what runs."""
    old = History(epoch="old").start().see(leg(state=CallState.CONNECTED))
    new = listed(old.state)
    assert new.types() == []
    new.settle().settle()

    assert new.types() == ["ended"]
    assert (new.outcome(), dict(new.state.calls)) == ("lost", {})


def test_a_call_that_ended_while_nobody_listened_can_be_answered_in_between() -> None:
    """Ringing before, connected now: the answer is told, late."""
    old = History(epoch="old").start().see(leg(state=CallState.RINGING))
    new = listed(old.state).see(leg(99, CallState.CONNECTED))

    assert new.types() == ["answered"]


def test_who_left_meanwhile_is_cleared() -> None:
    """The list without a user takes its topic off the broker, its calls first."""
    old = History(epoch="old").start().see(leg())
    new = restarted(old.state).begin().take(Batch(users=PEOPLE[1:], list_complete=True))

    assert (new.changes.gone, new.types()) == (("anna",), ["ended"])


def test_who_is_missing_in_a_list_that_could_not_be_read_whole_stays() -> None:
    """The record that was left out may be the user's own; a later list that is whole decides."""
    old = History(epoch="old").start().see(leg())
    new = restarted(old.state).begin()
    new.take(Batch(users=PEOPLE[1:2], unreadable=("user record 'Anna Ex'",)))
    new.take(Batch(users=PEOPLE[2:], list_complete=True))

    assert (new.changes.gone, set(new.state.users)) == ((), {user.guid for user in PEOPLE})
    assert (new.types(), new.outcome()) == (["ended"], "lost")
    assert ANNA in new.state.settled
    new.begin().take(Batch(users=PEOPLE[1:], list_complete=True))
    assert new.changes.gone == ("anna",)


@pytest.mark.parametrize("user_id", ["h323", "e164", "cn", "guid"])
def test_topic_ids_are_the_same_again(user_id: str) -> None:
    """Whichever name makes them, also where two compete and where it is empty."""
    scope = Scope(user_id=user_id)
    old = History(scope, epoch="old").start(
        UserRecord("g-1", "A B", short_name="a/b", number="1"),
        UserRecord("g-2", "A B", short_name="a/b", number="1"),
        UserRecord("g-3", "", short_name="", number=""),
        user("g-4", "Dora", number="4"),
    )

    assert restarted(old.state, scope).state.topics == old.state.topics


def test_missed_calls_go_on_counting() -> None:
    """They are counted from the first time the user was seen."""
    old = History(epoch="old").start().see(leg()).end(leg())
    new = listed(old.state).settle().see(leg()).end(leg())

    assert new.state.users[ANNA].missed == 2
    assert new.state.users[ANNA].since_ms == old.state.users[ANNA].since_ms


@pytest.mark.parametrize(
    "since",
    [
        "9999-12-31T23:59:59-23:59",
        "9999-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_times_that_cannot_be_told_again_are_not_believed(since: str) -> None:
    """One retained message must not be able to break every later publishing."""
    assert restored("new", {"g": {"guid": "g", "since": since}}, Scope(), NOW)[1] == ("g",)
    assert shown({"time": since, "last_call": {**CALL, "ended_at": since}})["last_call"]["ended_at"] is None


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, HUGE, 1.5, True, "7", None])
def test_figures_that_cannot_be_told_again_are_not_believed(number: object) -> None:
    """No JSON writer must stumble over what somebody left on the broker."""
    last = shown({"missed": number, "alerting": number, "last_call": {**CALL, "cause": {"code": number}}})

    assert (last["missed"], last["alerting"], last["last_call"]["cause"]["code"]) == (0, 0, 0)


@pytest.mark.parametrize("seconds", [HUGE, 1e300, float("inf"), float("nan"), True, "7"])
def test_durations_that_cannot_be_told_again_are_not_believed(seconds: object) -> None:
    """They read as unknown."""
    assert shown({"last_call": {**CALL, "talk_s": seconds}})["last_call"]["talk_s"] is None


def test_no_more_calls_than_a_user_can_have() -> None:
    """The rest of an endless list is left out."""
    state, _ = restored(
        "new",
        {
            "g": {
                "guid": "g",
                "since": SINCE,
                "calls": [{**CALL, "id": str(n)} for n in range(9)],
            }
        },
        Scope(limits=SizeLimits(calls_per_user=4)),
        NOW,
    )

    assert [call.id for call in state.calls["g"]] == ["0", "1", "2", "3"]


def test_no_more_calls_than_a_pbx_can_have() -> None:
    """Of all users together."""
    payloads = {
        guid: {"guid": guid, "since": SINCE, "calls": [{**CALL, "id": f"{guid}{n}"} for n in range(3)]}
        for guid in ("g", "h", "i")
    }
    state, _ = restored("new", payloads, Scope(limits=SizeLimits(calls=5)), NOW)

    assert sorted(map(len, state.calls.values())) == [2, 3]
    assert len(state.users) == 3


def test_no_two_calls_have_one_id() -> None:
    """Whoever wrote the second, commands could not tell them apart."""
    calls = {"since": SINCE, "calls": [{**CALL, "id": "same"}, {**CALL, "id": "same", "conference": "c2"}]}
    state, _ = restored("new", {guid: {**calls, "guid": guid} for guid in ("g", "h")}, Scope(), NOW)
    ((call,),) = state.calls.values()

    assert state.call("same") is call
    assert len(state.users) == 2


@pytest.mark.parametrize(("anna", "bert", "kept"), [(1, 2, "bert"), (2, 1, "anna"), (1, 1, "bert")])
def test_one_guid_under_two_topics_is_one_user(anna: int, bert: int, kept: str) -> None:
    """The one that was told last, with its calls; the other topic is cleared."""

    def payload(second: int, call: str) -> dict[str, object]:
        calls = [{**CALL, "id": call}]
        return {"guid": "g", "since": SINCE, "time": f"2026-01-01T00:00:0{second}Z", "calls": calls}

    payloads = {"anna": payload(anna, "of anna"), "bert": payload(bert, "of bert")}
    state, strange = restored("new", payloads, Scope(), NOW)

    assert (dict(state.topics), set(strange)) == ({"g": kept}, {"anna", "bert"} - {kept})
    assert [call.id for call in state.calls["g"]] == [f"of {kept}"]


KEYS = (
    *("guid", "name", "number", "type", "registered", "channels", "alerting", "presence", "groups", "emails"),
    *("calls", "last_call", "missed", "since", "time", "switch", "id", "started_at", "direction", "state"),
    *("remote", "cause", "code", "outcome", "ring_s", "answered_at", "activity", "mode", "uui"),
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        (SINCE, "inbound", "connected", "ended", "answered", "9999-12-31T23:59:59-23:59", "g", "")
    )
    | st.text(max_size=4)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
calls = st.fixed_dictionaries(dict.fromkeys(CALL, leaves)) | st.just(CALL)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from(("g", "anna", "a%2Fb", "%", "")), values, max_size=3),
    st.lists(calls, max_size=3),
    values,
)
def test_whatever_is_retained_there_a_run_can_start_from_it(
    payloads: dict[str, object], some: list[object], last: object
) -> None:
    """What was read is told again as JSON, goes through a session and ends as that session's list."""
    good = {"guid": "h", "since": SINCE, "calls": some, "last_call": last}
    history = History(epoch="new")
    history.state, strange = restored("new", {**payloads, "h": good}, Scope(), NOW)
    tree = {
        topic: render.user_state(history.state, "hq", guid, PLAIN)
        for guid, topic in history.state.topics.items()
    }
    orjson.dumps(tree)

    assert set(tree) | set(strange) >= {*payloads, "h"}
    history.start()
    assert set(history.state.topics.values()) == {"anna", "bert", "trunk"}
    assert not history.state.calls


def test_the_far_end_is_found_again_by_its_number() -> None:
    """Without a conference the far end's number tells one call from another."""
    one, two = Party(number="1"), Party(number="2")
    old = History(epoch="old").start()
    old.see(leg(1, conference="", remote=one), leg(2, conference="", remote=two))
    ids = {call.remote.number: call.id for call in old.state.calls[ANNA]}
    new = listed(old.state)
    new.see(leg(8, conference="", remote=two), leg(9, conference="", remote=one)).settle()

    assert {call.remote.number: call.id for call in new.state.calls[ANNA]} == ids
    assert {call.leg_handle for call in new.state.calls[ANNA]} == {8, 9}
    assert new.types() == []
