"""Which address is used: scripted outages, and laws over random ones."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.standby import (
    AGAIN_S,
    CALM_S,
    FLAPS,
    LONGEST_S,
    LOOK_S,
    REJECTED_S,
    AddressChoice,
    Addresses,
)
from bridge.core.status import STAYED_S
from bridge.errors import LinkError, Rejected, SessionLost, StandsBack, TakenOver, Unreachable

AWAY, LOST, REFUSED = Unreachable("away"), SessionLost("lost"), Rejected("no")
RETURN_S = 60.0
CAUSES = (AWAY, LOST, REFUSED, StandsBack("other"), TakenOver("other"))
Step = tuple[float, LinkError, float | None]


def choice(count: int = 2) -> AddressChoice:
    """Some addresses."""
    return AddressChoice(Addresses(tuple("abc"[:count]), RETURN_S))


def places(steps: Sequence[Step], count: int = 2) -> list[int]:
    """Where the attempt after each failure goes: when, why, and how long the session was up."""
    made, found = choice(count), []
    for now_s, cause, lived_s in steps:
        made.down(cause, lived_s, now_s)
        found.append(made.place)
    return found


def back(made: AddressChoice, now_s: float) -> None:
    """The bridge returns to the primary."""
    made.returns()
    assert made.down(LOST, STAYED_S, now_s)
    assert made.place == 0


def test_addresses_take_turns() -> None:
    """Nothing is known of them yet."""
    assert places([(at, AWAY, None) for at in range(4)], 3) == [1, 2, 0, 1]


def test_what_was_up_is_tried_again_first() -> None:
    """For a moment: a restart needs no standby. Not for long, where each attempt takes long."""
    assert places([(100, LOST, STAYED_S), (101, AWAY, None), (101, AWAY, None)]) == [0, 0, 1]
    assert places([(100, LOST, STAYED_S), (100 + AGAIN_S, AWAY, None)]) == [0, 1]


def test_what_breaks_again_and_again_is_left() -> None:
    """Though it is up each time; one session that stays up makes it as good as new."""
    flaps = [(at, LOST, 1.0) for at in range(FLAPS + 1)]
    assert places(flaps) == [0] * FLAPS + [1]
    assert places([*flaps[:-1], (50, LOST, STAYED_S), *flaps[:-1]])[-1] == 0


def test_who_rejects_us_is_left_out_for_a_while() -> None:
    """The other one is tried meanwhile, at once and as often as usual."""
    made = choice()
    assert made.down(REFUSED, None, 0)
    assert [made.down(AWAY, None, at) and made.place for at in (1, 2, REJECTED_S - 1)] == [1, 1, 1]
    assert made.down(AWAY, None, REJECTED_S)
    assert made.place == 0


def test_where_all_reject_us_nobody_is_asked_soon() -> None:
    """Accounts lock."""
    made = choice()
    assert made.down(REFUSED, None, 0)
    assert not made.down(REFUSED, None, 1)


@pytest.mark.parametrize("cause", [StandsBack("x"), TakenOver("x")])
def test_another_bridge_does_not_drive_us_to_the_standby(cause: LinkError) -> None:
    """At another broker both would serve."""
    assert places([(0, cause, None), (1, cause, 1.0), (90, cause, STAYED_S)]) == [0, 0, 0]


def test_one_address_has_no_choice() -> None:
    """Then all is as if there were no standbys."""
    made = choice(1)
    assert not made.several
    assert not any(made.down(cause, None, 0) for cause in CAUSES)
    assert made.place == 0


def test_the_primary_must_answer_for_a_while() -> None:
    """One look that fails, and the time starts again."""
    made = choice()
    made.down(AWAY, None, 0)
    for now_s, good, may in ((10, True, False), (69, True, False), (70, True, True), (71, False, False)):
        made.looked(now_s, good=good)
        assert made.may_return(now_s) is may
    made.looked(80, good=True)
    assert not made.may_return(80 + RETURN_S - 1)
    assert made.may_return(80 + RETURN_S)
    assert not made.is_overdue(80 + RETURN_S + CALM_S - 1)
    assert made.is_overdue(80 + RETURN_S + CALM_S)


def test_a_primary_that_flaps_must_prove_more_and_more() -> None:
    """Twice as long each time, up to an hour; one that has held is believed as before."""
    made, now_s, waits = choice(), 0.0, []
    made.down(AWAY, None, now_s)
    for _ in range(8):
        since_s = now_s
        made.looked(now_s, good=True)
        while not made.may_return(now_s):
            now_s += RETURN_S
        waits.append(now_s - since_s)
        back(made, now_s)
        made.down(AWAY, None, now_s)
    assert waits == [60, 120, 240, 480, 960, 1920, LONGEST_S, LONGEST_S]

    back(made, now_s)
    now_s += 10 * RETURN_S
    made.down(AWAY, None, now_s)
    made.looked(now_s, good=True)
    assert made.may_return(now_s + RETURN_S)


def test_looks_are_not_made_in_step() -> None:
    """And at least three of them before a return."""
    made = choice()
    assert made.look_in_s(lambda: 0.0) == 0.75 * LOOK_S
    assert made.look_in_s(lambda: 1.0) == 1.25 * LOOK_S
    assert AddressChoice(Addresses(("a", "b"), 3.0)).look_in_s(lambda: 0.5) == 1.0


LIVED = st.one_of(st.none(), st.floats(0, 2 * STAYED_S))


@given(
    st.integers(2, 3),
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from((AWAY, LOST, REFUSED)), LIVED), max_size=60),
)
def test_no_address_is_forgotten(count: int, steps: list[tuple[float, LinkError, float | None]]) -> None:
    """However it went before: what does not come up from now on is left for each of the others in turn."""
    made, now_s = choice(count), 0.0
    for pause_s, cause, lived_s in steps:
        now_s += pause_s
        made.down(cause, lived_s, now_s)
    now_s += REJECTED_S
    seen = set()
    for attempt in range(count + 1):
        made.down(AWAY, None, now_s + attempt * AGAIN_S)
        seen.add(made.place)

    assert seen == set(range(count))
    assert (made.name, made.primary) == ("abc"[made.place], "a")


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=40))
def test_it_returns_only_to_what_has_answered(looks: list[tuple[float, bool]]) -> None:
    """All looks of the last `return_after_s` were good."""
    made, now_s, history = choice(), 0.0, list[tuple[float, bool]]()
    made.down(AWAY, None, 0)
    for pause_s, good in looks:
        now_s += pause_s
        made.looked(now_s, good=good)
        history.append((now_s, good))
        if made.may_return(now_s):
            assert now_s - history[0][0] >= RETURN_S
            assert all(was_good for at_s, was_good in history if at_s > now_s - RETURN_S)
