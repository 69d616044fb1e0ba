"""Budgets of the code: sizes, arguments of constructors, late attributes, calls that nobody makes.

The sizes that a file should have are reported, those that it must have are tested.
"""

import ast
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.sources import sources

ROOT = Path(__file__).parents[1]
TESTS = sources("tests/**/*.py")
FILES = sources("bridge/**/*.py")
LONG_FILE, LONGEST_FILE, LONGEST_BODY = 250, 400, 40
MOST_ARGUMENTS = 7
Function = ast.FunctionDef | ast.AsyncFunctionDef

BORN_LATE = {
    "bridge.mqtt.paho_client.WebSocket": "fills the place of a class of paho, whose constructor connects",
    "bridge.ops.connections.Connection": "a protocol of asyncio gets its transport later",
}
"""Classes whose attributes may be born outside of `__init__`, and why."""
WALL_CLOCK = {
    "bridge.app": "compares it with the monotonic one to find jumps",
    "bridge.clock": "the clock of everything else, passed as an argument",
    "bridge.link.state_files": "compares it with the age of a file",
    "bridge.ops.health": "when the process started",
    "bridge.ops.log": "stamps lines",
    "bridge.ops.broker_observer": "stamps series",
    "bridge.ops.observer": "since when a session is up or down",
    "bridge.ops.pbx_observer": "stamps series",
    "bridge.ops.process_metrics": "stamps series",
}
"""Modules that read the wall clock, and why; all others are given a clock."""
BANNED = {
    "print": "stdout belongs to the command line, which has its console",
    "input": "a daemon asks nobody",
    "breakpoint": "left behind",
    "eval": "runs what it reads",
    "exec": "runs what it reads",
    "asyncio.get_event_loop": "may make a loop that nobody runs",
}
"""Calls that nobody makes, and why."""


@cache
def tree(path: Path) -> ast.Module:
    """What a file says, parsed when it is asked for: not by every worker that collects the tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """The module's name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def functions(node: ast.AST) -> Iterator[Function]:
    """Every function of a file."""
    return (each for each in ast.walk(node) if isinstance(each, Function))


def body_lines(node: Function) -> int:
    """From the first statement that is no docstring to the last line."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def classes(path: Path) -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class of a file with its full name."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ClassDef):
            yield f"{name_of(path)}.{node.name}", node


def methods(node: ast.ClassDef) -> list[Function]:
    """The methods of a class."""
    return [each for each in node.body if isinstance(each, Function)]


def constructor_arguments(node: ast.ClassDef) -> int:
    """How many arguments its constructor takes, besides self."""
    made = [each.args for each in methods(node) if each.name == "__init__"]
    return max((len([*each.posonlyargs, *each.args, *each.kwonlyargs]) - 1 for each in made), default=0)


def set_on_self(node: ast.AST) -> set[str]:
    """The attributes of `self` that are assigned there."""
    return {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def born_late(node: ast.ClassDef) -> set[str]:
    """Attributes that neither the class nor its constructor has, and another method assigns."""
    targets = [
        target
        for each in node.body
        if isinstance(each, ast.Assign | ast.AnnAssign)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
    ]
    born = {target.id for target in targets if isinstance(target, ast.Name)}
    late = set[str]()
    for each in methods(node):
        if each.name == "__init__":
            born |= set_on_self(each)
        else:
            late |= set_on_self(each)
    return late - born


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a file calls."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def dropped_tasks(path: Path) -> Iterator[int]:
    """Lines that make a task and keep no reference to it; a task group keeps its own."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            if called in {"asyncio.create_task", "asyncio.ensure_future"} or called.endswith(
                "loop.create_task"
            ):
                yield node.lineno


def test_files_are_small() -> None:
    """Upper limits, not targets. What is above the soft one is reported as a warning of this test."""
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {name: count for name, count in lines.items() if count > LONG_FILE}
    if long:
        with warnings.catch_warnings(action="default"):
            warnings.warn(f"longer than {LONG_FILE} lines: {long}", stacklevel=1)

    assert {name: count for name, count in long.items() if count > LONGEST_FILE} == {}


def test_functions_are_small() -> None:
    """Lines below signature and docstring."""
    long = [
        f"{name_of(path)}.{node.name}: {body_lines(node)}"
        for path in FILES
        for node in functions(tree(path))
        if body_lines(node) > LONGEST_BODY
    ]

    assert long == []


def test_constructors_take_few_arguments() -> None:
    """More is a class that does several things."""
    found = {
        name for path in FILES for name, node in classes(path) if constructor_arguments(node) > MOST_ARGUMENTS
    }

    assert found == set()


def test_attributes_are_born_in_the_constructor() -> None:
    """So that one place shows what an object holds."""
    found = {name: late for path in FILES for name, node in classes(path) if (late := born_late(node))}

    assert found.keys() == BORN_LATE.keys(), found


def test_tasks_are_held() -> None:
    """The loop keeps no strong reference: a task that nobody holds may vanish, and its errors with it."""
    assert [f"{name_of(path)}:{line}" for path in FILES for line in dropped_tasks(path)] == []


def test_nothing_banned_is_called() -> None:
    """Each with its reason above."""
    found = [
        f"{name_of(path)}:{line}: {name}" for path in FILES for line, name in calls(path) if name in BANNED
    ]

    assert found == []


def test_few_read_the_wall_clock() -> None:
    """It jumps, and no test can set it: everything else is given a clock."""
    names = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow"}
    found = {name_of(path) for path in FILES if names & {name for _, name in calls(path)}}

    assert found == WALL_CLOCK.keys()


def test_no_mocks() -> None:
    """The real thing or an honest fake."""
    assert [name_of(path) for path in TESTS if "unittest.mock" in set(imports(path))] == []


def test_helpers_are_not_in_test_modules() -> None:
    """What two test modules need lies in a module of its own."""
    found = [
        f"{name_of(path)}: {name}"
        for path in TESTS
        for name in imports(path)
        if name.startswith("tests.") and name.rpartition(".")[2].startswith("test_")
    ]

    assert found == []


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize(
    ("text", "late"),
    [
        ("class A:\n def __init__(self):\n  self.a = 1\n def f(self):\n  self.a = 2", set()),
        ("class A:\n a: int\n b = 1\n def f(self):\n  self.a = self.b = 2", set()),
        ("class A:\n def f(self):\n  self.a, self.b = 1, 2", {"a", "b"}),
    ],
)
def test_the_judge_of_late_attributes_sees_them(text: str, late: set[str]) -> None:
    """Else the rule would hold for everything."""
    (made,) = ast.parse(text).body
    assert isinstance(made, ast.ClassDef)
    assert born_late(made) == late
