"""Answers that make a broker end the session, which strangers can cause. No clock and no I/O here.

A broker may take fewer levels than the bridge lets a request name, and an access list may refuse a topic by
closing the connection (AWS IoT does). Each such answer costs a session, and a stranger can cause the next one
on another topic. So after three sessions that end this way answers of this kind go, for an hour, only to
topics that the broker has taken before. A network that breaks looks the same: a topic that the broker takes
later is not blamed any more.
"""

from collections import OrderedDict
from collections.abc import Iterable

REST_S = 3600.0
PROVEN_AT_MOST, BLAMED_AT_MOST = 1000, 100
TIMES = 2
"""How many sessions must end at an answer that went alone, after one that ended beside some."""


class Caused:
    """What the broker made of one kind of answers. Topics may be long: their hashes are kept."""

    def __init__(self) -> None:
        self._proven: OrderedDict[int, None] = OrderedDict()
        self._blamed: OrderedDict[int, float] = OrderedDict()
        self._ends = 0
        self._resting_until_s = 0.0

    def may_send(self, topic: str, now_s: float) -> bool:
        """Whether the broker may be given a message on this topic now."""
        return hash(topic) in self._proven or now_s >= self._resting_until_s

    def goes_alone(self, topic: str, now_s: float) -> bool:
        """Whether nothing else may be on its way beside it, so that its effect is clear."""
        return hash(topic) not in self._proven and self._is_suspected(now_s)

    def taken(self, topic: str) -> None:
        """The broker has answered a message on this topic, if only to refuse it."""
        self._blamed.pop(hash(topic), None)
        self._proven[hash(topic)] = None
        self._proven.move_to_end(hash(topic))
        if len(self._proven) > PROVEN_AT_MOST:
            self._proven.popitem(last=False)

    def session_ended(self, unanswered: Iterable[str], now_s: float, *, alone: bool) -> bool:
        """The broker ended a session while these topics were unanswered; True: they rest from now on.

        `alone`: nothing else was on its way, and the broker had taken something in this session.
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
        """Whether a session ended, within the hour, beside an answer that the broker has not taken since."""
        return any(now_s < until_s for until_s in reversed(self._blamed.values()))
