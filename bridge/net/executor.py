"""Runs blocking calls (DNS, connect) in daemon threads that exist from the start. Joins none at exit."""

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
    """An executor for the event loop with a fixed number of daemon threads. Shutdown does not wait.

    The standard executor joins its threads: a name server that does not answer would keep the process alive
    long after SIGTERM. It also creates threads on demand, which fails when the system has run out of them.
    A call waits while all threads are busy; if it is cancelled meanwhile, it never runs. DNS has its own
    threads, so that a dead name server does not block connections to known addresses.
    """

    def __init__(self, threads: int = THREADS, names: int = THREADS) -> None:
        super().__init__(max_workers=threads + names)
        self._names, self._others = _Team(names), _Team(threads)

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` in one of the threads. The result is OSError if no thread could ever be started."""
        future: Future[Result] = Future()
        team = self._names if fn is socket.getaddrinfo else self._others
        if not team.take(lambda: _run(future, fn, args, kwargs)):
            future.set_exception(OSError(EAGAIN, "the system could not start a thread"))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  (the signature of the standard library)
        """Let the threads end once they are idle; return immediately."""
        self._names.dismiss()
        self._others.dismiss()


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end like `asyncio.run`, but without starting a thread to join the others."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(work)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop that leaves its threads to the end of the process."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  (asyncio's signature)
        """Do not wait: asyncio would start a thread just to wait in."""


class _Team:
    """Threads that take calls from one queue."""

    def __init__(self, wanted: int) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._wanted = wanted
        self._made = 0
        self._complete()

    def take(self, call: Callable[[], None]) -> bool:
        """Queue a call; False if there is no thread to run it."""
        self._complete()
        if self._made:
            self._calls.put(call)
        return self._made > 0

    def dismiss(self) -> None:
        """End each thread after the calls that are queued already."""
        self._wanted = 0
        for _ in range(self._made):
            self._calls.put(None)

    def _complete(self) -> None:
        """Start the threads that are missing. If the system refuses one, the next call tries again."""
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
