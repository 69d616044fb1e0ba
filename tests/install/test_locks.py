"""The lock files, and every command that installs with them: nothing may be resolved at an install."""

import ast
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.install.lock import FOLDER, ROOT, read
from tests.sources import sources

LOCKS = sorted(file.stem for file in FOLDER.glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLS = re.compile(r"\bpip[\", ]+(?:--python \S+ )?install\b")
LINES_AT_LEAST, TUPLES_AT_LEAST, HASHED_AT_LEAST = 16, 2, 9  # as many as there are


def wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, with some extras."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return [each for each in map(Requirement, lines) if each.name != PROJECT["name"]]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_pinned_and_hashed(lock: str) -> None:
    """No index, no link, no option, no range."""
    assert read(lock).every
    assert read(lock).other == ""


@pytest.mark.parametrize(
    ("name", "extras"),
    [("program", ("build",)), ("demo", ("build", "demo")), ("tests", ("build", "demo", "dev"))],
)
def test_a_lock_has_what_the_project_asks_for(name: str, extras: tuple[str, ...]) -> None:
    """`make lock` was not forgotten after a change of pyproject.toml."""
    locked = read(name).every
    for each in wanted(*extras):
        assert each.specifier.contains(locked[canonicalize_name(each.name)]), each


def test_the_larger_lock_has_the_smaller_one() -> None:
    """An environment of the demo becomes one of the tests by additions only."""
    program, demo, tests = (read(name).every.items() for name in ("program", "demo", "tests"))
    assert program < demo < tests


def test_the_demo_needs_no_tools_of_developers() -> None:
    """They are more than half of what would be downloaded."""
    assert not {"hypothesis", "mypy", "pytest", "ruff"} & read("demo").every.keys()


def in_texts() -> list[str]:
    """Each command in a text of the project that installs with pip, its continued lines joined."""
    files = [ROOT / "Makefile", ROOT / "README.md", ROOT / ".ci" / "run"]
    files += [each for each in (ROOT / "deploy").rglob("*") if each.suffix in {"", ".md"} and each.is_file()]
    found = []
    for file in files:
        lines = file.read_text().replace("\\\n", " ").splitlines()
        names = dict(line.split(" := ", 1) for line in lines if " := " in line)
        lines = [line for line in lines if " := " not in line]
        for name in ("INSTALL", "WHEELS"):
            lines = [line.replace(f"$({name})", names.get(name, "")) for line in lines]
        found += [line for line in lines if INSTALLS.search(line)]
    return found


def in_tests() -> list[str]:
    """Each tuple of words in our tests that begins an install with pip."""
    trees = [ast.parse(file.read_text()) for file in sources("tests/**/*.py")]
    tuples = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Tuple)]
    words = [
        " ".join(str(one.value) for one in node.elts if isinstance(one, ast.Constant)) for node in tuples
    ]
    return [each for each in words if "pip install" in each]


def test_no_command_resolves() -> None:
    """Everywhere --no-deps, and only what is hashed or our own; uv in `make lock` alone resolves."""
    texts = in_texts()
    assert len(texts) >= LINES_AT_LEAST
    assert len(in_tests()) >= TUPLES_AT_LEAST
    assert not [line for line in (*texts, *in_tests()) if "--no-deps" not in line]
    assert not [
        line
        for line in texts
        if not {"--require-hashes", "--no-build-isolation", "--no-index"} & set(re.findall(r"[\w-]+", line))
    ]


def test_no_command_builds_what_others_wrote() -> None:
    """A source package runs code when it is built, with tools that no lock names."""
    hashed = [line for line in (*in_texts(), *in_tests()) if "--require-hashes" in line]
    assert len(hashed) >= HASHED_AT_LEAST
    assert not [line for line in hashed if "--only-binary=:all:" not in line]


def test_tools_are_pinned_too() -> None:
    """What makes locks, audits them and lists their content is in locks itself."""
    for tool in ("uv", "audit", "sbom", "helm"):
        wanted_names = (FOLDER / f"{tool}.in").read_text().split()
        locked = read(tool).every
        assert {Requirement(each).name for each in wanted_names} <= set(locked)
