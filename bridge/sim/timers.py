"""Timers of a simulated PBX, which can be cancelled all at once."""

import asyncio
from collections.abc import Callable


class Timers:
    """All pending timers."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Call a function after some seconds, unless cancelled."""

        def act() -> None:
            self._waiting.discard(timer)
            do()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._waiting.add(timer)

    def call_off(self) -> None:
        """Cancel all pending timers."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()
