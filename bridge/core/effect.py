"""Judges whether the broker delivers what we publish. No clock and no I/O here.

A connection proves nothing: an access list may make the broker reject our messages, or silently drop them. So
our state must come back to us, and no topic may be rejected.
"""

from collections.abc import Set as AbstractSet

AGAIN_S = 60.0
"""How long to wait after a refusal before trying again: somebody must change a right first."""


class Effect:
    """The effect of our messages in one broker session.

    `proven`: our state came back. `problem`: why it does not; empty while nothing is wrong.
    """

    def __init__(self, state_topic: str, place: str, echo_s: float) -> None:
        self.proven = False
        self.problem = ""
        self._state_topic = state_topic
        self._place = place
        self._echo_s = echo_s
        self._due_s: float | None = None
        self._again_s: float | None = None
        self._refused: dict[str, str] = {}
        self._retried: set[str] = set()

    @property
    def refused(self) -> str:
        """A sentence about the topics that the broker refuses; empty if there are none."""
        if not self._refused:
            return ""
        reason, *others = self._refused.values()
        return f"{reason} (and {len(others)} more topics)" if others else reason

    @property
    def refused_count(self) -> int:
        """How many topics the broker refuses."""
        return len(self._refused)

    def sent(self, topic: str, now_s: float) -> None:
        """A message is on its way; our state must come back in time."""
        if topic == self._state_topic and self._due_s is None:
            self._due_s = now_s + self._echo_s

    def heard(self) -> None:
        """Our state came back unchanged."""
        self.proven, self.problem, self._due_s = True, "", None

    def accepted(self, topic: str) -> None:
        """The broker has accepted a message."""
        self._refused.pop(topic, None)
        self._retried.discard(topic)

    def refuse(self, topic: str, reason: str, now_s: float, *, again: bool) -> None:
        """The broker refuses a message on this topic. `again`: try it again, somebody may grant the right."""
        if topic == self._state_topic:
            self._fail(reason)
            self._rest(now_s)
            return
        self._refused[topic] = reason
        if again:
            self._retried.add(topic)
            self._rest(now_s)

    def look(self, now_s: float) -> AbstractSet[str]:
        """Judge what is overdue. Returns the topics to publish again now."""
        if self._due_s is not None and now_s >= self._due_s:
            self._fail(
                f"the broker {self._place} takes {self._state_topic} but does not deliver it: "
                "the bridge's user needs the right to write and to read it"
            )
            self._rest(now_s)
        if self._again_s is None or now_s < self._again_s:
            return frozenset()
        self._again_s = None
        return {*self._retried, *([self._state_topic] if self.problem else [])}

    def _fail(self, reason: str) -> None:
        self.proven, self.problem, self._due_s = False, reason, None

    def _rest(self, now_s: float) -> None:
        if self._again_s is None:
            self._again_s = now_s + AGAIN_S
