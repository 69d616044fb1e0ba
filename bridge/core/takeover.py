"""Judges by the ends of our MQTT sessions whether another bridge may serve our PBX. No clock, no I/O.

An MQTT 5 broker says "session taken over"; older ones just close. Two bridges that both reconnect at once
would disconnect each other forever, so a bridge that has lost two sessions within a minute probes first.
"""

WINDOW_S = 60.0
BACK_S = 600.0
"""How long to stand back for an unproven answer, and how long not to after that."""


class Takeover:
    """The suspicion that another client takes over our sessions. `stands_back`: we have left it our place."""

    def __init__(self) -> None:
        self.suspected = False
        self.stands_back = False
        self._last_end_s: float | None = None
        self._back_since_s: float | None = None

    def session_ended(self, now_s: float, *, taken_over: bool) -> None:
        """A session that was up has ended."""
        soon = self._last_end_s is not None and now_s - self._last_end_s < WINDOW_S
        self._last_end_s = now_s
        self.suspected = self.suspected or taken_over or soon

    def may_stand_back(self, now_s: float) -> bool:
        """Whether to stand back for an answer without proof: ten minutes out of twenty.

        Two bridges take turns instead of fighting; an impostor can keep us away only half of the time.
        """
        if self._back_since_s is None or now_s - self._back_since_s >= 2 * BACK_S:
            self._back_since_s = now_s
        return now_s - self._back_since_s < BACK_S

    def other_bridge(self) -> None:
        """Another bridge serves there: leave it its place, and ask before connecting."""
        self.suspected = self.stands_back = True

    def no_other_bridge(self) -> None:
        """No other bridge has answered the probe, or the broker has accepted us without one."""
        self.suspected = self.stands_back = False
