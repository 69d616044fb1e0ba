"""Every line that we say to install with, where all that is needed has a newer release."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.install.index import Index, newer
from tests.install.lock import ROOT, read, rehashed

LOCKS = ("program", "demo", "tests")
PLACE = "/opt/innovaphone-mqtt"
OURS, BROUGHT = "innovaphone-mqtt", {"pip", "setuptools"}
INSTALL = re.compile(
    rf"^ *((?:python3 -m venv (?:--copies )?{PLACE}|{PLACE}/bin/(?:python -m )?pip) ?.*)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Project:
    """A copy of the project whose locks name the index's wheels."""

    folder: Path
    index: Index

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, with nothing of our environment."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": self.index.url,
        }
        return subprocess.run(
            ("bash", "-ec", command),
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def must(self, command: str) -> str:
        """Run a command that must not fail; what it says."""
        done = self.run(command)
        assert done.returncode == 0, f"{command}: {done.stdout[-500:]} {done.stderr[-1500:]}"
        return done.stdout


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """With a newer release of everything."""
    return Index(tmp_path_factory.mktemp("index"), read("tests").here)


@pytest.fixture
def project(tmp_path: Path, index: Index) -> Project:
    """A copy of the project."""
    shutil.copytree(ROOT / "bridge", tmp_path / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "README.md", "LICENSE", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "locks").mkdir()
    for name in LOCKS:
        (tmp_path / "locks" / f"{name}.lock").write_text(rehashed(name, index.hashes))
    return Project(tmp_path, index)


def interpreter() -> str:
    """The one that our environment was made with: its pip is the one it brings."""
    return str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]  # no public name


def lines(file: str) -> list[str]:
    """The commands of a text or recipe that make our environment, in their short form."""
    text = (ROOT / file).read_text().replace("\\\n", "")
    recipe = [json.loads(found) for found in re.findall(r"^RUN (\[.*\])$", text, re.MULTILINE)]
    commands = INSTALL.findall("\n".join([*map(" ".join, recipe), text]))
    return [re.sub(r"(?<=/bin/)python -m | --copies| --no-cache-dir", "", each) for each in commands]


def installed(environment: Path) -> dict[str, str]:
    """Name and version of what an environment has."""
    (folder,) = environment.glob("lib/python3*/site-packages")
    found = {one.name.lower(): one.version for one in distributions(path=[str(folder)])}
    return {name.replace("_", "-"): version for name, version in found.items() if name not in BROUGHT}


def test_demo_and_tests_by_make(project: Project) -> None:
    """First the demo's, then the tests' in the same environment; the next time nothing is left to do."""
    make = f"make PYTHON={interpreter()} "
    for target, lock in ((".demo", "demo"), (".installed", "tests"), (".demo", "tests")):
        said = project.must(f"{make} .venv/{target}")
        has = installed(project.folder / ".venv")
        assert has.pop(OURS)
        assert has == read(lock).here
    assert "up to date" in said
    assert "No broken requirements" in project.must(".venv/bin/python -m pip check")


def test_the_program_by_hand(project: Project) -> None:
    """README, systemd's and the recipe say the same: an environment, the lock, the project, a check."""
    commands = lines("README.md")
    assert len(commands) == len({"venv", "lock", "project", "check"})
    assert lines("deploy/systemd/README.md") == commands
    assert lines("deploy/container/Containerfile") == commands
    for command in commands:
        said = project.must(
            command.replace("python3 -m", f"{interpreter()} -m").replace(PLACE, f"{project.folder}/place")
        )
    has = installed(project.folder / "place")
    assert has.pop(OURS)
    assert has == read("program").here
    assert "No broken requirements" in said


def test_the_index_is_as_bad_as_it_should_be(project: Project) -> None:
    """Who resolves gets what is newer; the pip of Debian 12 then refuses a lock."""
    pip = "place/bin/python -m pip"
    project.must(f"{interpreter()} -m venv place")
    project.must(f"{pip} install lxml")
    assert installed(project.folder / "place")["lxml"] == newer(read("program").here["lxml"])
    if "pip 23.0" in project.must(f"{pip} --version"):
        done = project.run(f"{pip} install --require-hashes -r locks/program.lock")
        assert done.returncode != 0
        assert "must have their versions pinned" in done.stderr


def test_what_is_newer() -> None:
    """As near as it can be."""
    assert [newer(each) for each in ("1.2.3", "26.3", "6.0.12.20261113", "7.1.0rc1")] == [
        *("1.2.4", "26.4", "6.0.12.20261114", "7.1.1"),
    ]
