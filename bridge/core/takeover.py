"""Whether another bridge may be serving our PBX, judged by how our MQTT sessions end. No clock, no I/O.

Brokers of MQTT 5 say "session taken over"; others just close. Two bridges that both come back at once
would throw each other out for ever, so who lost two sessions within a minute looks before it comes back.
"""

WINDOW_S = 60.0
BACK_S = 600.0
"""How long we stand back for an answer that anybody could give, and how long then we do not."""


class Takeover:
    """What the ends of our sessions tell."""

    def __init__(self) -> None:
        self.suspected = False
        self._last_end_s: float | None = None
        self._back_since_s: float | None = None

    def session_ended(self, now_s: float, *, taken_over: bool) -> None:
        """A session that was up has ended."""
        soon = self._last_end_s is not None and now_s - self._last_end_s < WINDOW_S
        self._last_end_s = now_s
        self.suspected = self.suspected or taken_over or soon

    def may_stand_back(self, now_s: float) -> bool:
        """Whether to stand back for an answer without proof: for ten minutes of each twenty.

        Two bridges take turns like that instead of fighting; an impostor keeps us away half of the time.
        """
        if self._back_since_s is None or now_s - self._back_since_s >= 2 * BACK_S:
            self._back_since_s = now_s
        return now_s - self._back_since_s < BACK_S

    def no_other_bridge(self) -> None:
        """We looked and no other bridge answers, or we could not look and have been let in."""
        self.suspected = False
