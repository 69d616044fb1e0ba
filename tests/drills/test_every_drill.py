"""Every drill in its short form, a test each; `make drills` runs the long one, `make soak` the longest.

`pytest tests/drills -k outbox` runs and times one.
"""

import os
from pathlib import Path

import pytest

from tests.bus import mosquitto_path
from tests.drills.all import DRILLS
from tests.drills.drill import Drill, play, verdict

pytestmark = pytest.mark.broker
SHORT = [drill for drill in DRILLS if not drill.long_only]
AT_ONCE, EXIT = 2, "02"
KEPT = Path("build/drills")


def case(number: int, drill: Drill) -> object:
    """A drill as a parameter: two run side by side, and the one whose figure is a short time runs alone."""
    group = pytest.mark.pair, pytest.mark.xdist_group(f"drills {number % AT_ONCE}")
    return pytest.param(drill, marks=pytest.mark.alone if drill.number == EXIT else group, id=drill.title)


@pytest.mark.parametrize("drill", [case(number, drill) for number, drill in enumerate(SHORT)])
async def test_it_keeps_its_promises(drill: Drill, tmp_path: Path) -> None:
    """In CI it is a failure that something is not installed; rights that nobody has are not."""
    mosquitto_path()
    if reason := drill.missing():
        assert not (os.environ.get("CI") == "true" and reason.startswith("install")), reason
        pytest.skip(reason)

    assert verdict(drill, await play(drill, tmp_path, KEPT, long=False)) == ""
