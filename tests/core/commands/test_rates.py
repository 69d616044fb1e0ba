"""How often commands may come: no client can use up what another one needs to end its call."""

from itertools import count

import pytest

from bridge.core.commands.rates import (
    OTHERS_PER_CALL,
    PINGS_PER_MINUTE,
    RESYNC_S,
    URGENT,
    URGENT_PER_CALL,
    USERS_REMEMBERED,
    RateLimit,
    Rates,
)


def test_an_allowance_is_of_any_minute() -> None:
    """Used up, and back when the minute has passed."""
    allowance = RateLimit(2)
    taken = [allowance.take(second) for second in (0, 1, 2, 60, 60.5, 61)]
    assert taken == [True, True, False, True, False, True]


def let_through(rates: Rates, verb: str, guid: str, most: int = 100_000) -> int:
    """How many come through at one moment."""
    return next(number for number in count() if number == most or rates.refusal(verb, guid, 0.0))


def test_pings_and_others_calls_leave_room_for_a_clear() -> None:
    """Everything else is used up: a call can be answered and ended all the same."""
    rates = Rates(per_minute=60, calls_per_user=10)
    assert let_through(rates, "ping", "") == PINGS_PER_MINUTE
    assert let_through(rates, "call", "mallory") == 10
    assert let_through(rates, "clear", "mallory") == 10 * URGENT_PER_CALL[1]
    assert let_through(rates, "presence", "mallory") == 10 * OTHERS_PER_CALL
    assert let_through(rates, "call", "anna") == 10, "what was refused to mallory took nothing"
    assert let_through(rates, "presence", "anna") == 10, "sixty of all users together"

    assert rates.refusal("call", "bert", 0.0) == "too many commands: 60 a minute, 10 calls a user"
    assert rates.refusal("ping", "", 59.9) == "too many pings: 60 a minute"
    assert rates.refusal("clear", "anna", 0.0) is None
    assert rates.refusal("ping", "", 60.0) is None


@pytest.mark.parametrize("verb", URGENT)
def test_what_somebody_waits_for_has_a_limit_of_its_own(verb: str) -> None:
    """Of all users together too; the other one is not affected."""
    rates = Rates(per_minute=3, calls_per_user=10)
    assert sum(let_through(rates, verb, f"user {number}") for number in range(100)) == 60
    (other,) = URGENT.keys() - {verb}
    assert let_through(rates, other, "user 0") == 60
    assert let_through(rates, "call", "user 0") == 3


@pytest.mark.parametrize(("second", "late"), [(0.0, True), (RESYNC_S - 0.1, True), (RESYNC_S, False)])
def test_a_resync_comes_once_in_a_while(second: float, late: bool) -> None:  # noqa: FBT001  (a case)
    """Each is a new session with the PBX."""
    rates = Rates(per_minute=6000, calls_per_user=6000)
    assert rates.refusal("resync", "", 0.0) is None
    assert (rates.refusal("resync", "", second) == "resync is limited to once in 30 s") is late


def test_users_are_forgotten_one_by_one() -> None:
    """Thousands of others: the allowance of who called lately is remembered, memory is bounded."""
    rates = Rates(per_minute=6000, calls_per_user=1)
    assert rates.refusal("call", "first", 0.0) is None
    for number in range(USERS_REMEMBERED - 1):
        assert rates.refusal("call", f"user {number}", 0.0) is None
    assert rates.refusal("call", "first", 0.0) is not None
    assert rates.refusal("call", "one more", 0.0) is None

    assert rates.refusal("call", "first", 0.0) is not None, "used lately"
    assert rates.refusal("call", "user 0", 0.0) is None, "the one that was used least lately"


def test_no_verb_of_one_user_uses_up_what_others_need() -> None:
    """Verbs without a limit of their own share one per user, so that a new verb opens no way around it."""
    rates = Rates(per_minute=60, calls_per_user=10)
    assert let_through(rates, "hold", "mallory") == 10 * OTHERS_PER_CALL
    assert let_through(rates, "presence", "mallory") == 0
    assert let_through(rates, "of the next version", "mallory") == 0
    assert let_through(rates, "call", "mallory") == 10
    assert let_through(rates, "hold", "anna") == 20, "sixty of all users together"
    assert rates.refusal("hold", "bert", 0.0) is not None
