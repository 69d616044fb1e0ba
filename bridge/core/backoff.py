"""Delays between attempts: doubling, capped, spread at random. The random function is an argument."""

from collections.abc import Callable, Iterator


def delays(random: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 3.0) -> Iterator[float]:
    """Yield seconds to wait: each between half and all of a doubling bound, never above `longest_s`.

    Its default lets a broker that comes back have the whole tree within five seconds, as is promised.

    `random` returns a number from 0 up to 1; the spread keeps a thousand bridges from coming at once.
    """
    bound = first_s
    while True:
        yield bound * (0.5 + random() / 2)
        bound = min(bound * 2, longest_s)
