"""More users, calls and legs than a bridge keeps: the rest is left out and counted, and costs little."""

import time
from collections.abc import Callable, Sequence

import pytest

from bridge.core import fold
from bridge.core.fold import OVERDUE_S
from bridge.core.model import Instant, PbxState
from bridge.core.records import Batch, CallState, LegRecord, Party, UserRecord
from bridge.core.rules import Scope, SizeLimits
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, History, leg, user

TALKING = CallState.CONNECTED
NEWCOMERS = tuple(user(f"g-{number}", f"User{number}") for number in range(4))


def legs(count: int, guid: str = ANNA, first: int = 100) -> tuple[LegRecord, ...]:
    """Running legs of a user, each its own conversation."""
    return tuple(leg(first + n, TALKING, guid, conference=f"c{guid}-{n}") for n in range(count))


def test_users_beyond_the_limit_are_left_out_until_there_is_room() -> None:
    """They are not published, their calls are not followed; who leaves makes room."""
    history = History(Scope(limits=SizeLimits(users=3))).start(*PEOPLE)
    history.take(Batch(users=NEWCOMERS))
    assert set(history.state.users) == {person.guid for person in PEOPLE}
    assert (history.changes.users, history.changes.left_out) == ((), {"users": 4})

    history.take(Batch(users=(evolve(PEOPLE[0], active=False), NEWCOMERS[2])))
    assert NEWCOMERS[2].guid in history.state.users
    assert history.changes.left_out == {}


def test_who_was_deleted_while_we_were_away_takes_nobodys_place() -> None:
    """A new session's list may hold other users, as many as there may be."""
    history = History(Scope(limits=SizeLimits(users=3))).start(*PEOPLE)
    others = (PEOPLE[0], *NEWCOMERS[:2])
    history.begin().take(Batch(users=others)).take(Batch(list_complete=True))

    assert set(history.state.users) == {person.guid for person in others}


@pytest.mark.parametrize(
    ("most", "limit", "kept"),
    [(SizeLimits(calls_per_user=5), "calls_per_user", (5, 3)), (SizeLimits(calls=6), "calls", (6, 0))],
)
def test_calls_beyond_a_limit_are_left_out(most: SizeLimits, limit: str, kept: tuple[int, int]) -> None:
    """Those that run go on and end as ever; what was left out has no event, and comes when there is room."""
    history = History(Scope(limits=most)).start()
    history.take(Batch(legs=(*legs(8), *legs(3, BERT))))
    counts = tuple(len(history.state.calls.get(guid, ())) for guid in (ANNA, BERT))
    assert counts == kept
    assert history.changes.left_out == {limit: 11 - sum(kept)}
    assert [event.type.value for event in history.events].count("incoming") == sum(kept)

    late = legs(8)[7]
    history.take(Batch(legs=(evolve(late, ended=True),)))
    assert history.types().count("ended") == 0
    history.end(legs(1)[0]).see(late)
    assert history.state.calls[ANNA][-1].leg_handle == late.leg_handle
    assert history.types()[-3:] == ["ended", "incoming", "answered"]


def test_where_ends_were_lost_the_oldest_makes_room() -> None:
    """After an hour at the limit: a PBX that loses ends must not hide new calls for ever."""
    history = History(Scope(limits=SizeLimits(calls_per_user=3))).start().take(Batch(legs=legs(3)))
    now = history.now
    later = Instant(now.unix_ms, now.monotonic_s + OVERDUE_S + 10)
    history.apply(fold.fold(history.state, Batch(legs=legs(5, first=500)), history.scope, later))

    assert [call.leg_handle for call in history.state.calls[ANNA]] == [500, 501, 502]
    assert history.types().count("ended") == 3
    assert history.outcome() == "lost"
    assert history.changes.left_out == {"calls_per_user": 2}


def test_calls_of_an_earlier_session_take_no_place() -> None:
    """Until they settle: the calls that run now are all seen."""
    history = History(Scope(limits=SizeLimits(calls=4, calls_per_user=4))).start().take(Batch(legs=legs(4)))
    others = tuple(evolve(each, conference=f"n{each.leg_handle}") for each in legs(4, first=900))
    history.begin().take(Batch(users=PEOPLE, list_complete=True)).take(Batch(legs=others)).settle()

    assert [call.leg_handle for call in history.state.calls[ANNA]] == [each.leg_handle for each in others]
    assert history.types().count("ended") == 4


def test_an_unconfirmed_call_is_found_by_what_it_looks_like() -> None:
    """One conversation goes before one number; of several the oldest, and each once."""
    one, two = Party(number="1"), Party(number="2")
    history = History().start()
    for number, conference, far in ((1, "c", one), (2, "c", two), (3, "", one), (4, "", one), (5, "d", two)):
        history.see(leg(number, TALKING, conference=conference, remote=far))
    ids = {call.leg_handle: call.id for call in history.state.calls[ANNA]}
    history.begin().take(Batch(users=PEOPLE, list_complete=True))
    again = ((11, "c", two), (12, "", one), (13, "c", Party(number="9")), (14, "x", one), (15, "", two))
    for number, conference, far in again:
        history.see(leg(number, TALKING, conference=conference, remote=far))
    found = {call.leg_handle: call.id for call in history.state.calls[ANNA]}

    assert found == {12: ids[1], 11: ids[2], 14: ids[3], 15: ids[5], 13: found[13], None: ids[4]}
    assert found[13] not in ids.values()


def flood_of_legs(count: int) -> Sequence[Batch]:
    """A PBX names legs of one user."""
    records = legs(count)
    return [Batch(legs=records[start : start + 256]) for start in range(0, count, 256)]


def flood_of_other_legs(count: int) -> Sequence[Batch]:
    """None of them is like a call that waits to be confirmed."""
    records = tuple(evolve(each, conference=f"other {each.leg_handle}") for each in legs(count, first=10**6))
    return [Batch(legs=records[start : start + 256]) for start in range(0, count, 256)]


def flood_of_names(count: int) -> Sequence[Batch]:
    """Users of one name and number."""
    records = tuple(UserRecord(f"g{n}", f"N{n}", short_name="same", number="1") for n in range(count))
    return [Batch(users=records[start : start + 256]) for start in range(0, count, 256)]


def flood_of_ends(count: int) -> Sequence[Batch]:
    """Legs of one conversation that all end."""
    ends = tuple(leg(100 + n, TALKING, ended=True) for n in range(count))
    return [Batch(legs=ends[start : start + 256]) for start in range(0, count, 256)]


def cost_s(state: PbxState, batches: Sequence[Batch]) -> float:
    """What the processor needs for these batches; the best of three, for others work here too."""
    best = float("inf")
    for _ in range(3):
        current, started = state, time.process_time()
        for batch in batches:
            current, _ = fold.fold(current, batch, Scope(), Instant(1_795_000_000_000, 10.0))
        best = min(best, time.process_time() - started)
    return best


def nothing_runs(_count: int) -> PbxState:
    """A complete list."""
    return History().start().state


def unconfirmed(_count: int) -> PbxState:
    """As many calls of an earlier session as a user can have."""
    return History().start().take(Batch(legs=legs(1024))).begin().state


def one_conversation(count: int) -> PbxState:
    """As many legs in one conference."""
    return History().start().take(Batch(legs=tuple(leg(100 + n, TALKING) for n in range(count)))).state


@pytest.mark.alone
@pytest.mark.parametrize(
    ("before", "flood", "few", "many", "times"),
    [
        (nothing_runs, flood_of_legs, 1024, 16_384, 8),
        (unconfirmed, flood_of_other_legs, 1024, 8192, 8),
        (nothing_runs, flood_of_names, 512, 4096, 20),
        (one_conversation, flood_of_ends, 256, 1024, 10),
    ],
)
def test_thousands_of_records_in_one_answer_cost_no_quadratic_work(
    before: Callable[[int], PbxState],
    flood: Callable[[int], Sequence[Batch]],
    few: int,
    many: int,
    times: int,
) -> None:
    """Eight times as much costs some eight times as much, beyond a limit next to nothing; not 64 times.

    Four times as many legs as are compared with each other cost some four times as much.
    """
    less_s, more_s = (cost_s(before(count), flood(count)) for count in (few, many))

    assert more_s < times * less_s, f"{more_s:.3f} s for {many}, {less_s:.3f} s for {few}"


def test_another_call_of_the_caller_has_not_taken_the_one_in_the_queue() -> None:
    """The caller, one of us, has a second call with somebody else: the one in the queue was given up."""
    queue = user("g-queue", "Queue", type="waiting")
    caller = Party("21", "Anna Ex", "", "anna")
    history = History().start(PEOPLE[0], PEOPLE[1], queue)
    waiting = leg(1, TALKING, user="g-queue", remote=caller, conference="q")
    own = leg(2, TALKING, remote=Party("0999"), conference="other")
    for record in (own, waiting, evolve(waiting, ended=True, cause=16)):
        history.apply(fold.fold(history.state, Batch(legs=(record,)), history.scope, history.now))

    assert history.state.calls[ANNA]
    assert history.outcome("g-queue") == "abandoned"
