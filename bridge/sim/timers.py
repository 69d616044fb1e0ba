"""Things a simulated PBX does later, all of which can be called off at once."""

import asyncio
from collections.abc import Callable


class Timers:
    """What waits for its time."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something after so many seconds, unless it is called off."""

        def act() -> None:
            self._waiting.discard(timer)
            do()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._waiting.add(timer)

    def call_off(self) -> None:
        """Nothing that waits is done any more."""
        for timer in self._waiting:
            timer.cancel()
        self._waiting.clear()
