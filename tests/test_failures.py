"""How a failing suite is shown: pytest runs here over tests that fail, as a program of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.failures import FEW, FILE

ROOT = Path(__file__).parents[1]
CONFTEST = "from tests.failures import pytest_sessionfinish\n"
FAILING = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_it(number: int) -> None:
    print(f"printed-{{number}}")
    raise RuntimeError(f"first-{{number}}\\nsecond line\\nthird line")

@pytest.fixture
def broken() -> None:
    raise OSError("no-such-thing")

def test_its_fixture(broken: None) -> None:
    pass
"""


def run(folder: Path, count: int, ci: str) -> str:
    """What pytest says of so many tests that fail, and one whose fixture does."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    (folder / "test_failing.py").write_text(FAILING.format(count=count))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "CI": ci, "PYTEST_ADDOPTS": ""}
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    return done.stdout


@pytest.mark.parametrize("ci", ["", "true"])
def test_many_are_one_line_each(tmp_path: Path, ci: str) -> None:
    """At a desk and in CI; the traces, and what was printed, are in the file."""
    count = 60
    said = run(tmp_path, count, ci)
    named = re.findall(r"^(?:FAILED|ERROR) \S*test_failing.py::\S+ - (.*)$", said, re.MULTILINE)
    assert sorted(named) == sorted(
        ["OSError: no-such-thing", *(f"RuntimeError: first-{number}" for number in range(count))]
    )
    assert len(said.splitlines()) < count + 20
    assert re.search(rf"^{count + 1} tests failed; their traces are in {FILE}$", said, re.MULTILINE)
    assert re.search(r"60 failed, 1 error in [\d.]+s", said.splitlines()[-1])
    kept = (tmp_path / FILE).read_text()
    assert all(f"printed-{number}\n" in kept and f"first-{number}\n" in kept for number in range(count))
    assert "third line" in kept
    assert "no-such-thing" in kept


def test_a_few_are_shown_whole(tmp_path: Path) -> None:
    """Who works on one test sees its trace at once."""
    said = run(tmp_path, FEW - 1, "")
    assert len(re.findall(r"^E +third line$", said, re.MULTILINE)) == FEW - 1
    assert "printed-0" in said
    assert "third line" in (tmp_path / FILE).read_text()
