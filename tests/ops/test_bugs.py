"""Bugs that nothing else handles: each is attributed, logged once with its trace, counted, and contained."""

import asyncio
import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import structlog

from bridge.ops.bugs import AGAIN_S, OWNER, Bugs, Owner
from tests.bus import eventually


class Planted(Exception):  # noqa: N818  (short)
    """A bug of a test."""


def planted() -> None:
    """Have a bug."""
    raise Planted


def other() -> None:
    """Have another one."""
    raise Planted


@pytest.fixture
def counted() -> Counter[str]:
    """What was counted, by PBX."""
    return Counter()


@pytest.fixture
def contained(counted: Counter[str], bugs: list[BaseException]) -> Iterator[Bugs]:
    """Where bugs go; those of the test are expected."""

    def count(pbx: str) -> None:
        counted[pbx] += 1

    yield Bugs(count)
    assert bugs, "a bug was reported"
    bugs.clear()


def test_the_same_bug_is_one_line(contained: Bugs, counted: Counter[str]) -> None:
    """Counted each time; another link's, or another line's, is another one."""
    with structlog.testing.capture_logs() as log:
        for pbx in ("hq", "hq", "", "branch", "hq"):
            with contained.contained("here", pbx):
                planted()
        with contained.contained("here", "hq"):
            other()
    assert counted == {"hq": 4, "": 1, "branch": 1}
    assert [line.get("pbx") for line in log] == ["hq", None, "branch", "hq"]
    assert {line["event"] for line in log} == {"bug"}
    assert all(isinstance(line["exc_info"], Planted) for line in log)


def test_reporting_never_raises(bugs: list[BaseException]) -> None:
    """Not even when counting has a bug."""

    def count(_pbx: str) -> None:
        raise LookupError

    Bugs(count).report(Planted(), "here")
    bugs.clear()


async def test_a_side_job_goes_on(contained: Bugs, counted: Counter[str]) -> None:
    """Started again after a bug, until it returns."""
    turns = 0

    async def work() -> None:
        nonlocal turns
        turns += 1
        if turns == 1:
            planted()

    async with asyncio.timeout(AGAIN_S + 5):
        await contained.side_job("work", work)
    assert (turns, counted[""]) == (2, 1)


def call_soon() -> None:
    """In a callback."""
    asyncio.get_running_loop().call_soon(planted)


def timer() -> None:
    """In a timer."""
    asyncio.get_running_loop().call_later(0.001, planted)


def done_callback() -> None:
    """In the callback of a future."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda _: planted())
    future.set_result(None)


def task_of_a_task() -> None:
    """In a callback that a task of a task has made."""

    async def inner() -> None:
        timer()

    async def outer() -> None:
        await asyncio.create_task(inner())

    TASKS.append(asyncio.create_task(outer()))


TASKS: list[asyncio.Task[None]] = []


@pytest.mark.parametrize("how", [call_soon, timer, done_callback, task_of_a_task])
async def test_a_callback_belongs_to_its_link(contained: Bugs, how: Callable[[], None]) -> None:
    """Whatever asyncio calls it from; and what belongs to no link is the process's."""
    crashed: list[BaseException] = []

    def crash(bug: BaseException) -> None:
        contained.report(bug, "callback", "hq")
        crashed.append(bug)

    async def link() -> None:
        OWNER.set(Owner("hq", crash))
        how()

    with contained.hooks():
        await asyncio.create_task(link())
        await eventually(lambda: crashed, "the link hears of it")
        with structlog.testing.capture_logs() as log:
            how()
            await eventually(lambda: log, "the process hears of it")
    assert len(crashed) == 1
    assert "pbx" not in log[0]
    TASKS.clear()


async def test_threads_and_destructors(contained: Bugs, counted: Counter[str]) -> None:
    """They print nothing to stderr by themselves; the hooks of others come back."""
    before = threading.excepthook, sys.unraisablehook

    class Odd:
        def __del__(self) -> None:
            planted()

    with contained.hooks(), structlog.testing.capture_logs() as log:
        thread = threading.Thread(target=planted)
        thread.start()
        thread.join()
        odd = Odd()
        del odd
        gc.collect()
    assert [line["place"] for line in log] == ["thread", "destructor"]
    assert counted[""] == 2
    assert (threading.excepthook, sys.unraisablehook) == before
