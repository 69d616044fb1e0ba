"""The two clocks of the process, read in one place. Everything else gets them as an argument."""

import time

from bridge.core.model import Instant


def now() -> Instant:
    """This moment."""
    return Instant(time.time_ns() // 1_000_000, time.monotonic())


def new_epoch(random_bits: int) -> str:
    """A name for one run of a link that no other run has: the time and 32 random bits, in hex."""
    return f"{time.time_ns() // 1_000_000:011x}{random_bits & 0xFFFFFFFF:08x}"
