"""The observations of a trial while it runs: answers of the broker, and messages that came. Sends nothing."""

import secrets

from bridge.core.message import Incoming
from bridge.core.rights import Seen, outside
from bridge.core.topics import Topics


class Observations:
    """Collects what becomes a Seen. `token` marks our own messages; `served`: a bridge serves the PBX."""

    def __init__(self, topics: Topics) -> None:
        self.token = f"check-{secrets.token_hex(8)}"
        self.taken: set[str] = set()
        self.refused: set[str] = set()
        self.closed: set[str] = set()
        self.deaf: set[str] = set()
        self.heard: set[str] = set()
        self.others: set[str] = set()
        self.served = False
        self.changes_dots = False
        self.state_published = False
        self._topics = topics

    @property
    def would_know(self) -> bool:
        """A running bridge would have been noticed: by its reply to a ping, or by its retained state."""
        return self._topics.response("ping") in self.heard or self._topics.state in self.others

    def hear(self, incoming: Incoming) -> None:
        """Sort a message: ours, or another client's."""
        topics, topic, payload = self._topics, incoming.topic, incoming.payload
        mine = self.token.encode() in payload
        if topic == topics.state:
            self.served = self.served or payload == b"online"
            (self.heard if self.state_published and not incoming.retain else self.others).add(topic)
        elif topic == topics.response("ping") and mine and b'"verb"' in payload:
            self.served = True
        elif mine and topic == topics.dotted.replace(".", "/"):
            self.changes_dots = True
            self.heard.add(topics.dotted)
        elif mine or (topic in outside(topics) and not payload):
            self.heard.add(topic)
        elif incoming.retain:
            self.others.add(topic)

    def seen(self, *, honest: bool) -> Seen:
        """The observations as a value, to be judged."""
        answers = (self.taken, self.refused, self.closed, self.deaf, self.heard, self.others)
        taken, refused, closed, deaf, heard, others = (frozenset(each) for each in answers)
        return Seen(taken, refused, closed, deaf, heard, others, honest=honest)
