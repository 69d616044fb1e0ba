"""How tests that fail or are skipped are shown: pytest runs here over such tests, as a program of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.failures import FEW, FILE

ROOT = Path(__file__).parents[1]
CONFTEST = """
from tests.failures import pytest_sessionfinish
from tests.skips import pytest_terminal_summary
"""
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


def run(folder: Path, tests: str, ci: str) -> str:
    """The output of pytest over these tests, one of which at least fails."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -rfE\n")
    (folder / "test_failing.py").write_text(tests)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "CI": ci, "PYTEST_ADDOPTS": ""}
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    return done.stdout


@pytest.mark.parametrize("ci", ["", "true"])
def test_many_are_one_line_each(tmp_path: Path, ci: str) -> None:
    """At a desk and in CI; the traces, and what was printed, are in the file."""
    count = 60
    said = run(tmp_path, FAILING.format(count=count), ci)
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
    said = run(tmp_path, FAILING.format(count=FEW - 1), "")
    assert len(re.findall(r"^E +third line$", said, re.MULTILINE)) == FEW - 1
    assert "printed-0" in said
    assert "third line" in (tmp_path / FILE).read_text()


SKIPPED = """
import pytest

@pytest.mark.parametrize("number", range(30))
@pytest.mark.skipif(True, reason="there is no broker")
def test_by_mark(number: int) -> None:
    raise AssertionError

{functions}

def test_that_fails() -> None:
    raise AssertionError
"""
FUNCTION = """
def test_{name}() -> None:
    pytest.skip("there is no {what}")
"""


def test_skips_are_one_line_a_reason(tmp_path: Path) -> None:
    """Whatever the number of tests and places that want the same."""
    inside = "".join(
        FUNCTION.format(name=f"{what}_{number}", what=what)
        for what in ("broker", "network")
        for number in range(20)
    )
    said = run(tmp_path, SKIPPED.format(functions=inside), "")
    assert re.findall(r"^ +(\d+) there is no (\w+)$", said, re.MULTILINE) == [
        ("50", "broker"),
        ("20", "network"),
    ]
    assert said.count("there is no") == len(("broker", "network"))
