"""Whose calls are followed and whose are asked for again: bookkeeping, with a clock of the test's own."""

import pytest

from bridge.core.records import LegRecord
from bridge.pbx.decode import HeardLeg
from bridge.pbx.monitors import AGAIN_FIRST_S, AGAIN_LONGEST_S, EARLY_AT_MOST, Follows


def test_the_urgent_go_first() -> None:
    """And each is asked for once."""
    follows = Follows()
    assert follows.want("a", "A", urgent=False)
    assert follows.want("b", "B", urgent=False)
    assert follows.want("b", "B", urgent=True)
    assert not follows.want("b", "B", urgent=False)
    assert not follows.want("a", "A", urgent=False)

    assert [follows.next_wanted(0.0) for _ in range(3)] == [("b", "B"), ("a", "A"), None]


def test_who_is_renamed_while_waiting_is_asked_for_by_the_new_name() -> None:
    """The PBX would refuse the old one."""
    follows = Follows()
    follows.want("a", "Old", urgent=False)
    assert follows.want("a", "New", urgent=False)

    assert follows.next_wanted(0.0) == ("a", "New")


def test_a_refused_user_is_asked_for_again_later_each_time() -> None:
    """Up to a limit, and not because it is reported again; time alone counts."""
    follows, now_s, delays = Follows(), 0.0, []
    follows.want("a", "A", urgent=False)
    follows.next_wanted(now_s)
    for _ in range(9):
        follows.refused("a", "A", now_s)
        assert not follows.want("a", "A", urgent=True)
        due_s = follows.again_s()
        assert due_s is not None
        assert follows.next_wanted(due_s - 0.001) is None
        assert follows.next_wanted(due_s) == ("a", "A")
        assert follows.next_wanted(due_s) is None
        delays.append(due_s - now_s)
        now_s = due_s

    assert delays[:3] == [AGAIN_FIRST_S, AGAIN_FIRST_S * 2, AGAIN_FIRST_S * 4]
    assert delays[-1] == AGAIN_LONGEST_S


@pytest.mark.parametrize("end", ["renamed", "unwanted", "followed"])
def test_a_refusal_is_forgotten(end: str) -> None:
    """With the name that was refused, with the wish, and when the PBX agrees after all."""
    follows = Follows()
    follows.refused("a", "A", 0.0)
    if end == "renamed":
        assert follows.want("a", "B", urgent=False)
        assert follows.next_wanted(0.0) == ("a", "B")
    elif end == "unwanted":
        assert not follows.unwant("a")
    else:
        follows.followed("a", 7)
        assert not follows.want("a", "B", urgent=False)

    assert follows.again_s() is None
    follows.refused("a", "A", 100.0)
    assert follows.again_s() == 100.0 + AGAIN_FIRST_S


def test_handles_are_given_back_and_early_legs_kept() -> None:
    """In bounded number."""
    follows = Follows()
    follows.keep_early(HeardLeg(7, LegRecord("", number)) for number in range(EARLY_AT_MOST + 5))
    assert [leg.user for leg in follows.followed("a", 7)] == ["a"] * EARLY_AT_MOST
    assert follows.unwant("a")
    assert (follows.next_surplus(), follows.next_surplus()) == (7, None)
    follows.keep_early([HeardLeg(8, LegRecord("", 1))])
    follows.forget_early()

    assert follows.followed("b", 8) == ()


@pytest.mark.parametrize("back", [False, True])
def test_who_is_given_up_while_the_pbx_is_asked(back: bool) -> None:  # noqa: FBT001  (a parameter of pytest)
    """Is not asked for again, and its handle goes back; who is back by then is asked for anew."""
    for handle in (0, 7):
        follows = Follows()
        follows.want("a", "A", urgent=False)
        assert follows.next_wanted(0.0) == ("a", "A")
        assert not follows.unwant("a")
        if back:
            assert follows.want("a", "A", urgent=False)
        if handle:
            assert follows.followed("a", handle) == ()
        else:
            assert not follows.refused("a", "A", 0.0)

        assert (follows.handle_of("a"), follows.again_s()) == (None, None)
        assert follows.resolved([HeardLeg(handle, LegRecord("", 1))]) == ()
        assert follows.next_surplus() == (handle or None)
        assert follows.next_wanted(0.0) == (("a", "A") if back else None)
        follows.followed("a", 8)
        assert follows.handle_of("a") == 8
