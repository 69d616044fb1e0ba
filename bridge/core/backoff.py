"""Delays between attempts: doubled, capped, randomised, and spread over many links. Pure.

The random function and the time are arguments.
"""

from collections.abc import Callable, Iterator

SHARE = 0.12
"""At most this share of the links connects within a second."""
LEAST_PER_S = 25
"""No broker minds so many, so few links need not wait for each other."""


def delays(random: Callable[[], float], *, first_s: float = 0.5, longest_s: float = 3.0) -> Iterator[float]:
    """Yield delays in seconds, each between half and all of a bound that doubles up to `longest_s`.

    The default of `longest_s` keeps a promise: a broker that returns has the whole tree within five seconds.
    `random` returns a number in [0, 1). The spread prevents that a thousand bridges reconnect at once.
    """
    bound = first_s
    while True:
        yield bound * (0.5 + random() / 2)
        bound = min(bound * 2, longest_s)


class Spread:
    """Gives each of many links a moment of its own for its next connection.

    Random delays alone do not spread them: a thousand links that all retry within three seconds are a herd.
    """

    def __init__(self) -> None:
        self._links = 0
        self._next_s = 0.0

    def among(self, links: int) -> None:
        """There are so many links in this process now."""
        self._links = links

    def wait_s(self, now_s: float) -> float:
        """Seconds until the moment of the link that asks."""
        at_s = max(self._next_s, now_s)
        self._next_s = at_s + 1 / max(LEAST_PER_S, SHARE * self._links)
        return at_s - now_s
