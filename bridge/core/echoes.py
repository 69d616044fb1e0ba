"""Recognises our own erasures of retained commands when they come back. No clock and no I/O here.

An MQTT 3.1.1 broker sends a client what the client itself publishes. An erasure is an empty message, and its
echo lacks the retain flag: on a `clear` topic it would look like a command to hang up. So one empty message
is ignored for each erasure, from sending it (the echo may come before the acknowledgement) until shortly
after its acknowledgement. If no echo comes, the broker has ignored the erasure. Then nothing is erased for an
hour, because the next real command could be mistaken for the echo.
"""

from collections import OrderedDict

ECHO_S = 2.0
REST_S = 3600.0
ECHOES_AT_MOST = 1000


class Echoes:
    """The echoes that are expected in one session: by topic, until when, or None before the acknowledgement.

    Any client can choose long topics, so only hashes are kept.
    """

    def __init__(self) -> None:
        self._expected: OrderedDict[int, float | None] = OrderedDict()

    def sent(self, topic: str) -> None:
        """An erasure is on its way."""
        self._expected[hash(topic)] = None
        if len(self._expected) > ECHOES_AT_MOST:
            self._expected.popitem(last=False)

    def acknowledged(self, topic: str, now_s: float) -> None:
        """The broker has acknowledged a message: its echo is due."""
        if hash(topic) in self._expected:
            self._expected[hash(topic)] = now_s + ECHO_S

    def is_echo(self, topic: str, now_s: float) -> bool:
        """Whether an empty message on this topic is an echo. Each echo comes once."""
        due_s = self._expected.pop(hash(topic), -1.0)
        return due_s is None or now_s <= due_s

    def is_missing(self, now_s: float) -> bool:
        """Whether an echo is overdue. If so, all of them are forgotten."""
        if all(due_s is None or now_s <= due_s for due_s in self._expected.values()):
            return False
        self._expected.clear()
        return True
