"""Finds out whether a broker turns dots in topics into slashes, as some do. Changes no topic."""

import contextlib
from collections.abc import Callable

from bridge.core.message import Message, Subscription
from bridge.errors import Rejected, Unreachable
from bridge.mqtt.client import Connection

DOT_ASKS = 2
"""In how many sessions we ask without an answer: a broker may end the session where a right is missing."""


class DotCheck:
    """Publishes to `topic`, which has a dot, and looks under which name it comes back."""

    def __init__(self, topic: str, limited: Callable[..., None]) -> None:
        self._topic = topic
        self._limited = limited
        self._unanswered = 0

    async def ask(self, connection: Connection) -> None:
        """Publish an empty message; retained nowhere, read by nobody else."""
        if self._unanswered >= DOT_ASKS:
            return
        self._unanswered += 1
        with contextlib.suppress(Rejected, Unreachable):  # `check --connect` reports missing rights
            await connection.subscribe([Subscription(self._topic, qos=0)])
            connection.publish(Message(self._topic, None, qos=0))

    def hear(self, connection: Connection, topic: str) -> bool:
        """Judge the message if it is ours; False for any other topic."""
        if topic not in {self._topic, self._topic.replace(".", "/")}:
            return False
        self._unanswered = 0
        if topic != self._topic:
            reason = "it turns dots into slashes: topics of users with a dot in their names are wrong"
            self._limited(reason, hint="set mqtt.encode_dots: true")
        connection.unsubscribe([self._topic])
        return True
