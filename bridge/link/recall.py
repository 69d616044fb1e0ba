"""Reads back the retained states of an earlier run, topic by topic. Opens no session.

Some brokers retain messages but do not deliver them to a wildcard subscription. For those the PBX is asked
for its users first, so that the exact topics are known.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

from bridge.core.message import Incoming, Subscription
from bridge.core.records import UserRecord
from bridge.core.retained import Retained, Verdict
from bridge.core.topics import Topics, encode
from bridge.errors import LinkError, Rejected
from bridge.mqtt.client import Connection
from bridge.mqtt.readback import QUIET_S, judged

AT_ONCE = 50


class Recall:
    """The state topics of these users (`wanted`: topic ids), and what is retained there."""

    def __init__(self, topics: Topics, wanted: Iterable[str], retained: Retained) -> None:
        self._retained = retained
        self._ids = {topics.user_state(user): user for user in wanted}
        self._heard = asyncio.Event()
        self.found = False
        self.refused = False

    @classmethod
    def of(
        cls,
        topics: Topics,
        records: Sequence[UserRecord],
        topic_id: Callable[[UserRecord], str],
        retained: Retained,
    ) -> "Recall":
        """Every topic that an earlier run may have used for these users."""
        names = [name for each in records for name in (topic_id(each), encode(each.guid))]
        return cls(topics, names, retained)

    def take(self, incoming: Incoming) -> None:
        """Take a retained message if it is on one of the topics."""
        user = self._ids.get(incoming.topic)
        if user is not None and incoming.retain and incoming.payload:
            self.found = True
            if judged(self._retained, user, incoming.payload) is Verdict.FOREIGN:
                self._retained.users[user] = None  # written by somebody else: the topic will be erased
            self._heard.set()

    async def read(self, connection: Connection) -> None:
        """Subscribe to all of them, and wait until nothing more arrives. Raises LinkError.

        Topics that the broker refuses are left out. A lost connection is an error: its silence means nothing.
        """
        filters = list(self._ids)
        for start in range(0, len(filters), AT_ONCE):
            chunk = filters[start : start + AT_ONCE]
            try:
                await connection.subscribe([Subscription(each, qos=0) for each in chunk])
            except Rejected:
                self.refused = True
            await self._until_quiet()
            if connection.lost.done():
                raise connection.lost.result()
            with contextlib.suppress(LinkError):
                connection.unsubscribe(chunk)

    async def _until_quiet(self) -> None:
        with contextlib.suppress(TimeoutError):
            while True:
                self._heard.clear()
                async with asyncio.timeout(QUIET_S):
                    await self._heard.wait()
