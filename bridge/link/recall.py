"""Reads back what an earlier run told of each user, topic by topic. Starts no session itself.

For brokers that keep messages but do not deliver them to wildcards: the PBX is asked for its users first.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

from bridge.core.backend import PbxSession
from bridge.core.message import Incoming, Subscription
from bridge.core.records import Batch, UserRecord
from bridge.core.retained import Retained, Verdict
from bridge.core.status import About
from bridge.core.topics import Topics, encode
from bridge.errors import LinkError, Rejected, SessionLost
from bridge.mqtt.client import Connection
from bridge.mqtt.readback import QUIET_S, judged

LIST_S = 60.0
AT_ONCE = 50


class Listener:
    """Hears a PBX session until the list of users is complete (PbxEvents); does nothing else with it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.records: dict[str, UserRecord] = {}
        self.complete = asyncio.Event()

    def began(self, about: About) -> None:
        """See PbxEvents."""

    def reported(self, batch: Batch) -> None:
        """See PbxEvents."""
        for record in batch.users:
            if len(self.records) < self._most or record.guid in self.records:
                self.records[record.guid] = record
        if batch.list_complete:
            self.complete.set()

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """No command runs in this session."""
        raise NotImplementedError(guid, leg_handle, command_id)

    def settled(self, guid: str) -> None:
        """See PbxEvents."""

    def monitored(self, guid: str) -> None:
        """See PbxEvents."""

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """See PbxEvents."""

    async def kept(self) -> None:
        """See PbxEvents."""

    def alive(self, seconds: float, *, events: bool) -> None:
        """See PbxEvents."""


async def list_users(session: PbxSession, most: int) -> Sequence[UserRecord]:
    """The users of a PBX, but no more than `most`. Raises the LinkError that ended the session first."""
    listener = Listener(most)
    serving = asyncio.create_task(session.serve(listener), name="list")
    complete = asyncio.create_task(listener.complete.wait(), name="complete")
    try:
        await asyncio.wait({serving, complete}, timeout=LIST_S, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        if not listener.complete.is_set():
            raise SessionLost(f"the list of users did not come within {LIST_S:g} s")
    finally:
        serving.cancel()
        complete.cancel()
        await asyncio.gather(serving, complete, return_exceptions=True)
    return tuple(listener.records.values())


class Recall:
    """The exact state topics of some users, and what is retained there. `wanted`: topic ids."""

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
        """All topics that an earlier run may have used for these users."""
        names = [name for each in records for name in (topic_id(each), encode(each.guid))]
        return cls(topics, names, retained)

    def take(self, incoming: Incoming) -> None:
        """Take a message if it is one of ours."""
        user = self._ids.get(incoming.topic)
        if user is not None and incoming.retain and incoming.payload:
            self.found = True
            if judged(self._retained, user, incoming.payload) is Verdict.FOREIGN:
                self._retained.users[user] = None  # nobody's: its topic will be cleared
            self._heard.set()

    async def read(self, connection: Connection) -> None:
        """Ask for all of them, and wait until nothing comes any more. Raises a LinkError.

        What the broker refuses is left out. Quiet on a connection that is lost says nothing.
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
