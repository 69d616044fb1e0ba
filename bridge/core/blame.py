"""Finds the message that makes a broker close the session, and what must not be sent because of it.

Judges messages only; must not queue or drop any: the outbox does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bridge.core.caused import Caused
from bridge.core.line import ANSWERS, Kind, QueuedMessage
from bridge.core.message import Message
from bridge.core.suspects import EVENT_TIMES, STATE_TIMES, Suspects

SET_ASIDE_S = 3600.0
"""Seconds for which a topic is skipped after the broker has closed sessions because of it."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The message that made the broker close the session."""

    message: Message
    kind: Kind


class Blame:
    """What past sessions have shown about messages. One for the life of a link."""

    def __init__(self) -> None:
        self._suspects = Suspects()
        self._caused = {kind: Caused() for kind in ANSWERS}
        self._aside: dict[str, float] = {}
        self._proven = False

    def session_began(self) -> None:
        """The broker has accepted a connection, which proves nothing about its network yet."""
        self._proven = False

    def answered(self, entry: QueuedMessage) -> None:
        """The broker acknowledged a message, or refused it and went on."""
        self._proven = True
        if entry.kind in ANSWERS:
            self._caused[entry.kind].taken(entry.message.topic)

    def forget(self, entry: QueuedMessage) -> None:
        """The message will not be sent again."""
        if self._suspects:
            self._suspects.clear(entry.key)

    def may_send(self, entry: QueuedMessage, now_s: float) -> bool:
        """The topic is not skipped at present; for an answer: its kind is not paused."""
        topic = entry.message.topic
        if entry.kind in ANSWERS:
            return self._caused[entry.kind].may_send(topic, now_s)
        return not self._aside or now_s >= self._aside.get(topic, 0.0)

    def goes_alone(self, entry: QueuedMessage, now_s: float) -> bool:
        """The message is a suspect. It must travel alone, so that its effect is certain."""
        if entry.kind in ANSWERS:
            return self._caused[entry.kind].goes_alone(entry.message.topic, now_s)
        return bool(self._suspects) and entry.key in self._suspects

    def session_ended(self, unanswered: Sequence[QueuedMessage], now_s: float) -> Culprit | None:
        """The broker closed the session before it answered these. Return the culprit, if it is certain."""
        alone = self._proven and len(unanswered) == 1
        for kind, caused in self._caused.items():
            topics = [each.message.topic for each in unanswered if each.kind is kind]
            if caused.session_ended(topics, now_s, alone=alone):
                return Culprit(unanswered[0].message, kind)
        times = STATE_TIMES if all(each.kind is Kind.STATE for each in unanswered) else EVENT_TIMES
        keys = [each.key for each in unanswered]
        if self._suspects.session_ended(keys, times, proven=self._proven) is None:
            return None
        (entry,) = unanswered  # a suspect travels alone
        return Culprit(entry.message, entry.kind)

    def set_aside(self, topic: str, now_s: float) -> None:
        """Skip this topic for an hour."""
        self._aside[topic] = now_s + SET_ASIDE_S

    def aside(self, now_s: float) -> tuple[str, ...]:
        """The topics that are skipped now."""
        self._aside = {topic: until_s for topic, until_s in self._aside.items() if now_s < until_s}
        return tuple(self._aside)
