"""Delays between attempts: doubled, capped, and randomised. The random function is an argument."""

from collections.abc import Callable, Iterator


def delays(random: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 3.0) -> Iterator[float]:
    """Yield delays in seconds, each between half and all of a bound that doubles up to `longest_s`.

    The default of `longest_s` keeps a promise: a broker that returns has the whole tree within five seconds.
    `random` returns a number in [0, 1). The spread prevents that a thousand bridges reconnect at once.
    """
    bound = first_s
    while True:
        yield bound * (0.5 + random() / 2)
        bound = min(bound * 2, longest_s)
