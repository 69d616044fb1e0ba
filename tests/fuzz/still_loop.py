"""An event loop with a virtual clock: it stops instead of waiting, and the test decides when time passes.

It does no I/O, so that an hour takes milliseconds and every run is the same.
"""

import asyncio
import selectors
from collections.abc import Callable


class _Idle(selectors.SelectSelector):
    """Reports no I/O. Calls `begins` when the loop would wait, with the seconds (None: for ever)."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: Callable[[float | None], None] = lambda _timeout: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout != 0:
            self.begins(timeout)
        return []


class StillLoop(asyncio.SelectorEventLoop):
    """Only `run_idle` moves its clock."""

    def __init__(self) -> None:
        self._now_s = self._until_s = 0.0
        idle = _Idle()
        super().__init__(idle)
        idle.begins = self._would_wait

    def time(self) -> float:
        """The loop's own time."""
        return self._now_s

    def run_idle(self, seconds: float = 0.0) -> None:
        """Run until nothing is ready, and let up to this many seconds of virtual time pass."""
        self._until_s = self._now_s + seconds
        self.run_forever()

    def _would_wait(self, timeout: float | None) -> None:
        if timeout is not None and self._now_s + timeout <= self._until_s:
            self._now_s += timeout
        else:
            self._now_s = self._until_s
            self.stop()
