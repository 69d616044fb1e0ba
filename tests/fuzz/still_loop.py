"""An event loop whose time stands still: it runs until nothing is ready, and sleeps pass only when they may.

Never waits and does no I/O, so that a history of an hour takes milliseconds and is the same each time.
"""

import asyncio
import selectors
from collections.abc import Callable


class _Idle(selectors.SelectSelector):
    """Reports no I/O; says when the loop would begin to wait, and for how long (None: for ever)."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: Callable[[float | None], None] = lambda _timeout: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:
            self.begins(timeout)
        return []


class StillLoop(asyncio.SelectorEventLoop):
    """Its clock is moved by `run_idle` only."""

    def __init__(self) -> None:
        self._now_s = self._until_s = 0.0
        idle = _Idle()
        super().__init__(idle)
        idle.begins = self._would_wait

    def time(self) -> float:
        """The loop's own time."""
        return self._now_s

    def run_idle(self, seconds: float = 0.0) -> None:
        """Run what is ready, and all that becomes ready within so many seconds of the loop's time."""
        self._until_s = self._now_s + seconds
        self.run_forever()

    def _would_wait(self, timeout: float | None) -> None:
        if timeout is not None and self._now_s + timeout <= self._until_s:
            self._now_s += timeout
        else:
            self._now_s = self._until_s
            self.stop()
