"""Contains exceptions that nothing else handles: a log line with the traceback, a count, and work goes on.

The context in which a task or callback was created says which link it belongs to: fleet.py stores an `Owner`
there, and asyncio copies the context to every task, timer and callback. Restarts nothing itself.
"""

import asyncio
import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any

import structlog

REMIND_S = 300.0
AGAIN_S = 1.0
REMEMBERED = 100
REASON = "a bug in the bridge: see its log"


@dataclass(frozen=True, slots=True)
class Owner:
    """The link that a task or callback belongs to, and what to call when it raises."""

    pbx: str
    crashed: Callable[[BaseException], None]


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)


class Bugs:
    """Reports bugs. `count` gets the name of the PBX, or an empty string outside of the links."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._said: dict[object, float] = {}

    def report(self, bug: BaseException, place: str, pbx: str = "") -> None:
        """Log and count a bug. Never raises. The same bug is not logged again for five minutes."""
        with contextlib.suppress(Exception):
            self._count(pbx)
        with contextlib.suppress(Exception):
            now, kind = time.monotonic(), (pbx or place, type(bug), _origin(bug))
            if now - self._said.get(kind, now - REMIND_S) >= REMIND_S:
                if len(self._said) >= REMEMBERED:
                    self._said.clear()
                self._said[kind] = now
                of = {"pbx": pbx} if pbx else {}
                structlog.get_logger(**of).error("bug", place=place, exc_info=bug)

    @contextlib.contextmanager
    def contained(self, place: str, pbx: str = "") -> Iterator[None]:
        """Report an exception of the block and continue after it."""
        try:
            yield
        except Exception as bug:  # noqa: BLE001  (that is the purpose)
            self.report(bug, place, pbx)

    async def side_job(self, place: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns. After a bug, which is reported, it starts again."""
        done = False
        while not done:
            with self.contained(place):
                await work()
                done = True
            if not done:
                await asyncio.sleep(AGAIN_S)

    def on_loop(self, _loop: asyncio.AbstractEventLoop, failed: Mapping[str, Any]) -> None:
        """The exception handler of the event loop, for callbacks and for tasks that nobody awaits."""
        bug = failed.get("exception") or RuntimeError(failed.get("message"))
        owner = _context_of(failed).get(OWNER)
        if owner is None:
            self.report(bug, "event loop")
        else:
            owner.crashed(bug)

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Report exceptions of the event loop, of threads and of destructors while this context is open."""
        loop = asyncio.get_running_loop()
        before = loop.get_exception_handler(), threading.excepthook, sys.unraisablehook
        loop.set_exception_handler(self.on_loop)
        threading.excepthook = lambda failed: self.report(failed.exc_value or RuntimeError(), "thread")
        sys.unraisablehook = lambda failed: self.report(failed.exc_value or RuntimeError(), "destructor")
        try:
            yield
        finally:
            loop.set_exception_handler(before[0])
            threading.excepthook, sys.unraisablehook = before[1:]


def _origin(bug: BaseException) -> tuple[str, int]:
    """File and line of the statement that raised."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(bug.__traceback__), lookup_lines=False)
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)


def _context_of(failed: Mapping[str, Any]) -> Context:
    """The context of the callback that failed. Handles have no public attribute for it before Python 3.12."""
    handle = failed.get("handle")
    context = getattr(handle, "_context", None)
    return context if isinstance(context, Context) else copy_context()
