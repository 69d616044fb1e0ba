"""Bugs that nothing else handles: one log line with the trace, one count, and the rest goes on.

Which link an error belongs to is known by the context in which its task or callback was made: fleet.py
puts its `Owner` there, and asyncio hands the context on to every task, timer and callback.
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
    """A link, and what to do when a callback of it raises."""

    pbx: str
    crashed: Callable[[BaseException], None]


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)


class Bugs:
    """Reports bugs; `count` gets the name of the PBX, empty for what belongs to no link."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._said: dict[object, float] = {}

    def report(self, bug: BaseException, place: str, pbx: str = "") -> None:
        """Log and count a bug. Never raises; the same one again is only counted for five minutes."""
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
        """Report what goes wrong inside, and go on behind it."""
        try:
            yield
        except Exception as bug:  # noqa: BLE001  (that is the purpose)
            self.report(bug, place, pbx)

    async def side_job(self, place: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run something until it returns; a bug in it is reported, and it starts again."""
        done = False
        while not done:
            with self.contained(place):
                await work()
                done = True
            if not done:
                await asyncio.sleep(AGAIN_S)

    def on_loop(self, _loop: asyncio.AbstractEventLoop, failed: Mapping[str, Any]) -> None:
        """The event loop's exception handler: an error of a callback, or of a task that nobody awaits."""
        bug = failed.get("exception") or RuntimeError(failed.get("message"))
        owner = _context_of(failed).get(OWNER)
        if owner is None:
            self.report(bug, "event loop")
        else:
            owner.crashed(bug)

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Hear of errors on the event loop, in threads, and in destructors while this is open."""
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
    """The line that raised it."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(bug.__traceback__), lookup_lines=False)
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else ("", 0)


def _context_of(failed: Mapping[str, Any]) -> Context:
    """The context of the callback that failed; before Python 3.12 there is no public way to it."""
    handle = failed.get("handle")
    context = getattr(handle, "_context", None)
    return context if isinstance(context, Context) else copy_context()
