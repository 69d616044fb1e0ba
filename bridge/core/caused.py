"""Answers that make a broker end the session, which any client can cause. No clock and no I/O here.

A request may choose a response topic that the broker rejects by closing the connection: because it has too
many levels, or because of an access list (AWS IoT does that). Each such answer costs a session, and the next
request can choose another topic. So after three sessions that end this way, answers of this kind are sent for
an hour only to topics that the broker has accepted before. A broken network looks the same: a topic is no
longer blamed once the broker accepts it.
"""

from collections import OrderedDict
from collections.abc import Iterable

REST_S = 3600.0
PROVEN_AT_MOST, BLAMED_AT_MOST = 1000, 100
TIMES = 2
"""How many sessions must end at an answer that was sent alone, after the one that raised suspicion."""


class Caused:
    """How the broker has treated answers of one kind. Topics may be long, so only hashes are kept."""

    def __init__(self) -> None:
        self._proven: OrderedDict[int, None] = OrderedDict()
        self._blamed: OrderedDict[int, float] = OrderedDict()
        self._ends = 0
        self._resting_until_s = 0.0

    def may_send(self, topic: str, now_s: float) -> bool:
        """Whether an answer may be sent on this topic now."""
        return hash(topic) in self._proven or now_s >= self._resting_until_s

    def goes_alone(self, topic: str, now_s: float) -> bool:
        """Whether the answer must be sent alone, so that its effect is clear."""
        return hash(topic) not in self._proven and self._is_suspected(now_s)

    def taken(self, topic: str) -> None:
        """The broker has accepted or rejected a message on this topic, and did not close the connection."""
        self._blamed.pop(hash(topic), None)
        self._proven[hash(topic)] = None
        self._proven.move_to_end(hash(topic))
        if len(self._proven) > PROVEN_AT_MOST:
            self._proven.popitem(last=False)

    def session_ended(self, unanswered: Iterable[str], now_s: float, *, alone: bool) -> bool:
        """The broker ended a session while these topics were unanswered. True: this kind pauses from now on.

        `alone`: nothing else was on its way, and the broker had accepted something in this session.
        """
        topics, was_suspected = [hash(topic) for topic in unanswered], self._is_suspected(now_s)
        if not topics:
            return False
        self._ends = self._ends + alone if was_suspected else 0
        if self._ends < TIMES:
            self._blame(topics, now_s)
            return False
        self._blamed.clear()
        for topic in topics:
            self._proven.pop(topic, None)
        self._resting_until_s = now_s + REST_S
        return True

    def _blame(self, topics: Iterable[int], now_s: float) -> None:
        for topic in topics:
            self._proven.pop(topic, None)
            self._blamed.pop(topic, None)
            self._blamed[topic] = now_s + REST_S
        while len(self._blamed) > BLAMED_AT_MOST:
            self._blamed.popitem(last=False)

    def _is_suspected(self, now_s: float) -> bool:
        """Whether, within the last hour, a session ended at a topic that was not accepted since."""
        return any(now_s < until_s for until_s in reversed(self._blamed.values()))
