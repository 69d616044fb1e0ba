"""Blocking calls (names, connects) in threads that are made at the start and hold no process at its end."""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from errno import EAGAIN
from queue import SimpleQueue
from typing import Any, TypeVar

THREADS = 8
Result = TypeVar("Result")


class DaemonExecutor(ThreadPoolExecutor):
    """An executor for the event loop: fixed numbers of daemon threads, and no waiting at shutdown.

    The ordinary one joins its threads, so that a name server that does not answer would keep the process
    alive long after SIGTERM; and it makes them when they are needed, which is when a system that is short of
    threads has none left. A call waits while all threads are busy; cancelled meanwhile, it never runs.
    Names are looked up in threads of their own: a dead name server must not keep us from the broker.
    """

    def __init__(self, threads: int = THREADS, names: int = THREADS) -> None:
        super().__init__(max_workers=threads + names)
        self._names, self._others = _Team(names), _Team(threads)

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` in one of the threads; OSError is its result where the system has never given us any."""
        future: Future[Result] = Future()
        team = self._names if fn is socket.getaddrinfo else self._others
        if not team.take(lambda: _run(future, fn, args, kwargs)):
            future.set_exception(OSError(EAGAIN, "the system gives us no thread"))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  (the signature of the standard library)
        """Let the threads end when they are idle, and return at once."""
        self._names.dismiss()
        self._others.dismiss()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, as `asyncio.run` does, but without one more thread for the end of the others."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose threads end with the process."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  (asyncio's signature)
        """Wait for no thread: asyncio would make a thread to wait in."""


class _Team:
    """Threads that share a queue."""

    def __init__(self, wanted: int) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._wanted = wanted
        self._made = 0
        self._complete()

    def take(self, call: Callable[[], None]) -> bool:
        """Queue a call; False where there is no thread to run it."""
        self._complete()
        if self._made:
            self._calls.put(call)
        return self._made > 0

    def dismiss(self) -> None:
        """Each thread ends when it has done what was queued before."""
        self._wanted = 0
        for _ in range(self._made):
            self._calls.put(None)

    def _complete(self) -> None:
        """Make the threads that are missing. What the system refuses is tried again with the next call."""
        try:
            while self._made < self._wanted:
                threading.Thread(target=self._work, daemon=True, name="blocking-call").start()
                self._made += 1
        except RuntimeError:
            return

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _run(
    future: Future[Result], fn: Callable[..., Result], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  (whatever it is, it belongs to whoever waits)
        future.set_exception(error)
    else:
        future.set_result(result)
