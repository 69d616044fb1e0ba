"""Shape rules: who may import whom, which words stay where. Sizes are in test_budgets.py."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted((ROOT / "bridge").rglob("*.py"))
ROOMS: dict[str, set[str]] = {
    "bridge.errors": set(),
    "bridge.core": {"bridge.errors"},
    "bridge.net": set(),
    "bridge.config": {"bridge.core", "bridge.errors", "bridge.net"},
    "bridge.pbx": {"bridge.core", "bridge.errors", "bridge.net"},
    "bridge.mqtt": {"bridge.core", "bridge.errors", "bridge.net"},
    "bridge.ops": {"bridge", "bridge.core", "bridge.errors", "bridge.net"},
    "bridge.link": {"bridge", "bridge.core", "bridge.errors", "bridge.mqtt", "bridge.ops"},
    "bridge.sim": set(),
    "bridge.clock": {"bridge.core"},
    "bridge.build": {
        "bridge.clock",
        "bridge.config",
        "bridge.core",
        "bridge.errors",
        "bridge.link",
        "bridge.mqtt",
        "bridge.net",
        "bridge.ops",
        "bridge.pbx",
    },
    "bridge.locations": {"bridge.config", "bridge.core", "bridge.errors", "bridge.link"},
    "bridge.fleet": {
        "bridge.build",
        "bridge.config",
        "bridge.core",
        "bridge.errors",
        "bridge.link",
        "bridge.locations",
        "bridge.ops",
    },
    "bridge.check": {
        "bridge.build",
        "bridge.config",
        "bridge.core",
        "bridge.errors",
        "bridge.link",
        "bridge.locations",
        "bridge.mqtt",
        "bridge.ops",
    },
    "bridge.app": {
        "bridge",
        "bridge.build",
        "bridge.config",
        "bridge.errors",
        "bridge.fleet",
        "bridge.link",
        "bridge.net",
        "bridge.ops",
    },
    "bridge.shell": {"bridge.build", "bridge.config", "bridge.core", "bridge.errors", "bridge.mqtt"},
    "bridge.watch": {
        "bridge.build",
        "bridge.clock",
        "bridge.config",
        "bridge.core",
        "bridge.errors",
        "bridge.link",
        "bridge.mqtt",
        "bridge.shell",
    },
    "bridge.demo": {
        "bridge.app",
        "bridge.config",
        "bridge.core",
        "bridge.mqtt",
        "bridge.ops",
        "bridge.sim",
        "bridge.watch",
    },
    "bridge.contract": {"bridge", "bridge.core"},
    "bridge.cli": {
        "bridge",
        "bridge.app",
        "bridge.check",
        "bridge.config",
        "bridge.contract",
        "bridge.core",
        "bridge.demo",
        "bridge.errors",
        "bridge.link",
        "bridge.net",
        "bridge.ops",
        "bridge.shell",
        "bridge.sim",
        "bridge.watch",
    },
    "bridge.__main__": {"bridge.cli"},
    "bridge": set(),
}
"""Each room (a folder, or a file in the root), lowest first, and which others it may import."""
MOST_ROOT_FILES = 9
SIM_USERS = {"bridge.sim", "bridge.demo", "bridge.cli"}
HOMES = {
    "zeep": ["bridge/pbx/soap.py"],
    "httptools": ["bridge/pbx/response.py", "bridge/sim/request.py"],
    "phonenumbers": ["bridge/core/dial_plan.py"],
    "rpds": ["bridge/core/persistent.py"],
    "msgspec": ["bridge/core/value.py"],
}


@cache
def tree(path: Path) -> ast.Module:
    """What a file says, parsed when it is asked for: not by every worker that collects the tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """The module's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def modules(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also `from room import module`."""
    known = {name_of(each) for each in FILES}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and within(node.module or "", "bridge"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if within(alias.name, "bridge"))


def within(module: str, part: str) -> bool:
    """A module is a part or lies in it."""
    return module == part or module.startswith(f"{part}.")


def room_of(module: str) -> str:
    """The room of a module: the folder below the root, or the file in the root."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    """Every module is in a room, and a room imports only those below it that it may."""
    module = name_of(path)
    room = room_of(module)
    assert room in ROOMS, f"{module} is in no room"
    allowed = ROOMS[room] | {room}
    wrong = {name for name in modules(path) if room_of(name) not in allowed}
    assert wrong == set()


def test_the_rooms_have_no_circle() -> None:
    """Rooms are named lowest first, so an import of a later one would be an arrow upwards."""
    order = list(ROOMS)
    upwards = {
        (room, below)
        for room, allowed in ROOMS.items()
        for below in allowed - {"bridge"}
        if order.index(below) >= order.index(room)
    }

    assert upwards == set()
    assert {room_of(name_of(path)) for path in FILES} == set(ROOMS)


def test_the_root_is_no_living_room() -> None:
    """What belongs to one part of the program lies in its room."""
    assert len([path for path in FILES if path.parent == ROOT / "bridge"]) <= MOST_ROOT_FILES


@pytest.mark.parametrize("path", [path for path in FILES if "core" in path.parts], ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    """The standard library without clock, I/O and randomness; three libraries that are pure, too."""
    forbidden = {"asyncio", "time", "random", "os", "socket", "threading", "logging", "structlog", "pathlib"}
    third = {"lxml", "zeep", "httptools", "paho", "pydantic", "orjson", "yaml"}

    assert {name.partition(".")[0] for name in imports(path)} & (forbidden | third) == set()


@pytest.mark.parametrize(("library", "homes"), HOMES.items())
def test_a_library_lives_in_one_file(library: str, homes: list[str]) -> None:
    """So that it can be replaced, and its oddities do not spread. The simulator has a home of its own."""
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(within(name, library) for name in imports(path))
    ]

    assert users == homes


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_raised_inside_of_a_group_handler(path: Path) -> None:
    """Before Python 3.11.4 what is raised within `except*` comes out wrapped in a group of its own."""
    raised = [
        node.lineno
        for block in ast.walk(tree(path))
        if isinstance(block, ast.TryStar)
        for handler in block.handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise) and node.exc is not None
    ]

    assert raised == []


@pytest.mark.parametrize("file", ["core/backend.py", "link/pbx.py", "link/survey.py", "check.py"])
def test_no_word_of_a_protocol_passes_the_seam(file: str) -> None:
    """The seam, and those who look through it, know neither SOAP nor the session's handles of users."""
    text = (ROOT / "bridge" / file).read_text(encoding="utf-8").replace("bridge/pbx implements the SOAP", "")

    assert re.findall(r"(?i)\b(soap|poll|wsdl|echo|user_handle|cn|h323|e164)\b", text) == []


def test_the_vendors_words_stay_at_the_pbx() -> None:
    """cn, h323, e164 and vali end in bridge/pbx; the option user_id names three of them."""
    words = {"cn", "h323", "e164", "vali", "vals"}
    allowed = {"pbx", "sim"}
    found = {
        f"{name_of(path)}: {node.id}"
        for path in FILES
        if not allowed & set(path.relative_to(ROOT).parts)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Name) and node.id in words
    }

    assert found == set()


def rows_of_the_page() -> dict[str, set[str]]:
    """The rooms of docs/architecture.md with what each may import, as ROOMS has them."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| *((?:`\w+`(?:, )?)*) *\|$", PAGE, re.MULTILINE)
    return {full(room): {full(name) for name in re.findall(r"`(\w+)`", others)} for room, others in rows}


def full(room: str) -> str:
    """The module of a room of the page."""
    return room if room == "bridge" else f"bridge.{room}"


def test_the_page_has_the_layers() -> None:
    """docs/architecture.md names every room and its imports, in the same order."""
    rows = rows_of_the_page()

    assert rows == {room: allowed for room, allowed in ROOMS.items() if room != "bridge"}
    assert list(rows) == [room for room in ROOMS if room != "bridge"]


def test_the_picture_follows_the_layers() -> None:
    """Data flows between modules that exist, in one room or in two of which one may import the other."""
    flows = re.split(r"\n(?=\S)", PAGE.split("```")[1].strip())
    ways = [[step.split()[-1] for step in flow.split("─►")] for flow in flows]
    steps = [step for way in ways for step in pairwise(way)]
    modules = {name for way in ways for name in way if name not in {"PBX", "broker"}}

    assert {way[0] for way in ways} | {way[-1] for way in ways} >= {"PBX", "broker"}
    assert {name for name in modules if not is_module(name)} == set()
    assert [step for step in steps if modules.issuperset(step) and not neighbours(*step)] == []


def is_module(name: str) -> bool:
    """A file or a folder of the program."""
    return (ROOT / "bridge" / name).is_dir() or (ROOT / "bridge" / f"{name}.py").is_file()


def neighbours(start: str, end: str) -> bool:
    """Two modules are in one room, or one of their rooms may import the other."""
    one, other = full(start.partition("/")[0]), full(end.partition("/")[0])
    return one == other or one in ROOMS[other] or other in ROOMS[one]
