"""Has a PBX report the calls of users: asks for one at a time, and again after a refusal. Polls nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from bridge.core.backend import IgnoreEvents, PbxEvents
from bridge.core.records import Batch
from bridge.errors import LinkError
from bridge.pbx.client import Client, MonitorOptions, SoapSession
from bridge.pbx.monitors import Monitors
from bridge.pbx.wire import PollSlice

DEFAULT_OPTIONS = MonitorOptions()


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """How users are monitored, and how many per second the PBX is asked for.

    `grace_s`: how long after `monitored` the PBX may take to report the calls that already run.
    """

    options: MonitorOptions = DEFAULT_OPTIONS
    per_s: float = 100.0
    grace_s: float = 2.0


class Monitoring:
    """The monitored users of one session. `ping` raises a LinkError if the PBX has lost the session."""

    def __init__(
        self, client: Client, settings: MonitorSettings, ping: Callable[[], Awaitable[None]]
    ) -> None:
        self._client = client
        self._settings = settings
        self._ping = ping
        self._monitors = Monitors()
        self._soap_session = SoapSession(0, 0)
        self._events: PbxEvents = IgnoreEvents()
        self._work = asyncio.Event()
        self._answered: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self._asking = asyncio.Lock()

    def begin(self, soap_session: SoapSession, events: PbxEvents) -> None:
        """The session is open."""
        self._soap_session = soap_session
        self._events = events

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Have the calls of a user reported, soon."""
        if self._monitors.monitor(guid, name, urgent=urgent):
            self._work.set()

    def unmonitor(self, guid: str) -> None:
        """Stop the reports of a user's calls."""
        if self._monitors.unmonitor(guid):
            self._work.set()

    def resolved(self, part: PollSlice) -> Batch:
        """A slice of a reply with the guids of users in place of the session's handles."""
        if self._asking.locked():
            # The answer that says whose handle this is may still be on its way over the other connection.
            self._monitors.keep_early(part.legs)
        return Batch(part.users, self._monitors.resolved(part.legs), part.list_complete, part.unreadable)

    async def handle_of(self, guid: str, name: str) -> int:
        """The handle of a user, asked for if necessary; 0 if the PBX refuses it."""
        known = self._monitors.handle_of(guid)
        return await self._ask(guid, name) if known is None else known

    async def run(self) -> None:
        """Ask for the users that are wanted, and return the handles of those that no longer are."""
        while True:
            self._work.clear()
            while (wanted := self._monitors.next_wanted(_now())) is not None:
                await self._monitor(*wanted)
                await asyncio.sleep(1 / self._settings.per_s)
            while (handle := self._monitors.next_to_return()) is not None:
                await self._return(handle)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._monitors.again_s()):
                    await self._work.wait()

    async def settle(self) -> None:
        """Report `settled` when the grace is over: the PBX never says that it has named all running calls.

        In practice it names them within 2 s (docs/wire.md#sequences).
        """
        while True:
            due_s, guid = await self._answered.get()
            await asyncio.sleep(due_s - _now())
            self._events.settled(guid)

    async def _monitor(self, guid: str, name: str) -> None:
        """Monitor one user. A failed request does not end the session, unless the PBX has lost it."""
        reason = "the PBX gives no right to it"
        try:
            monitored = await self._ask(guid, name) > 0
        except LinkError as error:
            await self._ping()
            monitored, reason = False, error.reason
        if not monitored and self._monitors.refused(guid, name, _now()):
            self._events.not_monitored(guid, name, reason)

    async def _return(self, handle: int) -> None:
        try:
            await self._client.unmonitor(handle)
        except LinkError:
            await self._ping()

    async def _ask(self, guid: str, name: str) -> int:
        """Ask the PBX for the handle of a user; 0 if it refuses. One request at a time."""
        async with self._asking:
            # A command and `run` may have asked for the same user, and the PBX would report the legs of a
            # second handle as well.
            known = self._monitors.handle_of(guid)
            if known is not None:
                return known
            try:
                handle = await self._client.monitor(self._soap_session, name, self._settings.options)
                early = self._monitors.monitored(guid, handle) if handle > 0 else ()
            finally:
                self._monitors.forget_early()
        if self._monitors.handle_of(guid) is not None:
            self._answered.put_nowait((_now() + self._settings.grace_s, guid))
            self._events.monitored(guid)
            if early:
                self._events.reported(Batch(legs=early))
        return max(0, handle)


def _now() -> float:
    return asyncio.get_running_loop().time()
