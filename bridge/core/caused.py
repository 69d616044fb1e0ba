"""Answers that make a broker end the session, which strangers can cause. No clock and no I/O here.

A broker may take fewer levels than the bridge lets a request name, and an access list may refuse a topic by
closing the connection (AWS IoT does). Each such answer costs a session, and a stranger can cause the next one
on another topic. So two sessions that end this way are enough: for an hour answers of this kind go only to
topics that the broker has taken before.
"""

from collections import OrderedDict
from collections.abc import Iterable

REST_S = 3600.0
PROVEN_AT_MOST = 1000


class Caused:
    """What the broker made of one kind of answers. Topics may be long: their hashes are kept."""

    def __init__(self) -> None:
        self._proven: OrderedDict[int, None] = OrderedDict()
        self._suspected_until_s = 0.0
        self._resting_until_s = 0.0

    def may_send(self, topic: str, now_s: float) -> bool:
        """Whether the broker may be given a message on this topic now."""
        return hash(topic) in self._proven or now_s >= self._resting_until_s

    def goes_alone(self, topic: str, now_s: float) -> bool:
        """Whether nothing else may be on its way beside it, so that its effect is clear."""
        return hash(topic) not in self._proven and now_s < self._suspected_until_s

    def taken(self, topic: str) -> None:
        """The broker has answered a message on this topic, if only to refuse it."""
        self._proven[hash(topic)] = None
        self._proven.move_to_end(hash(topic))
        if len(self._proven) > PROVEN_AT_MOST:
            self._proven.popitem(last=False)

    def session_ended(self, unanswered: Iterable[str], now_s: float, *, alone: bool) -> bool:
        """The broker ended a session while these topics were unanswered; True: they rest from now on.

        `alone`: nothing else was on its way, and the broker had taken something in this session.
        """
        topics = list(unanswered)
        for topic in topics:
            self._proven.pop(hash(topic), None)
        if not topics:
            return False
        if alone and now_s < self._suspected_until_s:
            self._suspected_until_s, self._resting_until_s = 0.0, now_s + REST_S
            return True
        self._suspected_until_s = now_s + REST_S
        return False
