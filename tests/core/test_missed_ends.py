"""Ends that the PBX never reports: a count that says zero, and handles that are used again."""

import pytest

from bridge.core import fold
from bridge.core.records import Batch, CallState, LegRecord, Party
from bridge.core.value import evolve
from tests.core.builders import ANNA, OUTSIDE, PEOPLE, SCOPE, History, leg

S = CallState
BUSY, FREE = evolve(PEOPLE[0], channels=1), PEOPLE[0]
LATER = Party(number="0999")


def talking() -> History:
    """Anna talks, and the PBX counts one call."""
    history = History().start()
    history.see(leg(), leg(state=S.RINGING), leg(state=S.CONNECTED))
    return history.take(Batch(users=(BUSY,)))


def reconciled(history: History, batch: Batch) -> History:
    """A batch, and a moment later the look at calls whose end should have come."""
    quiet = history.take(batch).changes.quiet
    for guid, ids in quiet.items():
        history.apply(fold.reconcile(history.state, guid, ids, SCOPE, history.now))
    return history


def test_a_call_that_the_pbx_counts_no_more_is_lost() -> None:
    """Its end was not reported."""
    history = reconciled(talking(), Batch(users=(FREE,)))
    assert (history.types()[-1], history.outcome()) == ("ended", "lost")


def test_a_call_of_a_session_before_is_left_to_the_settling() -> None:
    """A new session has not confirmed it: the count may be older than the call's own report."""
    history = talking().begin()
    history.take(Batch(users=(BUSY,)))
    assert "ended" not in reconciled(history, Batch(users=(FREE,))).types()


def test_an_end_that_comes_behind_the_count_is_the_end() -> None:
    """The count may come first: there is a moment between."""
    history = talking()
    quiet = history.take(Batch(users=(FREE,))).changes.quiet
    history.end(leg(state=S.DISCONNECTING, cause=16))
    for guid, ids in quiet.items():
        history.apply(fold.reconcile(history.state, guid, ids, SCOPE, history.now))
    assert quiet.keys() == {ANNA}
    assert history.outcome() == "answered"
    assert history.types().count("ended") == 1


def test_only_what_ran_when_the_count_went_to_zero_is_closed() -> None:
    """A call that began meanwhile is another one; users whose count did not change are left alone."""
    history = talking().take(Batch(users=(PEOPLE[1],)))
    quiet = history.take(Batch(users=(FREE, PEOPLE[1], PEOPLE[2]))).changes.quiet
    history.see(leg(9, remote=LATER, conference="c9"))
    history.apply(fold.reconcile(history.state, ANNA, quiet[ANNA], SCOPE, history.now))
    assert [call.remote.number for call in history.state.calls[ANNA]] == ["0999"]
    assert quiet.keys() == {ANNA}


def test_a_user_who_is_busy_again_keeps_the_call() -> None:
    """The count went to zero and back, and a user that was removed meanwhile harms nothing."""
    history = talking()
    quiet = history.take(Batch(users=(FREE,))).changes.quiet
    history.take(Batch(users=(BUSY,)))
    history.apply(fold.reconcile(history.state, ANNA, quiet[ANNA], SCOPE, history.now))
    assert "ended" not in history.types()
    history.take(Batch(users=(evolve(BUSY, active=False),)))
    history.apply(fold.reconcile(history.state, ANNA, quiet[ANNA], SCOPE, history.now))
    assert history.types().count("ended") == 1


@pytest.mark.parametrize(
    "record",
    [leg(state=S.CONNECTED, transferred_to=LATER), leg(state=S.PARKED)],
    ids=["transferred", "parked"],
)
def test_a_call_that_goes_on_without_its_user_stays(record: LegRecord) -> None:
    """Transferred away and still followed, or parked: no call of the user counts it."""
    history = reconciled(talking().see(record), Batch(users=(FREE,)))
    assert "ended" not in history.types()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (leg(), leg(remote=LATER, conference="c2")),
        (leg(state=S.RINGING), leg(remote=OUTSIDE, conference="c2")),
        (leg(to_user=False), leg(state=S.CONNECTED, remote=LATER, conference="c2")),
        (leg(state=S.CONNECTED, to_user=False), leg(state=S.RINGING, conference="c2")),
    ],
    ids=["set up twice", "rings, set up", "other direction, connected", "other direction, rings"],
)
def test_a_handle_used_again(old: LegRecord, new: LegRecord) -> None:
    """The old call is closed once, the new one is told from its start."""
    history = History().start().see(old, new)
    ids = [event.call.id for event in history.events if event.call is not None]
    assert len(set(ids)) == 2
    assert history.types().count("ended") + history.types().count("missed") == 1


@pytest.mark.parametrize(
    "new",
    [
        leg(state=S.CONNECTED, remote=LATER, conference="c2"),
        leg(remote=OUTSIDE, conference="c2"),
        leg(remote=LATER),
    ],
    ids=["transferred", "another conference while set up", "the same conference"],
)
def test_a_change_of_conference_alone_is_no_new_call(new: LegRecord) -> None:
    """A transfer gives a leg another conference (docs/wire.md#sequences)."""
    history = History().start().see(leg(), new)
    assert len({event.call.id for event in history.events if event.call is not None}) == 1
