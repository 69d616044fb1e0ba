"""A value that a test changes while others go by it."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Observable(Generic[Value]):
    """The present value; whoever waits for another one is woken by each change."""

    def __init__(self, value: Value) -> None:
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> Value:
        """What is so now."""
        return self._value

    def change(self, value: Value) -> None:
        """Let something else be so from now on."""
        self._value = value
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(self, true: Callable[[Value], bool]) -> Value:
        """Wait for a value of which this is true."""
        while not true(self._value):
            await self._changed.wait()
        return self._value

    async def elapsed(self, since_s: float, delay: Callable[[Value], float | None]) -> Value:
        """Wait until so many seconds have gone by since a time.monotonic(); None is never, until changed."""
        while True:
            delay_s = delay(self._value)
            left_s = None if delay_s is None else since_s + delay_s - time.monotonic()
            if left_s is not None and left_s <= 0:
                return self._value
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left_s)
