"""Recognises a proxy that ends Polls too early: several in a row fail at the same age. No I/O.

A Poll waits at the PBX for up to 60 s (docs/wire.md#poll). Many proxies give up after 30 or 60 s of silence,
which ends the session in every quiet minute; the errors alone do not show the cause.
"""

from collections.abc import Sequence

from bridge.errors import LinkError, SessionLost, Unreachable

ENOUGH = 3
SAME_S = 1.0
LEAST_S = 5.0
"""Polls that fail earlier than this have other causes."""


def limit_of(ages_s: Sequence[float]) -> float | None:
    """The age in seconds at which the last Polls failed, if it was the same for all of them."""
    last = ages_s[-ENOUGH:]
    if len(last) < ENOUGH or min(last) < LEAST_S or max(last) - min(last) > SAME_S:
        return None
    return sum(last) / len(last)


class PollEnds:
    """Remembers at which age the Polls of one PBX failed; outlives the sessions."""

    def __init__(self) -> None:
        self._ages_s: tuple[float, ...] = ()

    def answered(self, age_s: float) -> None:
        """Note an answered Poll. If it lived longer than the failed ones, no proxy limits them."""
        if self._ages_s and age_s > max(self._ages_s) + SAME_S:
            self._ages_s = ()

    def explained(self, error: LinkError, age_s: float, poll_s: float) -> LinkError:
        """The error of a failed Poll, with cause and remedy once known. Our own timeout proves nothing."""
        if not isinstance(error, Unreachable | SessionLost) or age_s > poll_s - SAME_S:
            return error
        self._ages_s = (*self._ages_s, age_s)[-ENOUGH:]
        limit_s = limit_of(self._ages_s)
        if limit_s is None:
            return error
        remedy = f"a proxy ends Polls after {limit_s:.0f} s: raise its read timeout above {poll_s:g} s"
        return type(error)(f"{error.reason}: {remedy}", answered=error.answered)
