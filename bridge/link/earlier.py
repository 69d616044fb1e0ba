"""Reads, once after the start, the retained states that an earlier run left. Judges none of them.

The PBX session starts only after `has_read`, so that the first list of users meets the calls of the earlier
run, and calls that ended meanwhile get their `ended`.
"""

import asyncio
from collections.abc import Callable, Sequence

from bridge.core.message import Incoming
from bridge.core.model import Instant
from bridge.core.records import UserRecord
from bridge.core.restore import Memory
from bridge.core.retained import Retained
from bridge.errors import LinkError
from bridge.link.consumers import Consumers
from bridge.link.mirror import Mirror
from bridge.link.recall import Recall
from bridge.mqtt.client import Connection
from bridge.mqtt.readback import read_back
from bridge.ops.observer import Observer

RECALL_AGAIN_S = 1.0


class EarlierRun:
    """Restores the mirror from retained states. `memory`: what this process knows without the broker.

    `has_read`: the broker was asked once. `remembers`: the mirror is restored. If the broker does not deliver
    retained messages to a wildcard, that takes a list of users and `recall`.
    """

    def __init__(
        self,
        mirror: Mirror,
        memory: Memory,
        consumers: Consumers,
        *,
        observer: Observer,
        clock: Callable[[], Instant],
    ) -> None:
        self.has_read = asyncio.Event()
        self.remembers = asyncio.Event()
        self._consumers = consumers
        self._mirror = mirror
        self._memory = memory
        self._observer = observer
        self._clock = clock
        self._open = asyncio.Event()
        self._connection: Connection | None = None
        self._recall: Recall | None = None

    async def read(self, connection: Connection, *, moved: bool = False) -> None:
        """Subscribe with a wildcard. If nothing comes although something is there, leave it to `recall`.

        `moved`: the session before was with another broker: this one may have missed that users were deleted.
        """
        await self._consumers.read(connection)
        if self.remembers.is_set():
            if moved:
                await self._erase_deleted(connection)
            return
        retained = self._new_retained()
        found = await read_back(connection, self._mirror.topics, retained)
        self._observer.broker.cleared(found.erased)
        if retained.users and not (found.marked or self._memory.users):
            reason = "it does not deliver all retained messages: calls and counts of some users are lost"
            self._observer.broker.limited(
                reason, hint="let it queue more messages than there are users, or set state_dir"
            )
        self.has_read.set()
        any_user = retained.users or found.erased
        if any_user or not found.was_here or not connection.limits.retain_available:
            self._remember(retained)

    async def _erase_deleted(self, connection: Connection) -> None:
        """Erase the states of users that the PBX no longer has. What it has is published again anyway."""
        mirror = self._mirror
        if not mirror.online or mirror.state.torn:
            return
        known = Memory(dict.fromkeys(mirror.state.topics.values()), whole=True)
        found = await read_back(connection, mirror.topics, Retained(known, mirror.scope, self._clock))
        self._observer.broker.deleted_elsewhere(found.erased)

    def connected(self, connection: Connection) -> None:
        """A session is open: `recall` may use it."""
        self._connection = connection
        self._open.set()

    def disconnected(self) -> None:
        """The session has ended."""
        self._connection = None
        self._open.clear()

    async def recall(self, records: Sequence[UserRecord]) -> None:
        """Read the states of these users topic by topic, across broker sessions if necessary."""
        while not self.remembers.is_set():
            await self._open.wait()
            retained = self._new_retained()
            recall = Recall.of(self._mirror.topics, records, self._mirror.scope.topic_id, retained)
            connection, self._recall = self._connection, recall
            try:
                if connection is not None:
                    await recall.read(connection)
                    self._remember(retained)
                    self._mirror.refresh()
            except LinkError:  # the session may survive that: ask it again
                await asyncio.sleep(RECALL_AGAIN_S)
            finally:
                self._recall = None
            self._report(recall)

    def take(self, incoming: Incoming) -> None:
        """A message that is no command has come: a consumer has started, or `recall` needs it."""
        if not self._consumers.hear(incoming) and self._recall is not None:
            self._recall.take(incoming)

    def _report(self, recall: Recall) -> None:
        if recall.refused:
            reason = "it refuses to deliver the retained states of some users: their old calls get no `ended`"
            self._observer.broker.limited(
                reason, hint="grant the right to read user/+/state, or set state_dir"
            )
        if recall.found:
            reason = "it delivers no retained messages to wildcards: users deleted while we were down stay"
            self._observer.broker.limited(
                reason, hint="set state_dir, so that the bridge remembers its users"
            )

    def _new_retained(self) -> Retained:
        return Retained(self._memory, self._mirror.scope, self._clock)

    def _remember(self, retained: Retained) -> None:
        self._mirror.restore(retained.users)
        self._observer.left_out(retained.left_out)
        self._memory = Memory()  # it may be large, and is in the mirror now
        self.remembers.set()
