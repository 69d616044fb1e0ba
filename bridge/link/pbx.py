"""The PBX half of a link: runs sessions, passes their reports to the mirror, asks for users to be monitored.

It must not know what protocol a session speaks, and retries nothing: supervise.py does.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial

from bridge.core.backend import OpenPbx, PbxSession, at_any_time
from bridge.core.commands.verbs.resync import Resync
from bridge.core.journal import Journal
from bridge.core.model import Changes
from bridge.core.records import Batch, UserRecord
from bridge.core.status import About
from bridge.link.mirror import Mirror
from bridge.link.supervise import Up
from bridge.link.survey import Survey, survey
from bridge.ops.observer import Observer

KEPT_S = 1.0
LIST_S = 60.0
CROWDED_S = 5.0
"""So long a broker that is slower than the PBX delays the PBX. It ends a session that asks no more."""
Later = Callable[[float, Callable[[], None]], object]
"""Runs a callback after a number of seconds."""


class PbxSide:
    """Listens to one PBX session after another (PbxEvents).

    `alive` records a sign of life of the PBX. `end_grace_s`: see LinkSettings.
    """

    def __init__(
        self,
        open_pbx: OpenPbx,
        mirror: Mirror,
        journal: Journal,
        *,
        observer: Observer,
        alive: Callable[[], None],
        later: Later,
        end_grace_s: float,
    ) -> None:
        self._open_pbx = open_pbx
        self._mirror = mirror
        self._journal = journal
        self._observer = observer
        self._alive = alive
        self._later = later
        self._end_grace_s = end_grace_s
        self._session: PbxSession | None = None
        self._up: Up = lambda: None
        self._closed = False

    @property
    def session(self) -> PbxSession | None:
        """The open session, if any."""
        return self._session

    def close(self) -> None:
        """Disarm the timers that are still running: from now on the journal belongs to the next link."""
        self._closed = True

    async def users(self, place: int, most: int) -> Sequence[UserRecord]:
        """Read the list of users, up to `most`, in a session of its own. Raises LinkError."""
        async with self._open_pbx(place) as session:
            return await survey(session, most, Survey.listed, within_s=LIST_S)

    async def leave(self) -> None:
        """Let the session end, once no call can end with it."""
        if self._session is not None:
            await self._session.perform(Resync(), command_id=None, in_time=at_any_time)

    async def serve(self, place: int, up: Up) -> None:
        """Serve one session until it breaks. Calls `up` when the list of users is complete."""
        self._up = up
        try:
            async with self._open_pbx(place) as session:
                self._session = session
                await session.serve(self)
        finally:
            self._session = None
            self._observer.left("pbx")

    def began(self, about: About) -> None:
        """The PBX session is open (PbxEvents)."""
        self._alive()
        self._observer.pbx.polling()
        self._mirror.began(about)

    def reported(self, batch: Batch) -> None:
        """Users or legs changed (PbxEvents)."""
        changes = self._mirror.reported(batch)
        self._monitor(changes)
        for guid, ids in changes.quiet.items():
            self._later(self._end_grace_s, partial(self._reconcile, guid, ids))
        self._observer.pbx.events(changes.events)
        self._observer.left_out(changes.left_out)
        if batch.unreadable:
            self._observer.pbx.unreadable(batch.unreadable)
        if batch.list_complete:
            self._up()
            about = self._mirror.about
            self._observer.up("pbx", firmware=about.firmware, users=len(self._mirror.state.users))

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """A command has started a call (PbxEvents)."""
        return self._mirror.placed(guid, leg_handle, command_id)

    def sent(self, guid: str, handle: int, command_id: str | None) -> str:
        """A command has sent a text message (PbxEvents)."""
        return self._mirror.sent(guid, handle, command_id)

    def settled(self, guid: str) -> None:
        """The running calls of this user have been reported (PbxEvents)."""
        self._mirror.settled(guid)

    def monitored(self, guid: str) -> None:
        """The PBX reports the calls of this user (PbxEvents)."""
        self._mirror.monitored(guid)
        self._observer.pbx.monitored(guid)

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX does not report the calls of this user (PbxEvents)."""
        self._mirror.not_monitored(guid)
        self._observer.pbx.not_monitored(guid, name, reason)

    def forwards_unread(self, name: str, reason: str) -> None:
        """The PBX does not tell the forwards of this user (PbxEvents)."""
        self._observer.pbx.forwards_unread(name, reason)

    async def kept(self) -> None:
        """Wait until the journal is on disk, and the broker keeps up (PbxEvents).

        A disk that hangs must not stop the events, nor a broker that is slow: they wait within limits.
        """
        if self._journal.behind:  # a timer for each reply is dear
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(KEPT_S):
                    await self._journal.kept_now()
        outbox = self._mirror.outbox
        if outbox.crowded:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CROWDED_S):
                    while outbox.crowded:
                        await outbox.changed()

    def alive(self, seconds: float, *, events: bool) -> None:
        """The PBX has answered (PbxEvents)."""
        self._alive()
        self._observer.pbx.polled(seconds, events=events)

    def _reconcile(self, guid: str, ids: frozenset[str]) -> None:
        if not self._closed:
            self._mirror.reconcile(guid, ids)

    def _monitor(self, changes: Changes) -> None:
        """Ask the PBX to report the calls, and the forwards, of the users that the fold has named."""
        session = self._session
        if session is None:
            return
        for guid in changes.unmonitor:
            session.unmonitor(guid)
        for user in changes.monitor:
            session.monitor(user.guid, user.name, urgent=user.urgent)
        for guid, name in changes.reconfigured.items():
            session.read_forwards(guid, name)
