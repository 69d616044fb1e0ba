"""Blocking calls have their threads from the start, and nobody waits for the end of one."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bridge.net.executor import DaemonExecutor, run
from tests.bus import eventually


@contextmanager
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system makes no thread."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        yield


def test_threads_are_there_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are made though the system gives no thread any more."""
    executor = DaemonExecutor(threads=2, names=1)
    with no_thread(monkeypatch):
        assert [executor.submit(pow, 2, each).result(5) for each in range(5)] == [1, 2, 4, 8, 16]
        assert executor.submit(socket.getaddrinfo, "127.0.0.1", 1).result(5)


def test_without_a_thread_it_is_trouble_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """OSError, as for any other resource; when there are threads again, calls are made."""
    with no_thread(monkeypatch):
        executor = DaemonExecutor(threads=1, names=1)
        with pytest.raises(OSError, match="could not start a thread"):
            executor.submit(int).result(5)
    assert executor.submit(int).result(5) == 0


async def test_a_call_that_is_given_up_costs_nobody_the_thread() -> None:
    """A link that ends while its file waits to be opened must not take the files of all others along."""
    executor, go_on = DaemonExecutor(threads=1, names=0), threading.Event()
    loop = asyncio.get_running_loop()
    first = loop.run_in_executor(executor, go_on.wait)
    given_up = [loop.run_in_executor(executor, int) for _ in range(3)]
    for each in given_up:
        each.cancel()
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(5):
        assert await first
        assert await loop.run_in_executor(executor, int) == 0


def test_errors_are_results() -> None:
    """They belong to whoever waits; the thread goes on."""
    executor = DaemonExecutor(threads=1)
    with pytest.raises(ValueError, match="invalid literal"):
        executor.submit(int, "x").result(5)
    assert executor.submit(int).result(5) == 0


def test_a_silent_name_server_leaves_the_rest_their_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many names as there are threads for them, and more, and none is answered."""
    go_on = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lambda *_: go_on.wait(10))
        executor = DaemonExecutor(threads=1, names=2)
        asked = [executor.submit(socket.getaddrinfo, "pbx.example", 443) for _ in range(5)]
        assert executor.submit(int).result(5) == 0
        assert asked[-1].cancel()
        go_on.set()
        assert all(each.result(5) for each in asked[:-1])


async def test_they_end_when_nobody_needs_them() -> None:
    """A shutdown waits for none of them."""
    before, go_on = threading.active_count(), threading.Event()
    executor = DaemonExecutor(threads=3, names=3)
    executor.submit(go_on.wait, 10)
    start = time.monotonic()
    executor.shutdown()
    assert time.monotonic() - start < 1
    await eventually(lambda: threading.active_count() <= before + 1, "the idle ones have ended")
    go_on.set()
    await eventually(lambda: threading.active_count() <= before, "the last one has ended")


def test_the_end_of_the_loop_needs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python would make one, to wait for the others."""
    go_on = threading.Event()

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(DaemonExecutor())
        loop.run_in_executor(None, go_on.wait, 10)
        monkeypatch.setattr(threading.Thread, "start", None)

    start = time.monotonic()
    run(work())
    assert time.monotonic() - start < 5
    go_on.set()
