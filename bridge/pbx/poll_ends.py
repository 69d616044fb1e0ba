"""Recognises a proxy that ends Polls before the PBX answers them: several fail at the same age. No I/O.

A Poll waits up to 60 s at the PBX. Proxies give up after 30 or 60 s of silence, which costs the session at
every quiet minute; the errors alone do not say why.
"""

from collections.abc import Sequence

from bridge.errors import LinkError, SessionLost, Unreachable

ENOUGH = 3
SAME_S = 1.0
LEAST_S = 5.0
"""Polls that fail sooner than this have other reasons."""


def limit_of(ages_s: Sequence[float]) -> float | None:
    """The age at which the last Polls failed in a row, in seconds, if it was the same for all of them."""
    last = ages_s[-ENOUGH:]
    if len(last) < ENOUGH or min(last) < LEAST_S or max(last) - min(last) > SAME_S:
        return None
    return sum(last) / len(last)


class PollEnds:
    """How old the Polls of one PBX were when they failed; lives longer than a session."""

    def __init__(self) -> None:
        self._ages_s: tuple[float, ...] = ()

    def answered(self, age_s: float) -> None:
        """A Poll that was older than those that failed shows that nothing ends them at their age."""
        if self._ages_s and age_s > max(self._ages_s) + SAME_S:
            self._ages_s = ()

    def explained(self, error: LinkError, age_s: float, poll_s: float) -> LinkError:
        """The error of a Poll, with cause and remedy once they are clear. Our own timeout is no hint."""
        if not isinstance(error, Unreachable | SessionLost) or age_s > poll_s - SAME_S:
            return error
        self._ages_s = (*self._ages_s, age_s)[-ENOUGH:]
        limit_s = limit_of(self._ages_s)
        if limit_s is None:
            return error
        remedy = f"a proxy ends Polls after {limit_s:.0f} s: raise its read timeout above {poll_s:g} s"
        return type(error)(f"{error.reason}: {remedy}", answered=error.answered)
