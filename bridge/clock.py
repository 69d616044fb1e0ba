"""The clocks and the timer of the links, in one place. They are arguments of a link: tests use their own."""

import asyncio
import time
from collections.abc import Callable

from bridge.core.model import Instant


def now() -> Instant:
    """This moment."""
    return Instant(time.time_ns() // 1_000_000, time.monotonic())


def later(seconds: float, callback: Callable[[], None]) -> None:
    """Run a callback after some seconds, in the context of the caller."""
    asyncio.get_running_loop().call_later(seconds, callback)


def new_epoch(random_bits: int) -> str:
    """A name for one run of a link that no other run has: the time and 32 random bits, in hex."""
    return f"{time.time_ns() // 1_000_000:011x}{random_bits & 0xFFFFFFFF:08x}"
