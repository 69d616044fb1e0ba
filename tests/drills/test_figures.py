"""The judge of the floods, judged by figures that are made up."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.drills.bystanders import Machine
from tests.drills.checker import judge
from tests.drills.drill import Drill, verdict
from tests.drills.figures import Figures, Half
from tests.drills.history import History, load

GOOD = Figures(
    per_s=100,
    seconds=30.0,
    halves=(Half(1500, 1.0, 15.0), Half(1500, 1.0, 15.0)),
    before=64.0,
    most=66.0,
    after=65.0,
    lines=500,
    states=("hq online",),
    clears_s=(0.01, 0.02),
    refused=(),
    branch_s=(0.02, 0.01),
    health_s=(0.01,),
    lost=0,
    gaps=0,
)


def test_good_figures_break_nothing() -> None:
    """Nor do a little more memory, and a dear message now and then that costs hardly anything."""
    assert list(GOOD.broken()) == []
    assert list(replace(GOOD, after=70.0, most=70.0).broken()) == []
    assert list(replace(GOOD, halves=(Half(1500, 0.1, 15.0), Half(1500, 0.4, 15.0))).broken()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"halves": (Half(700, 0.5, 15.0), Half(700, 0.5, 15.0))}, "this shows nothing"),
        ({"after": 71.0}, "memory grew from 64.0 to 71.0"),
        ({"most": 71.0}, "meanwhile"),
        ({"halves": (Half(1500, 2.0, 15.0), Half(1500, 6.0, 15.0))}, "3.0 times the CPU"),
        ({"lines": 801}, "801 log lines"),
        ({"states": ("hq online", "branch offline")}, "branch offline"),
        ({"clears_s": (0.1, 1.1)}, "clear took 1.1 s"),
        ({"clears_s": ()}, "clear took"),
        ({"refused": ("honest-1: rate_limited",)}, "clear refused 1 times"),
        ({"branch_s": (1.2,)}, "an event of branch took 1.2 s"),
        ({"branch_s": ()}, "an event of branch took"),
        ({"health_s": (10.0,)}, "a probe took 10.0 s"),
        ({"lost": 1}, "1 calls and 0 events"),
        ({"gaps": 1}, "0 calls and 1 events"),
    ],
)
def test_each_promise_can_be_broken(changes: dict[str, Any], words: str) -> None:
    """One figure that is bad is one promise that is not kept."""
    broken = list(replace(GOOD, **changes).broken())
    assert len(broken) == 1
    assert words in broken[0]


def test_what_the_machine_took_is_no_wait(tmp_path: Path) -> None:
    """It counts where it was taken, to the next look; a wait is never less than nothing."""
    machine = Machine(tmp_path / "none")
    for at, taken_s in ((10.0, 0.0), (11.0, 0.5), (12.0, 0.5), (13.0, 1.5)):
        machine.note(at, taken_s)
    assert machine.share == pytest.approx(0.5)
    spans = ((10.0, 11.0), (11.0, 12.0), (10.5, 11.5), (9.0, 20.0), (12.5, 12.6))
    assert [machine.wait_s(span) for span in spans] == pytest.approx([0.5, 1.0, 0.5, 9.5, 0.0])


def test_the_row_has_them(tmp_path: Path) -> None:
    """What is broken fails the drill; all figures are shown, after a history was kept too."""

    async def nothing(_made: object) -> None:
        """No fault."""

    history = History("made-up")
    history.add("shown", text="500 lines")
    history.add("broken", promise="801 log lines")
    row = judge(load(history.save(tmp_path)))
    assert row == judge(history)
    assert row.more == ("500 lines",)
    assert verdict(Drill("0", "made up", nothing, load=False), row) == "801 log lines"
