"""Blocking calls (names, connects) in threads that never hold the process at its end."""

import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class DaemonExecutor(ThreadPoolExecutor):
    """An executor for the event loop: a daemon thread for each call, and no waiting at shutdown.

    The ordinary one joins its threads, so that a name server that does not answer would keep the
    process alive long after SIGTERM. How many calls run at once is bounded by who calls: two or
    three for a link that is connecting.
    """

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Run `fn` in a thread of its own; OSError is its result where none can be made."""
        future: Future[Result] = Future()
        thread = threading.Thread(
            target=_run, args=(future, fn, args, kwargs), daemon=True, name="blocking-call"
        )
        try:
            thread.start()
        except (
            RuntimeError
        ) as error:  # a limit of the system: trouble that passes, as with any other resource
            future.set_exception(OSError(errno.EAGAIN, str(error)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  (the signature of the standard library)
        """Return at once; what still runs ends with the process."""


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
