"""Every path that plan.py and .ci/newest name must exist, so that a rename cannot silently undo them."""

import re
from pathlib import Path

import pytest

from tests.plan import ONE_BY_ONE, SLOW, SLOW_FILES

HERE = Path(__file__).parent
NEWEST = (HERE.parent / ".ci" / "newest").read_text(encoding="utf-8")
LEFT_OUT = re.findall(r'^    "(tests/[\w./]+)(?:::(\w+))?', NEWEST, re.MULTILINE)


@pytest.mark.parametrize("name", [*SLOW, *ONE_BY_ONE, *SLOW_FILES])
def test_what_is_slow_exists(name: str) -> None:
    """Each folder and each file."""
    assert (HERE / name).exists()


@pytest.mark.parametrize(("path", "function"), LEFT_OUT)
def test_what_is_left_out_exists(path: str, function: str) -> None:
    """Each path of the newest Python's run, and the test in it."""
    place = HERE.parent / path
    assert place.exists()
    assert not function or f"def {function}(" in place.read_text(encoding="utf-8")


def test_the_newest_python_leaves_something_out() -> None:
    """Guards the pattern above: without a match the tests above would test nothing."""
    assert ("tests/systemd", "") in LEFT_OUT
