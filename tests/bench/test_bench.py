"""The bench itself: its replies say what the rows count, its figures are judged as the table says."""

from pathlib import Path

import pytest

from bridge.pbx.wire import decode_poll
from tests.bench.figures import Figure, quantile, ratio
from tests.bench.place import Place, Program
from tests.bench.replies import CALLERS, FOR_ZEEP, Replies
from tests.bench.report import as_json, from_json, table, write_page


def test_the_list_has_everybody_and_ends() -> None:
    """In replies of the size that was asked for."""
    slices = [part for body in Replies().first_list(50, 20) for part in decode_poll(body)]

    assert [len(part.users) for part in slices] == [20, 20, 10, 0]
    assert [part.list_complete for part in slices] == [False, False, False, True]
    assert len({user.guid for part in slices for user in part.users}) == 50


@pytest.mark.parametrize("replies", [Replies(), Replies(FOR_ZEEP)])
def test_each_caller_has_its_turn(replies: Replies) -> None:
    """So that no two events of a reply belong to one user, whose states would become one."""
    heard = [
        leg
        for body in replies.events(0, 4 * CALLERS, CALLERS)
        for part in decode_poll(body)
        for leg in part.legs
    ]

    assert len(heard) == 4 * CALLERS
    for turn in range(4):
        assert len({leg.user_handle for leg in heard[turn * CALLERS : (turn + 1) * CALLERS]}) == CALLERS
    assert {leg.record.leg_handle for leg in heard[:CALLERS]} == {
        leg.record.leg_handle for leg in heard[-CALLERS:]
    }
    assert [leg.record.ended for leg in heard[::CALLERS]] == [False, False, False, True]


def test_lasting_calls_belong_to_nobody_who_calls() -> None:
    """Else they would change what an event of a caller costs."""
    heard = [leg for body in Replies().lasting(300) for part in decode_poll(body) for leg in part.legs]

    assert len(heard) == 300
    assert min(leg.user_handle for leg in heard) > CALLERS


@pytest.mark.parametrize(
    ("values", "at_least", "met"),
    [
        ((2.0,), False, True),
        ((2.1,), False, False),
        ((1.0, 2.1), False, False),
        ((), False, False),
        ((2.1,), True, True),
    ],
)
def test_a_goal_is_met_by_all_values(values: tuple[float, ...], *, at_least: bool, met: bool) -> None:
    """One case of several that misses it is enough."""
    figure = Figure("anything", 2.0, {"today": values}, at_least=at_least)

    assert figure.met("today") is met
    assert table([figure], ["today"]).endswith("| met |") is met


def test_disturbed_rounds_do_not_move_the_ratio() -> None:
    """Both sides of a round are disturbed alike, and single rounds do not count."""
    assert ratio([1.0, 10.0, 1.0], [2.0, 20.0, 1.0]) == 0.5
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0


def test_rows_of_an_earlier_run_are_read_again() -> None:
    """Else a single row could not be measured once more."""
    rows = {"one": [Figure("this", 2.0, {"today": (1.0, 1.5)}, "ms")], "two": [Figure("that", None, {})]}

    assert from_json(as_json({"date": "then"}, rows)) == rows


def test_the_page_keeps_its_text(tmp_path: Path) -> None:
    """Only what is between the marks is replaced, however often."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")

    write_page(page, "new")
    write_page(page, "newer")

    assert page.read_text() == "before\n<!-- table -->\nnewer\n<!-- /table -->\nafter\n"


@pytest.mark.slow
@pytest.mark.broker
async def test_bridge_and_naive_chain_publish_the_same() -> None:
    """As many events; what the ear has heard is counted, so nothing that is measured may be missing."""
    async with Place() as place:
        for subject in (await place.bridge(Program("today"), "today"), await place.naive("naive")):
            await place.settled(subject, CALLERS)
            assert await place.burst(subject, 200) > 0
        assert place.ear.count("today", "event") == place.ear.count("naive", "event") == 200
        assert place.ear.count("naive", "state") == CALLERS + 200
