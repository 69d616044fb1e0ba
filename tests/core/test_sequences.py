"""What the PBX tells of typical calls (docs/wire.md#sequences), row by row: all events, and every end."""

from collections.abc import Sequence
from typing import Any

import pytest

from bridge.core.model import EventType
from bridge.core.records import Batch, CallState, LegRecord, Party, ReleasedBy
from bridge.core.rules import Rule, Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, GATE, OUTSIDE, PEOPLE, History, leg

S = CallState
TERMINAL = {EventType.ENDED, EventType.MISSED}
AS_ANNA = Party("21", "Anna Ex", "", "anna")
AS_BERT = Party("22", "Bert Ypsilon", "", "bert")


def path(first: LegRecord, *states: CallState) -> list[LegRecord]:
    """One leg through these states."""
    return [evolve(first, state=state) for state in states]


def released(
    record: LegRecord, by: ReleasedBy | None, cause: int | None = 16, **more: Any
) -> list[LegRecord]:
    """The release, and the record that says that the leg is gone."""
    last = evolve(record, state=S.DISCONNECTING, released_by=by, cause=cause, **more)
    return [last, evolve(last, ended=True)]


IN, OUT = leg(1), leg(1, to_user=False)
SECOND = leg(2, conference="c2", to_user=False, remote=AS_BERT)
AT_BERT = leg(3, user=BERT, conference="c2", remote=AS_ANNA)
TRUNK = leg(4, user=GATE)
TALK = evolve(IN, state=S.CONNECTED)

ROWS = {
    "incoming, answered, the far end hangs up": (
        [*path(IN, S.SETUP, S.RINGING, S.CONNECTED), *released(TALK, ReleasedBy.REMOTE)],
        "incoming ringing answered updated ended",
        ["answered"],
    ),
    "incoming, not answered": (
        [*path(IN, S.SETUP, S.RINGING), *released(IN, ReleasedBy.REMOTE)],
        "incoming ringing updated missed",
        ["missed"],
    ),
    "incoming, another device of the user takes it": (
        [
            *path(IN, S.SETUP, S.RINGING),
            *path(evolve(IN, leg_handle=2), S.SETUP, S.RINGING),
            evolve(IN, leg_handle=2, state=S.CONNECTED),
            evolve(IN, state=S.DISCONNECTING, cause=26, ended=True),
            evolve(IN, leg_handle=2, state=S.DISCONNECTING, cause=16, ended=True),
        ],
        "incoming ringing incoming ringing answered ended ended",
        ["answered_elsewhere", "answered"],
    ),
    "outgoing, answered, the user hangs up": (
        [
            *path(OUT, S.SETUP, S.SETUP, S.RINGING, S.CONNECTED),
            *released(evolve(OUT, state=S.CONNECTED), ReleasedBy.USER),
        ],
        "outgoing ringing answered updated ended",
        ["answered"],
    ),
    "outgoing to a wrong number": (
        [
            *path(OUT, S.SETUP, S.SETUP),
            evolve(OUT, state=S.DISCONNECTING, cause=1, released_by=ReleasedBy.REMOTE),
            *released(OUT, ReleasedBy.USER, None),
        ],
        "outgoing updated ended",
        ["failed"],
    ),
    "the far end leaves, the phone stays off the hook for a while": (
        [*path(IN, S.SETUP, S.CONNECTED, S.DISCONNECTING, S.DISCONNECTING), *released(IN, ReleasedBy.REMOTE)],
        "incoming answered updated updated ended",
        ["answered"],
    ),
    "hold by the user and by the far end": (
        [
            TALK,
            evolve(TALK, held=True),
            TALK,
            evolve(TALK, held_by_remote=True),
            TALK,
            *released(TALK, ReleasedBy.REMOTE)[1:],
        ],
        "incoming answered held retrieved held retrieved ended",
        ["answered"],
    ),
    "transfer that is reported on": (
        [TALK, evolve(TALK, transferred_to=AS_BERT), *released(TALK, ReleasedBy.REMOTE)[1:]],
        "incoming answered transferred ended",
        ["transferred"],
    ),
    "park": (
        [TALK, *released(TALK, ReleasedBy.REMOTE, parked_at=AS_BERT)],
        "incoming answered updated ended",
        ["answered"],
    ),
    "a leg that is parked and fetched again": (
        [*path(IN, S.CONNECTED, S.PARKED, S.CONNECTED), *released(IN, ReleasedBy.USER)[1:]],
        "incoming answered updated updated ended",
        ["answered"],
    ),
    "three in a conference on the phone": (
        [
            evolve(TALK, held=True),
            evolve(SECOND, state=S.CONNECTED),
            TALK,
            *released(SECOND, ReleasedBy.REMOTE)[1:],
            *released(TALK, ReleasedBy.REMOTE)[1:],
        ],
        "incoming answered held outgoing answered retrieved ended ended",
        ["answered", "answered"],
    ),
    "only the end is ever seen": (released(IN, ReleasedBy.REMOTE)[1:], "", []),
    "the end comes twice": (
        [IN, *released(IN, ReleasedBy.REMOTE)[1:], *released(IN, ReleasedBy.REMOTE)[1:]],
        "incoming missed",
        ["missed"],
    ),
}


def outcomes(history: History, guid: str = ANNA) -> list[str | None]:
    """How the legs of a user ended, in order."""
    ends = [event.call for event in history.events if event.user == guid and event.type in TERMINAL]
    return [call.outcome.value if call and call.outcome else None for call in ends]


def assert_each_leg_ended_once(history: History) -> None:
    """Whatever was announced has one terminal event, as its last one."""
    legs: dict[str, list[EventType]] = {}
    for event in history.events:
        assert event.call is not None
        legs.setdefault(event.call.id, []).append(event.type)
    for kinds in legs.values():
        assert [kind in TERMINAL for kind in kinds] == [*[False] * (len(kinds) - 1), True]


@pytest.mark.parametrize(("records", "types", "wanted"), ROWS.values(), ids=ROWS)
def test_a_sequence_of_one_user(records: Sequence[LegRecord], types: str, wanted: list[str]) -> None:
    """All events in order, one terminal event for each leg, nothing left over."""
    history = History().start().see(*records)

    assert history.types() == types.split()
    assert outcomes(history) == wanted
    assert_each_leg_ended_once(history)
    assert not history.state.calls


def test_a_trunk_that_never_alerts() -> None:
    """The gateway's outbound bit is outbound; connected comes straight after proceeding."""
    record = evolve(TRUNK, state=S.CONNECTED)
    history = History().start().see(*path(TRUNK, S.SETUP, S.SETUP, S.CONNECTED), *released(record, None)[1:])

    assert history.types(GATE) == ["outgoing", "answered", "ended"]
    assert outcomes(history, GATE) == ["answered"]


QUEUE = evolve(PEOPLE[0], type="waiting")
QUEUED = path(IN, S.SETUP, S.CONNECTED)
AGENT = leg(9, S.CONNECTED, BERT)
OF_ANOTHER = evolve(AGENT, conference="c9")
AS_QUEUE: dict[str, Any] = {"diverted_from": AS_ANNA}

QUEUE_ROWS: dict[str, tuple[list[LegRecord], str, str]] = {
    "the caller leaves during the announcement": (released(TALK, ReleasedBy.REMOTE), "missed", "abandoned"),
    "the caller leaves, by whom is not told": (released(TALK, None, None), "missed", "abandoned"),
    "an agent's phone rings, and the caller leaves": (
        [evolve(AGENT, state=S.RINGING, **AS_QUEUE), *released(TALK, ReleasedBy.REMOTE)],
        "missed",
        "abandoned",
    ),
    "an agent takes the call": ([AGENT, *released(TALK, ReleasedBy.REMOTE)], "ended", "answered_elsewhere"),
    "an agent takes it in another conference": (
        [evolve(OF_ANOTHER, **AS_QUEUE), *released(TALK, ReleasedBy.REMOTE)],
        "ended",
        "answered_elsewhere",
    ),
    "an agent takes it, conferences are not told": (
        [evolve(AGENT, conference=""), *released(TALK, ReleasedBy.REMOTE)],
        "ended",
        "answered_elsewhere",
    ),
    "an agent whose calls are not followed takes it": (
        released(TALK, ReleasedBy.REMOTE, 26),
        "ended",
        "answered_elsewhere",
    ),
    "it is passed on, as the PBX reports": (
        [evolve(TALK, transferred_to=AS_BERT), *released(TALK, ReleasedBy.REMOTE)],
        "ended",
        "transferred",
    ),
    "an agent has another call of the same caller": (
        [OF_ANOTHER, *released(TALK, ReleasedBy.REMOTE)],
        "missed",
        "abandoned",
    ),
    "an agent has a call of another caller that came from the queue": (
        [evolve(OF_ANOTHER, remote=Party("999"), **AS_QUEUE), *released(TALK, ReleasedBy.REMOTE)],
        "missed",
        "abandoned",
    ),
    "an agent calls somebody in between": (
        [evolve(AGENT, to_user=False), *released(TALK, ReleasedBy.REMOTE)],
        "missed",
        "abandoned",
    ),
    "the queue is full": (released(TALK, ReleasedBy.USER, 17), "missed", "busy"),
    "the queue sends the caller away": (released(TALK, ReleasedBy.USER), "missed", "declined"),
    "a diversion of the queue takes it": (released(TALK, ReleasedBy.REMOTE, 23), "ended", "forwarded"),
}


@pytest.mark.parametrize(("records", "terminal", "outcome"), QUEUE_ROWS.values(), ids=QUEUE_ROWS)
def test_a_call_in_a_queue(records: list[LegRecord], terminal: str, outcome: str) -> None:
    """The announcement connects it, which is no answer; what counts is whether somebody took it."""
    history = History().start(QUEUE, PEOPLE[1]).see(*QUEUED, *records)

    assert (history.types()[0], history.types()[-1]) == ("incoming", terminal)
    assert "answered" not in history.types()
    assert outcomes(history) == [outcome]
    assert history.state.users[ANNA].missed == (terminal == "missed")


def test_a_caller_who_is_not_named_leaves_a_queue() -> None:
    """Two who withhold their numbers are not the same caller."""
    hidden = Party()
    agent = evolve(AGENT, remote=hidden, conference="")
    mine = [evolve(record, remote=hidden, conference="") for record in (*QUEUED, *released(TALK, None))]
    history = History().start(QUEUE, PEOPLE[1]).see(mine[0], agent, *mine[1:])

    assert outcomes(history) == ["abandoned"]


TRUNK_IN = evolve(TRUNK, to_user=False)
TRUNK_ROWS: dict[str, tuple[LegRecord, ReleasedBy | None, int | None, str, str]] = {
    "outside caller gives up": (TRUNK_IN, ReleasedBy.USER, 16, "missed", "missed"),
    "outside caller gives up, without a cause": (TRUNK_IN, ReleasedBy.USER, None, "missed", "missed"),
    "somebody inside declines": (TRUNK_IN, ReleasedBy.REMOTE, 21, "missed", "declined"),
    "somebody inside releases": (TRUNK_IN, ReleasedBy.REMOTE, 16, "missed", "declined"),
    "inside is busy": (TRUNK_IN, ReleasedBy.REMOTE, 17, "missed", "busy"),
    "nobody has this number inside": (TRUNK_IN, ReleasedBy.REMOTE, 1, "missed", "failed"),
    "taken elsewhere": (TRUNK_IN, ReleasedBy.REMOTE, 26, "ended", "answered_elsewhere"),
    "inside caller cancels": (TRUNK, ReleasedBy.REMOTE, 16, "ended", "cancelled"),
    "inside caller cancels, without a cause": (TRUNK, ReleasedBy.REMOTE, None, "ended", "cancelled"),
    "no route": (TRUNK, ReleasedBy.USER, 3, "ended", "failed"),
    "no circuit": (TRUNK, ReleasedBy.USER, 34, "ended", "failed"),
    "outside is busy": (TRUNK, ReleasedBy.USER, 17, "ended", "busy"),
    "outside declines": (TRUNK, ReleasedBy.USER, 21, "ended", "declined"),
    "nobody answers outside": (TRUNK, ReleasedBy.USER, 19, "ended", "failed"),
}


@pytest.mark.parametrize(("first", "by", "cause", "terminal", "outcome"), TRUNK_ROWS.values(), ids=TRUNK_ROWS)
def test_how_a_call_over_a_trunk_ends(
    first: LegRecord, by: ReleasedBy | None, cause: int | None, terminal: str, outcome: str
) -> None:
    """The endpoint of a gateway's leg is the world outside: it is the far end of whoever called."""
    history = History().start().see(*path(first, S.SETUP, S.RINGING), *released(first, by, cause))

    assert (history.types(GATE)[-1], outcomes(history, GATE)) == (terminal, [outcome])


@pytest.mark.parametrize(("outside", "inside"), [(True, False), (False, True)])
def test_who_holds_a_call_over_a_trunk(outside: bool, inside: bool) -> None:  # noqa: FBT001  (a case)
    """As for the release: what the gateway's endpoint does, the world outside does."""
    talk = evolve(TRUNK, state=S.CONNECTED)
    history = History().start().see(talk, evolve(talk, held=outside, held_by_remote=inside))
    call = history.state.calls[GATE][0]

    assert (call.held, call.held_by_remote) == (inside, outside)
    assert history.types(GATE) == ["outgoing", "answered", "held"]


def test_a_consultation_and_transfer() -> None:
    """Both legs of who transfers end as transferred; who stays gets the new far end and goes on."""
    joined = evolve(AT_BERT, state=S.CONNECTED, remote=OUTSIDE, transferred_by=AS_ANNA)
    history = History().start()
    history.see(TALK, evolve(TALK, held=True), *path(SECOND, S.SETUP, S.CONNECTED))
    history.see(*path(AT_BERT, S.SETUP, S.CONNECTED), joined)
    history.see(*released(SECOND, ReleasedBy.REMOTE)[1:], *released(TALK, ReleasedBy.REMOTE)[1:])

    assert history.types() == ["incoming", "answered", "held", "outgoing", "answered", "ended", "ended"]
    assert outcomes(history) == ["transferred", "transferred"]
    assert history.types(BERT) == ["incoming", "answered", "transferred"]
    assert history.state.calls[BERT][0].remote.number == OUTSIDE.number


@pytest.mark.parametrize("which", ["diverted_from", "first_diverted_from"])
def test_a_diversion(which: str) -> None:
    """The first user was passed over, not missed; the second simply has a call."""
    named: dict[str, Any] = {which: AS_ANNA}
    target = evolve(IN, user=BERT, leg_handle=9, **named)
    history = History().start().see(IN, target, *released(IN, None, None)[1:])
    history.see(*released(target, ReleasedBy.REMOTE)[1:])

    assert (history.types(), outcomes(history)) == (["incoming", "ended"], ["forwarded"])
    assert (history.types(BERT), outcomes(history, BERT)) == (["incoming", "missed"], ["missed"])
    assert (history.state.users[ANNA].missed, history.state.users[BERT].missed) == (0, 1)


def test_a_pickup() -> None:
    """Who picks up has the call, who was called did not miss it."""
    taken = evolve(IN, user=BERT, leg_handle=9, state=S.CONNECTED, picked_up_from=AS_ANNA)
    history = (
        History().start().see(*path(IN, S.SETUP, S.RINGING), taken, *released(IN, ReleasedBy.REMOTE)[1:])
    )

    assert (history.types()[-1], outcomes(history)) == ("ended", ["answered_elsewhere"])
    assert history.types(BERT) == ["incoming", "answered"]


def test_a_leg_that_comes_with_the_news_that_nobody_follows_it_is_not_told() -> None:
    """Its end would never be reported, and the configuration does not want it."""
    history = History(Scope(calls=(Rule(number="2*"),))).start()
    history.take(Batch(users=(evolve(PEOPLE[0], number="9"),), legs=(IN,)))

    assert history.types() == []
    assert not history.state.calls


def test_a_command_that_is_answered_after_its_leg_was_seen_is_published() -> None:
    """The retained state names the command at once, without waiting for the next record."""
    history = History().start().see(OUT)
    history.place(ANNA, OUT.leg_handle, "c-1")

    assert (history.changes.users, history.changes.events) == ((ANNA,), ())
    assert history.state.calls[ANNA][0].command_id == "c-1"
