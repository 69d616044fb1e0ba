"""The plan of the suite holds: each path that it names exists, and groups stay with one worker."""

import re
import subprocess
import sys
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


def test_one_worker_runs_a_group(tmp_path: Path) -> None:
    """What shares ports or machines relies on it; pytest-xdist 3.8 ignores groups with pytest 9.2."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.xdist_group('one')\n@pytest.mark.parametrize('i', range(8))\n"
        "def test_it(i, worker_id):\n    print('on', worker_id)\n",
        encoding="utf-8",
    )
    command = (sys.executable, "-m", "pytest", "-n", "2", "--dist=loadgroup", "-rP", "-p", "no:cacheprovider")
    run = subprocess.run(
        (*command, str(tmp_path)), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    workers = re.findall(r"^on (gw\d)$", run.stdout, re.MULTILINE)
    assert (len(workers), len(set(workers))) == (8, 1), run.stdout + run.stderr
