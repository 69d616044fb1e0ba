"""One SOAP session with a PBX: opened, polled, kept alive, ended. Retries nothing: supervise.py does.

A failed Poll ends the session: replies come once and carry no number, so only a fresh list is safe.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from bridge.core.backend import InTime, PbxEvents
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.resync import Resync
from bridge.core.message import Json
from bridge.core.model import User
from bridge.core.records import Batch
from bridge.errors import CommandError, LinkError, Rejected, SessionLost
from bridge.pbx.client import Client, MonitorOptions, SoapSession
from bridge.pbx.monitors import Monitors
from bridge.pbx.operations import OPERATIONS, Arguments, Operation
from bridge.pbx.together import until_one_ends
from bridge.pbx.wire import PollSlice, decode_poll

QUICK_S = 1.0
DOUBT_FIRST_S, DOUBT_LONGEST_S = 0.25, 10.0
DOUBLINGS_AT_MOST = 10
ECHO_S = 30.0
CALL_GUARD_S = 1.0
END_S = 0.3
DEFAULT_OPTIONS = MonitorOptions()


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs of the configuration.

    `resync_grace_s`: how long after `monitored` the PBX may take to report the calls that already run.
    """

    session_user: str
    options: MonitorOptions = DEFAULT_OPTIONS
    monitor_per_s: float = 100.0
    resync_grace_s: float = 2.0


@asynccontextmanager
async def session(client: Client, settings: SessionSettings) -> "AsyncIterator[Session]":
    """A session context over an open client; ends the SOAP session on the way out."""
    opened = Session(client, settings)
    try:
        yield opened
    finally:
        await opened.end()


class Session:
    """See bridge.core.backend.PbxSession for what the methods promise."""

    def __init__(self, client: Client, settings: SessionSettings) -> None:
        self._client = client
        self._settings = settings
        self._monitors = Monitors()
        self._soap_session = SoapSession(0, 0)
        self._work = asyncio.Event()
        self._asked: asyncio.Queue[tuple[float, str]] = asyncio.Queue()
        self._asking = asyncio.Lock()
        self._placing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._last_call_s: float | None = None
        self._events: PbxEvents | None = None

    async def serve(self, events: PbxEvents) -> None:
        """Open the session and report until it breaks."""
        about = await self._client.version()
        self._soap_session = await self._client.initialize(self._settings.session_user)
        if self._soap_session.handle <= 0:
            user = self._settings.session_user
            raise Rejected(f"the PBX opens no session for '{user}': no such user, or no right to its view")
        self._events = events
        events.began(about)
        try:
            await until_one_ends(
                poll=self._poll(events),
                monitor=self._monitor_wanted(events),
                settle=self._settle(events),
                echo=self._echo(),
                resync=self._await_resync(),
            )
        except Rejected as error:
            # A 401 of a session that was up is the PBX's trouble, not a wrong password.
            raise SessionLost(error.reason) from error
        finally:
            self._stop.set()

    async def end(self) -> None:
        """Close the SOAP session, within a third of a second; the PBX does it by itself when this fails."""
        if self._soap_session.handle <= 0:
            return
        try:
            async with asyncio.timeout(END_S):
                await self._client.end(self._soap_session)
        except (LinkError, TimeoutError):
            return

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Follow a user's calls, soon."""
        if self._monitors.monitor(guid, name, urgent=urgent):
            self._work.set()

    def unmonitor(self, guid: str) -> None:
        """Stop following a user."""
        if self._monitors.unmonitor(guid):
            self._work.set()

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Do what a command wants, as operations.py says; a ping and a resync are for the session itself."""
        if isinstance(action, Ping):
            await self.ping()
            return {}
        if isinstance(action, Resync):
            self.resync()
            return {}
        operation = OPERATIONS[type(action)]
        arguments = operation.arguments(action)
        if operation.caller is not None:
            caller = operation.caller(action)
            return {"call": await self._start_call(caller, operation, arguments, command_id, in_time)}
        answer = await self._client.perform(operation.name, arguments, in_time)
        if operation.refusal and not answer:
            raise CommandError("refused", operation.refusal)
        return {}

    async def _start_call(
        self,
        caller: User,
        operation: Operation,
        arguments: Arguments,
        command_id: str | None,
        in_time: InTime,
    ) -> str:
        """Start a call of a user, who is monitored first if need be; the id of the call."""
        self._require_up()
        record = caller.record
        handle = self._monitors.handle_of(record.guid)
        if handle is None:
            handle = await self._ask_to_monitor(record.guid, record.name)
        if not handle or self._events is None:
            raise CommandError("refused", f"the PBX gives no control over '{record.name}'")
        # `_poll` waits for this lock: the answer names the leg, and must be known before the leg's events.
        async with self._placing:
            self._require_up()
            leg = await self._client.perform(operation.name, {"user": handle, **arguments}, in_time)
            if leg <= 0:
                raise CommandError("refused", operation.refusal)
            self._last_call_s = _now()
            return self._events.placed(record.guid, leg, command_id)

    def _require_up(self) -> None:
        """A session that ends takes the calls of its last second with it (docs/wire.md#call-control)."""
        if self._stop.is_set():
            raise CommandError("pbx_offline", "a new session with the PBX is being opened", retryable=True)

    async def ping(self) -> None:
        """Ask whether the session lives."""
        if not await self._client.echo(self._soap_session):
            raise SessionLost("the PBX does not know the session any more")

    def resync(self) -> None:
        """Let `serve` end."""
        self._stop.set()

    async def rest(self) -> None:
        """Let the last call that was placed live: see `_require_up`."""
        if self._last_call_s is not None:
            await asyncio.sleep(max(0.0, self._last_call_s + CALL_GUARD_S - _now()))

    async def _poll(self, events: PbxEvents) -> None:
        doubts = 0
        while True:
            started = _now()
            body = await self._client.poll(self._soap_session)
            seconds = _now() - started
            await self._let_commands_place()
            empty = True
            for part in decode_poll(body):
                empty = empty and not part
                self._report(part, events)
                await asyncio.sleep(0)
            await events.kept()
            events.alive(seconds, events=not empty)
            doubts = doubts + 1 if empty and seconds < QUICK_S else 0
            if doubts:
                await self._doubt(doubts)

    def _report(self, part: PollSlice, events: PbxEvents) -> None:
        if self._asking.locked():
            self._monitors.keep_early(part.legs)
        legs = self._monitors.resolved(part.legs)
        batch = Batch(part.users, legs, part.list_complete, part.unreadable)
        if batch:
            events.reported(batch)

    async def _doubt(self, doubts: int) -> None:
        """Nothing, and at once: one way for a PBX to say that it knows no such session. Never spin."""
        await self.ping()
        await asyncio.sleep(doubt_s(doubts))

    async def _let_commands_place(self) -> None:
        """The answer to UserCall names the leg: let it in before the leg's events, for a second at most."""
        try:
            async with asyncio.timeout(CALL_GUARD_S), self._placing:
                return
        except TimeoutError:
            return

    async def _monitor_wanted(self, events: PbxEvents) -> None:
        while True:
            self._work.clear()
            while (wanted := self._monitors.next_wanted(_now())) is not None:
                await self._monitor(events, *wanted)
                await asyncio.sleep(1 / self._settings.monitor_per_s)
            while (to_return := self._monitors.next_to_return()) is not None:
                await self._unmonitor(to_return)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._monitors.again_s()):
                    await self._work.wait()

    async def _monitor(self, events: PbxEvents, guid: str, name: str) -> None:
        """Whatever becomes of one request, the session goes on, if there is one."""
        reason = "the PBX gives no control over it"
        try:
            monitored = await self._ask_to_monitor(guid, name) > 0
        except LinkError as error:
            await self.ping()
            monitored, reason = False, error.reason
        if not monitored and self._monitors.refused(guid, name, _now()):
            events.not_monitored(guid, name, reason)

    async def _unmonitor(self, handle: int) -> None:
        try:
            await self._client.unmonitor(handle)
        except LinkError:
            await self.ping()

    async def _ask_to_monitor(self, guid: str, name: str) -> int:
        """The handle of a user, asked for once at a time; 0 when the PBX gives none."""
        async with self._asking:
            known = self._monitors.handle_of(guid)
            if known is not None:
                return known
            try:
                handle = await self._client.monitor(self._soap_session, name, self._settings.options)
                early = self._monitors.monitored(guid, handle) if handle > 0 else ()
            finally:
                self._monitors.forget_early()
        if self._monitors.handle_of(guid) is not None and self._events is not None:
            self._asked.put_nowait((_now() + self._settings.resync_grace_s, guid))
            self._events.monitored(guid)
            if early:
                self._events.reported(Batch(legs=early))
        return max(0, handle)

    async def _settle(self, events: PbxEvents) -> None:
        """The running calls of a user come within 2 s of the request (docs/wire.md#sequences)."""
        while True:
            due_s, guid = await self._asked.get()
            await asyncio.sleep(due_s - _now())
            events.settled(guid)

    async def _echo(self) -> None:
        """A PBX that answers Echo badly may serve Polls all the same; one that knows no session says so."""
        while True:
            await asyncio.sleep(ECHO_S)
            try:
                await self.ping()
            except LinkError as error:
                if not error.answered:
                    raise

    async def _await_resync(self) -> None:
        """No call is placed from then on, and the last one is let live."""
        await self._stop.wait()
        async with self._placing:
            pass  # the one that is being placed
        await self.rest()
        raise SessionLost("a new session was asked for")


def doubt_s(doubts: int) -> float:
    """How long to wait after so many empty answers in a row; a PBX may give them for days."""
    return min(DOUBT_FIRST_S * 2.0 ** min(doubts, DOUBLINGS_AT_MOST), DOUBT_LONGEST_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
