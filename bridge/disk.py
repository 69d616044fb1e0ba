"""One thread for the files of all links: the event loop never waits for a disk. Knows no file format.

A daemon thread: a disk that hangs does not hold the process at its end.
"""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

Result = TypeVar("Result")


class Disk:
    """Runs jobs in the order in which they come. The thread is made with the first one."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, job: Callable[[], Result]) -> Future[Result]:
        """Let a job run; its result or error is that of the future: OSError where no thread can be made."""
        future: Future[Result] = Future()
        try:
            self._start()
        except RuntimeError as error:  # a limit of the system: trouble that passes
            future.set_exception(OSError(errno.EAGAIN, str(error)))
        else:
            self._jobs.put(lambda: _run(future, job))
        return future

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._work, daemon=True, name="disk")
            thread.start()
            self._thread = thread

    def _work(self) -> None:
        while True:
            self._jobs.get()()


def _run(future: Future[Result], job: Callable[[], Result]) -> None:
    try:
        result = job()
    except BaseException as error:  # noqa: BLE001  (whatever it is, it belongs to whoever waits)
        future.set_exception(error)
    else:
        future.set_result(result)
