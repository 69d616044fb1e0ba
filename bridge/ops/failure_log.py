"""Logs failing sessions without flooding the log. Knows no metric, and only one side of a link."""

import logging
import time
from collections.abc import Callable, Mapping

import structlog

from bridge.core.status import STAYED_S, Down
from bridge.errors import LinkError, StandsBack

REMIND_S = 300.0
LONGEST_REASON = 300
Logger = structlog.typing.FilteringBoundLogger


class FailureLog:
    """Logs the first failure of each kind, a reminder every five minutes, and the recovery with a count.

    An outage ends when a session has stayed up: one that comes up and breaks again and again is one outage.
    """

    def __init__(self, side: str, log: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._side = side
        self._log = log
        self._clock = clock
        self._failures = 0
        self._ups = 0
        self._logged_s = 0.0
        self._logged: set[type[LinkError]] = set()
        self._quiet_up: Mapping[str, object] | None = None
        self._up_s: float | None = None

    def down(self, down: Down) -> None:
        """A session ended, or an attempt failed."""
        if down.stayed:
            self._over()
        self._up_s = None
        self._failures += 1
        now = self._clock()
        loud = type(down.cause) not in self._logged or now - self._logged_s >= REMIND_S
        self._logged_s, self._ups = (now, 0) if loud else (self._logged_s, self._ups)
        self._logged.add(type(down.cause))
        level = logging.ERROR if isinstance(down.cause, StandsBack) else logging.WARNING
        self._log.log(
            level if loud else logging.DEBUG,
            f"{self._side} down",
            reason=down.cause.reason,
            retry_in_s=round(down.retry_s, 1),
            failures=self._failures,
        )

    def up(self, **facts: object) -> None:
        """A session is up. Logged once after each failure that was; the outage ends when it stays up."""
        self._up_s = self._clock()
        self._ups += 1
        self._quiet_up = None if self._ups == 1 else facts
        level = logging.INFO if self._ups == 1 else logging.DEBUG
        self._log.log(level, f"{self._side} up", failures=self._failures, **facts)

    def look(self) -> None:
        """End the outage if the session has stayed up."""
        if self._up_s is not None and self._clock() - self._up_s >= STAYED_S:
            self._over()

    def _over(self) -> None:
        if self._quiet_up is not None:
            self._log.info(f"{self._side} up", failures=self._failures, **self._quiet_up)
        self._failures = self._ups = 0
        self._quiet_up = self._up_s = None
        self._logged.clear()
