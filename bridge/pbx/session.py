"""One SOAP session with a PBX: opens it, polls, performs actions, keeps it alive, ends it. Retries nothing.

A failed Poll ends the session: the PBX sends each event once and without a number, so only a new session,
which starts with the complete list, is sure to miss nothing (docs/wire.md#poll).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bridge.core.backend import IgnoreEvents, InTime, PbxEvents
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.forward import SetForwards
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.resync import Resync
from bridge.core.message import Json
from bridge.core.model import User
from bridge.errors import CommandError, LinkError, Rejected, SessionLost
from bridge.pbx.client import Client, SoapSession, whole
from bridge.pbx.forwards import ForwardsReader
from bridge.pbx.monitoring import Monitoring, MonitorSettings
from bridge.pbx.operations import OPERATIONS, Arguments, Operation
from bridge.pbx.together import until_one_ends
from bridge.pbx.wire import decode_poll

QUICK_S = 1.0
"""An empty reply that comes sooner than this is suspicious: a PBX without news holds a Poll for a minute."""
DOUBT_FIRST_S, DOUBT_LONGEST_S = 0.25, 10.0
DOUBLINGS_AT_MOST = 10
ECHO_S = 30.0
CALL_GUARD_S = 1.0
"""A session that ends this soon after it placed a call ends the call too (docs/wire.md#call-control)."""
END_S = 0.3
HELD_S = 5.0
"""So long a reply may be held up between its slices; then the rest is reported without a pause."""
DEFAULT_MONITORING = MonitorSettings()


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs of the configuration."""

    session_user: str
    monitoring: MonitorSettings = DEFAULT_MONITORING


@asynccontextmanager
async def session(
    client: Client, settings: SessionSettings, listed: Callable[[], None] = lambda: None
) -> "AsyncIterator[Session]":
    """A session over an open client; `listed` is called when its list is complete. Ends the SOAP session."""
    opened = Session(client, settings, listed)
    try:
        yield opened
    finally:
        await opened.end()


class Session:
    """See bridge.core.backend.PbxSession for what the methods promise."""

    def __init__(self, client: Client, settings: SessionSettings, listed: Callable[[], None]) -> None:
        self._client = client
        self._settings = settings
        self._listed = listed
        self._monitoring = Monitoring(client, settings.monitoring, self.ping)
        self._forwards = ForwardsReader(client, self.ping)
        self._soap_session = SoapSession(0, 0)
        self._placing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._last_call_s: float | None = None
        self._events: PbxEvents = IgnoreEvents()

    async def serve(self, events: PbxEvents) -> None:
        """Open the session and report until it breaks."""
        about = await self._client.version()
        self._soap_session = await self._client.initialize(self._settings.session_user)
        if self._soap_session.handle <= 0:
            user = self._settings.session_user
            raise Rejected(f"the PBX opens no session for '{user}': no such user, or no right to its view")
        self._events = events
        self._monitoring.begin(self._soap_session, events)
        self._forwards.begin(events)
        events.began(about)
        try:
            await until_one_ends(
                poll=self._poll(events),
                monitor=self._monitoring.run(),
                settle=self._monitoring.settle(),
                forwards=self._forwards.run(),
                echo=self._echo(),
                resync=self._await_resync(),
            )
        except Rejected as error:
            # The password was accepted a moment ago, so a 401 now is no wrong password: the PBX restarts.
            raise SessionLost(error.reason) from error
        finally:
            self._stop.set()

    async def end(self) -> None:
        """End the SOAP session, within 0.3 s. If that fails, the PBX does so when the connections close.

        Forwards that are just being changed come first, and may take 2 s.
        """
        if self._soap_session.handle <= 0:
            return
        await self._forwards.finish()
        try:
            async with asyncio.timeout(END_S):
                await self._client.end(self._soap_session)
        except (LinkError, TimeoutError):
            return

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Have the calls of a user reported, soon."""
        self._monitoring.monitor(guid, name, urgent=urgent)

    def unmonitor(self, guid: str) -> None:
        """Stop the reports of a user's calls."""
        self._monitoring.unmonitor(guid)

    def read_forwards(self, guid: str, name: str) -> None:
        """Have the forwards of a user reported, soon."""
        self._forwards.read(guid, name)

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Perform an action as operations.py describes it. Ping and Resync concern the session itself.

        SetForwards takes several requests.
        """
        if isinstance(action, Ping):
            await self.ping()
            return {}
        if isinstance(action, Resync):
            self.resync()
            return {}
        if isinstance(action, SetForwards):
            await self._forwards.change(action, in_time)
            return {}
        operation = OPERATIONS[type(action)]
        arguments = dict(operation.arguments(action))
        if operation.in_session:
            arguments["session"] = self._soap_session.handle
        user = operation.user(action) if operation.user else None
        if user is not None:
            arguments["user"] = await self._handle_of(user)
        if operation.starts_call:
            owner = operation.starts_call(action)
            return {"call": await self._start_call(owner, operation, arguments, command_id, in_time)}
        answer = await self._client.perform(operation, arguments, in_time)
        if operation.refusal and not whole(answer):
            raise CommandError("refused", operation.refusal)
        return operation.reply(answer)

    async def _handle_of(self, user: User) -> int:
        """The handle of a user, which is monitored now if it was not before."""
        self._require_up()
        handle = await self._monitoring.handle_of(user.guid, user.record.name)
        if not handle:
            raise CommandError("refused", f"the PBX does not allow control of '{user.record.name}'")
        return handle

    async def _start_call(
        self,
        owner: User,
        operation: Operation,
        arguments: Arguments,
        command_id: str | None,
        in_time: InTime,
    ) -> str:
        """Start a call that this user has then. Returns the id of the call."""
        # The answer names the leg; the leg's events come over the other connection and may overtake it.
        # `_poll` waits for this lock for up to a second, so the call has its id before its first event.
        async with self._placing:
            self._require_up()
            leg = whole(await self._client.perform(operation, arguments, in_time))
            if leg <= 0:
                raise CommandError("refused", operation.refusal)
            self._last_call_s = _now()
            started = self._events.sent if operation.sends_text else self._events.placed
            return started(owner.guid, leg, command_id)

    def _require_up(self) -> None:
        """Place no call in a session that is about to end: it would end the call (see CALL_GUARD_S)."""
        if self._stop.is_set():
            raise CommandError("pbx_offline", "the bridge is opening a new PBX session", retryable=True)

    async def ping(self) -> None:
        """Raise SessionLost unless the PBX still knows the session."""
        if not await self._client.echo(self._soap_session):
            raise SessionLost("the PBX does not know the session any more")

    def resync(self) -> None:
        """Let `serve` end, so that a new session reads everything again."""
        self._stop.set()

    async def rest(self) -> None:
        """Wait until ending the session does not end the last call that it placed (see CALL_GUARD_S)."""
        if self._last_call_s is not None:
            await asyncio.sleep(max(0.0, self._last_call_s + CALL_GUARD_S - _now()))

    async def _poll(self, events: PbxEvents) -> None:
        doubts = 0
        while True:
            started = _now()
            body = await self._client.poll(self._soap_session)
            seconds = _now() - started
            await self._let_commands_place()  # before the first record is reported, see `_start_call`
            empty, held_until_s = True, _now() + HELD_S
            for part in decode_poll(body):
                if batch := self._monitoring.resolved(part):
                    # The broker gets the time to take what waits for it.
                    if not empty and _now() < held_until_s:
                        await events.kept()
                    events.reported(batch)
                empty = empty and not part
                if part.list_complete:
                    self._listed()
                # A first list has thousands of records. Between its slices the other links get their turn.
                await asyncio.sleep(0)
            # The next Poll acknowledges this reply, and the PBX forgets it: first it must be on disk.
            await events.kept()
            events.alive(seconds, events=not empty)
            doubts = doubts + 1 if empty and seconds < QUICK_S else 0
            if doubts:
                await self._doubt(doubts)

    async def _doubt(self, doubts: int) -> None:
        """Look into an empty reply that came at once: some PBXs answer so when they have lost the session.

        If the session is alive, slow down, so that such a PBX is not polled in a busy loop.
        """
        await self.ping()
        await asyncio.sleep(doubt_s(doubts))

    async def _let_commands_place(self) -> None:
        """Wait, a second at most, for the answer to a call that is just being placed: see `_start_call`.

        If there is none, no timer is set: one for each Poll is dear.
        """
        if not self._placing.locked():
            return
        try:
            async with asyncio.timeout(CALL_GUARD_S), self._placing:
                return
        except TimeoutError:
            return

    async def _echo(self) -> None:
        """Check regularly that the PBX still knows the session, which a Poll alone may never show.

        An error that the PBX answered is ignored: some answer Echo badly, but serve Polls.
        """
        while True:
            await asyncio.sleep(ECHO_S)
            try:
                await self.ping()
            except LinkError as error:
                if not error.answered:
                    raise

    async def _await_resync(self) -> None:
        """End the session on request, but wait for a call that is being placed, and let it live."""
        await self._stop.wait()
        async with self._placing:
            pass
        await self.rest()
        raise SessionLost("a new session was asked for")


def doubt_s(doubts: int) -> float:
    """The pause after a number of suspicious replies in a row. Capped: a PBX may give them for days."""
    return min(DOUBT_FIRST_S * 2.0 ** min(doubts, DOUBLINGS_AT_MOST), DOUBT_LONGEST_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
