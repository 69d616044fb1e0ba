"""Whose calls are followed and whose are asked for again: bookkeeping, with a clock of the test's own."""

import pytest

from bridge.core.records import LegRecord
from bridge.pbx.decode import HeardLeg
from bridge.pbx.monitors import AGAIN_FIRST_S, AGAIN_LONGEST_S, EARLY_AT_MOST, Monitors


def test_the_urgent_go_first() -> None:
    """And each is asked for once."""
    monitors = Monitors()
    assert monitors.monitor("a", "A", urgent=False)
    assert monitors.monitor("b", "B", urgent=False)
    assert monitors.monitor("b", "B", urgent=True)
    assert not monitors.monitor("b", "B", urgent=False)
    assert not monitors.monitor("a", "A", urgent=False)

    assert [monitors.next_wanted(0.0) for _ in range(3)] == [("b", "B"), ("a", "A"), None]


def test_who_is_renamed_while_waiting_is_asked_for_by_the_new_name() -> None:
    """The PBX would refuse the old one."""
    monitors = Monitors()
    monitors.monitor("a", "Old", urgent=False)
    assert monitors.monitor("a", "New", urgent=False)

    assert monitors.next_wanted(0.0) == ("a", "New")


def test_a_refused_user_is_asked_for_again_later_each_time() -> None:
    """Up to a limit, and not because it is reported again; time alone counts."""
    monitors, now_s, delays = Monitors(), 0.0, []
    monitors.monitor("a", "A", urgent=False)
    monitors.next_wanted(now_s)
    for _ in range(9):
        monitors.refused("a", "A", now_s)
        assert not monitors.monitor("a", "A", urgent=True)
        due_s = monitors.again_s()
        assert due_s is not None
        assert monitors.next_wanted(due_s - 0.001) is None
        assert monitors.next_wanted(due_s) == ("a", "A")
        assert monitors.next_wanted(due_s) is None
        delays.append(due_s - now_s)
        now_s = due_s

    assert delays[:3] == [AGAIN_FIRST_S, AGAIN_FIRST_S * 2, AGAIN_FIRST_S * 4]
    assert delays[-1] == AGAIN_LONGEST_S


@pytest.mark.parametrize("end", ["renamed", "unwanted", "followed"])
def test_a_refusal_is_forgotten(end: str) -> None:
    """With the name that was refused, with the wish, and when the PBX agrees after all."""
    monitors = Monitors()
    monitors.refused("a", "A", 0.0)
    if end == "renamed":
        assert monitors.monitor("a", "B", urgent=False)
        assert monitors.next_wanted(0.0) == ("a", "B")
    elif end == "unwanted":
        assert not monitors.unmonitor("a")
    else:
        monitors.monitored("a", 7)
        assert not monitors.monitor("a", "B", urgent=False)

    assert monitors.again_s() is None
    monitors.refused("a", "A", 100.0)
    assert monitors.again_s() == 100.0 + AGAIN_FIRST_S


def test_handles_are_given_back_and_early_legs_kept() -> None:
    """In bounded number."""
    monitors = Monitors()
    monitors.keep_early(HeardLeg(7, LegRecord("", number)) for number in range(EARLY_AT_MOST + 5))
    assert [leg.user for leg in monitors.monitored("a", 7)] == ["a"] * EARLY_AT_MOST
    assert monitors.unmonitor("a")
    assert (monitors.next_to_return(), monitors.next_to_return()) == (7, None)
    monitors.keep_early([HeardLeg(8, LegRecord("", 1))])
    monitors.forget_early()

    assert monitors.monitored("b", 8) == ()


@pytest.mark.parametrize("back", [False, True])
def test_who_is_given_up_while_the_pbx_is_asked(back: bool) -> None:  # noqa: FBT001  (a parameter of pytest)
    """Is not asked for again, and its handle goes back; who is back by then is asked for anew."""
    for handle in (0, 7):
        monitors = Monitors()
        monitors.monitor("a", "A", urgent=False)
        assert monitors.next_wanted(0.0) == ("a", "A")
        assert not monitors.unmonitor("a")
        if back:
            assert monitors.monitor("a", "A", urgent=False)
        if handle:
            assert monitors.monitored("a", handle) == ()
        else:
            assert not monitors.refused("a", "A", 0.0)

        assert (monitors.handle_of("a"), monitors.again_s()) == (None, None)
        assert monitors.resolved([HeardLeg(handle, LegRecord("", 1))]) == ()
        assert monitors.next_to_return() == (handle or None)
        assert monitors.next_wanted(0.0) == (("a", "A") if back else None)
        monitors.monitored("a", 8)
        assert monitors.handle_of("a") == 8
