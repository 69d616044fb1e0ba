"""Shape rules: who may import whom, how large files and functions may be, what is not used at all."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "bridge").rglob("*.py"))
LAYERS = {
    "bridge.core": {"bridge.core", "bridge.errors"},
    "bridge.errors": set[str](),
    "bridge.ports": {"bridge.core"},
    "bridge.supervise": {"bridge.errors"},
    "bridge.bugs": set[str](),
    "bridge.pbx": {
        "bridge.pbx",
        "bridge.core",
        "bridge.errors",
        "bridge.ports",
        "bridge.tcp",
        "bridge.tls",
        "bridge.addresses",
    },
    "bridge.mqtt": {"bridge.mqtt", "bridge.core", "bridge.errors", "bridge.tcp", "bridge.tls"},
    "bridge.tcp": set[str](),
    "bridge.tls": set[str](),
    "bridge.store": {"bridge.core", "bridge.state_files", "bridge.state_tables"},
    "bridge.state_tables": {"bridge.core", "bridge.state_files"},
    "bridge.state_files": {"bridge.errors"},
    "bridge.sim": {"bridge.sim"},
    "bridge.addresses": set[str](),
    "bridge.config": {"bridge.core", "bridge.config_tls", "bridge.config_types", "bridge.addresses"},
    "bridge.config_tls": {"bridge.addresses", "bridge.config_types", "bridge.secret_files"},
    "bridge.config_types": {"bridge.secret_files", "bridge.addresses"},
    "bridge.config_problems": {"bridge.yaml_file"},
    "bridge.secret_files": set[str](),
    "bridge.yaml_file": set[str](),
    "bridge.ops.certificates": {"bridge.config"},
    "bridge.ops.health": {"bridge", "bridge.core", "bridge.publisher"},
    "bridge.ops.notify": {"bridge.ops.health"},
    "bridge.ops.pages": {"bridge", "bridge.ops.health", "bridge.ops.request"},
    "bridge.ops.request": set[str](),
    "bridge.ops.status": {"bridge.ops.health"},
    "bridge.ops.trouble": {"bridge.errors", "bridge.supervise"},
    "bridge.ops.web": {"bridge.bugs", "bridge.daemon_threads", "bridge.ops.pages", "bridge.ops.request"},
    "bridge.daemon_threads": set[str](),
    "bridge.publisher": {"bridge.core", "bridge.errors", "bridge.ports", "bridge"},
}
"""What a part may import of ours; parts that are not named may import what they like but the simulator."""
SIM_USERS = {"bridge.sim", "bridge.demo", "bridge.cli"}
ONE_FILE = {"zeep": "bridge/pbx/soap.py", "httptools": "bridge/pbx/response.py"}
LONGEST_FILE, LONGEST_BODY = 400, 40


def name_of(path: Path) -> str:
    """The module's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From the first statement that is no docstring to the last line."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def within(module: str, part: str) -> bool:
    """A module is a part or lies in it."""
    return module == part or module.startswith(f"{part}.")


def permits(part: str, name: str) -> bool:
    """A part permits what is in it; the package itself its version only."""
    return name == part or (part != "bridge" and within(name, part))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    """An arrow upwards is an error; only the command line, the demo and tests know the simulator."""
    module = name_of(path)
    ours = [name for name in imports(path) if within(name, "bridge")]
    for part, allowed in LAYERS.items():
        if within(module, part):
            assert [name for name in ours if not any(permits(each, name) for each in allowed)] == []
    if not any(within(module, part) for part in SIM_USERS):
        assert [name for name in ours if within(name, "bridge.sim")] == []


@pytest.mark.parametrize("path", [path for path in FILES if "core" in path.parts], ids=name_of)
def test_the_core_is_pure(path: Path) -> None:
    """Nothing but the standard library, and of that no clock, no I/O, no randomness."""
    forbidden = {"asyncio", "time", "random", "os", "socket", "threading", "logging", "structlog", "pathlib"}
    third = {"lxml", "zeep", "httptools", "paho", "pydantic", "orjson", "yaml"}

    assert {name.partition(".")[0] for name in imports(path)} & (forbidden | third) == set()


@pytest.mark.parametrize(("library", "home"), ONE_FILE.items())
def test_a_library_lives_in_one_file(library: str, home: str) -> None:
    """So that it can be replaced, and its oddities do not spread."""
    users = [
        str(path.relative_to(ROOT)) for path in FILES if any(within(name, library) for name in imports(path))
    ]

    assert users == [home]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_small(path: Path) -> None:
    """Upper limits, not targets: lines of a file, lines of a function below signature and docstring."""
    text = path.read_text(encoding="utf-8")
    long = [
        f"{node.name}: {body_lines(node)}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > LONGEST_BODY
    ]

    assert long == []
    assert len(text.splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_raised_inside_of_a_group_handler(path: Path) -> None:
    """Before Python 3.11.4 what is raised within `except*` comes out wrapped in a group of its own."""
    raised = [
        node.lineno
        for block in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(block, ast.TryStar)
        for handler in block.handlers
        for node in ast.walk(handler)
        if isinstance(node, ast.Raise) and node.exc is not None
    ]

    assert raised == []


def test_the_vendors_words_stay_at_the_pbx() -> None:
    """cn, h323, e164 and vali end in bridge/pbx; the option user_id names three of them."""
    words = {"cn", "h323", "e164", "vali", "vals"}
    allowed = {"pbx", "sim"}
    found = {
        f"{name_of(path)}: {node.id}"
        for path in FILES
        if not allowed & set(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Name) and node.id in words
    }

    assert found == set()


def test_no_mocks() -> None:
    """The real thing or an honest fake."""
    users = [path for path in (ROOT / "tests").rglob("*.py") if "unittest.mock" in set(imports(path))]

    assert users == []
