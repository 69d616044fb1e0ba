"""Deletions of retained commands that come back to us. No clock and no I/O here.

An MQTT 3.1.1 broker sends a client what it publishes itself. A deletion is an empty message, and its echo
has lost the flag that says so: on a `clear` topic it would end a call. So one empty message is passed over
for each deletion, from when it is sent (brokers send the echo before the acknowledgement, or after it) until
a moment after the broker has acknowledged it. Where no echo comes the broker has ignored the deletion, and
somebody's next command must not be taken for an echo: for an hour nothing is deleted.
"""

from collections import OrderedDict

ECHO_S = 2.0
REST_S = 3600.0
ECHOES_AT_MOST = 1000


class Echoes:
    """The echoes that are expected in one session, by topic: None until the deletion is acknowledged.

    Topics may be long, and strangers choose them: their hashes are kept.
    """

    def __init__(self) -> None:
        self._expected: OrderedDict[int, float | None] = OrderedDict()

    def sent(self, topic: str) -> None:
        """A deletion is on its way."""
        self._expected[hash(topic)] = None
        if len(self._expected) > ECHOES_AT_MOST:
            self._expected.popitem(last=False)

    def acknowledged(self, topic: str, now_s: float) -> None:
        """The broker has taken a deletion, or says so."""
        if hash(topic) in self._expected:
            self._expected[hash(topic)] = now_s + ECHO_S

    def is_echo(self, topic: str, now_s: float) -> bool:
        """Whether an empty message on this topic is the echo; it comes once."""
        due_s = self._expected.pop(hash(topic), -1.0)
        return due_s is None or now_s <= due_s

    def is_missing(self, now_s: float) -> bool:
        """Whether an echo has not come in time: then none is expected any more."""
        if all(due_s is None or now_s <= due_s for due_s in self._expected.values()):
            return False
        self._expected.clear()
        return True
