"""Until when a command may be sent to the PBX: the one place that judges whether it is too late. Pure."""

from dataclasses import dataclass

from bridge.core.model import Instant
from bridge.errors import CommandError

COMMAND_S = 10.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """Ten seconds after the request came, or its `expires_at` (Unix milliseconds) if that is earlier.

    The first is measured by the monotonic clock: setting the system's clock must not make it longer.
    """

    since: Instant
    expires_ms: int | None = None

    def left_s(self, now: Instant) -> float:
        """Seconds left. Raises CommandError if there are none: a queued command must not run late."""
        left_s = COMMAND_S - (now.monotonic_s - self.since.monotonic_s)
        if left_s <= 0:
            raise CommandError("timeout", "waited too long in the queue; not executed", retryable=True)
        if self.expires_ms is None:
            return left_s
        if now.unix_ms > self.expires_ms:
            late_s = (now.unix_ms - self.expires_ms) / 1000
            raise CommandError("expired", f"expired {late_s:.1f} s ago; not executed")
        return min(left_s, (self.expires_ms - now.unix_ms) / 1000)
