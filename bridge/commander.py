"""Requests of one PBX, from the bus to the reply: checked in order, run one after the other, at most once.

The checks are pure (core/commands.py); here they meet the clock, the memory of ids and the PBX session.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.core import commands, verbs
from bridge.core.commands import Address, Permissions, Refusal, Request
from bridge.core.journal import Journal, Kept, KeptCommand, MemoryJournal
from bridge.core.ledger import Allowance, Ledger
from bridge.core.message import Incoming, Json
from bridge.core.model import Instant
from bridge.core.verbs import Action, ClearCall, Ping, PlaceCall, Resync, SetPresence
from bridge.errors import CommandError, LinkError, Unreachable
from bridge.ports import InTime, PbxSession
from bridge.publisher import Publisher

WAITING_AT_MOST = 64
COMMAND_S = 10.0
USERS_REMEMBERED = 1000
CRASHED = "the bridge was restarted meanwhile: whether this was done is not known"
ECHO_S = 10.0
ECHOES_AT_MOST = 1000
Told = Callable[[Address, str | None, str, str, float], None]


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What the configuration says of commands. Rates are per minute; the cause is a Q.850 code."""

    permissions: Permissions = field(default_factory=Permissions)
    per_minute: int = 60
    calls_per_user: int = 10
    clear_cause: int = 26
    response_topics: tuple[str, ...] = ()


class Commander:
    """Takes requests in and sees to it that each gets exactly one reply.

    `session` gives the open PBX session, if any; `told` hears of every reply, for the log and metrics;
    `crashed` of a bug that a request brought to light: it costs that request, never the process.
    """

    def __init__(
        self,
        publisher: Publisher,
        settings: CommandSettings,
        *,
        session: Callable[[], PbxSession | None],
        clock: Callable[[], Instant],
        told: Told,
        crashed: Callable[[Exception], None],
        journal: Journal | None = None,
    ) -> None:
        self._publisher = publisher
        self._settings = settings
        self._session = session
        self._clock = clock
        self._told = told
        self._crashed = crashed
        self._journal = journal or MemoryJournal()
        self._ledger = Ledger()
        self._allowance = Allowance(settings.per_minute)
        self._allowances: dict[str, Allowance] = {}
        self._echoes: dict[int, float] = {}
        self._waiting: asyncio.Queue[tuple[Request, Instant]] = asyncio.Queue(WAITING_AT_MOST)

    def offer(self, incoming: Incoming, *, hears_itself: bool) -> None:
        """Take one message of a command topic. `hears_itself`: the broker sends us what we publish there."""
        now = self._clock()
        if self._is_our_clearing(incoming, now):
            return
        patterns = self._settings.response_topics
        request = commands.parse(incoming, self._publisher.topics, now.unix_ms, patterns)
        if isinstance(request, Refusal):
            if request.code == "retained":
                if hears_itself:
                    self._expect_echo(incoming.topic, now)
                self._publisher.clear_retained(incoming.topic)
            self._send(request.address, request.id, commands.refused(request, now.unix_ms), request.code, now)
        elif not self._is_duplicate(request, now):
            refusal = self._refusal(request, now)
            if refusal is None:
                self._waiting.put_nowait((request, now))
                return
            payload = commands.refused(refusal, now.unix_ms)
            self._send(request.address, request.id, payload, refusal.code, now)
            if refusal.code != "expired":
                self._remember(request, payload, now)

    def restore(self, kept: Kept) -> None:
        """Know the ids of an earlier run; what was not answered then may be done already: no repetition."""
        now = self._clock()
        for command in kept.commands:
            if (command.reply or {}).get("retryable"):
                continue
            unknown = Refusal(Address("", command.verb), command.id, "timeout", CRASHED)
            reply = command.reply or commands.refused(unknown, now.unix_ms)
            self._ledger.put_back(command.id, now.seconds_at(command.unix_ms), reply)

    async def run(self) -> None:
        """Carry out what was let through, in the order in which it came."""
        while True:
            request, since = await self._waiting.get()
            payload, code = await self._answer(request, since)
            self._send(request.address, request.id, payload, code, since)
            self._remember(request, payload, since)

    def _expect_echo(self, topic: str, now: Instant) -> None:
        """An MQTT 3.1.1 broker sends us our own clearing, without its flag: it looks like a command."""
        if len(self._echoes) >= ECHOES_AT_MOST:
            del self._echoes[next(iter(self._echoes))]
        self._echoes[hash(topic)] = now.monotonic_s + ECHO_S

    def _is_our_clearing(self, incoming: Incoming, now: Instant) -> bool:
        """An empty retained message clears a topic, it asks for nothing; nor does its echo, soon after."""
        if incoming.payload or incoming.retain:
            return not incoming.payload
        return now.monotonic_s <= self._echoes.pop(hash(incoming.topic), -1.0)

    def _is_duplicate(self, request: Request, now: Instant) -> bool:
        """A known id gets the reply of the first request, now or when there is one, and runs nothing."""
        if request.id is None or commands.expired(request, now.unix_ms) is not None:
            return False
        entry = self._ledger.open(request.id, now.monotonic_s)
        if entry is None:
            self._note(request, now.unix_ms, None)
            return False
        if entry.reply is None:
            entry.waiting.append(request.address)
        else:
            payload = {**entry.reply, "duplicate": True}
            self._send(request.address, request.id, payload, "duplicate", now)
        return True

    def _refusal(self, request: Request, now: Instant) -> Refusal | None:
        settings = self._settings
        late = commands.expired(request, now.unix_ms)
        if late is not None:
            return late
        forbidden = commands.forbidden(request, settings.permissions, self._publisher.state)
        if forbidden is not None:
            return forbidden
        if self._too_many(request, now) or self._waiting.full():
            sentence = (
                f"too many commands: {settings.per_minute} a minute, {settings.calls_per_user} calls a user"
            )
            return Refusal(request.address, request.id, "rate_limited", sentence, retryable=True)
        return None

    def _too_many(self, request: Request, now: Instant) -> bool:
        if not self._allowance.take(now.monotonic_s):
            return True
        if request.address.verb != "call":
            return False
        if len(self._allowances) > USERS_REMEMBERED:
            self._allowances.clear()
        user = str(request.fields.get("user"))
        allowance = self._allowances.setdefault(user, Allowance(self._settings.calls_per_user))
        return not allowance.take(now.monotonic_s)

    async def _answer(self, request: Request, since: Instant) -> tuple[Json, str]:
        try:
            left_s = self._left_s(request, since)
            state, pbx = self._publisher.state, self._publisher.topics.pbx
            rules = self._settings.permissions.dialling
            action = verbs.plan(request.address.verb, state, pbx, request.fields, rules)
            async with asyncio.timeout(left_s):
                result = await self._perform(action, request, partial(self._left_s, request, since))
        except CommandError as error:
            return self._refused(request, error)
        except (TimeoutError, Unreachable):
            return self._refused(request, CommandError("timeout", "the PBX did not answer in time"))
        except LinkError as error:
            return self._refused(request, CommandError("pbx_error", error.reason))
        except Exception as bug:  # noqa: BLE001  (requests come from anybody: a bug must not end all links)
            self._crashed(bug)
            return self._refused(request, CommandError("pbx_error", "a bug in the bridge, see its log"))
        return commands.accepted(request, result, self._clock().unix_ms), "ok"

    def _left_s(self, request: Request, since: Instant) -> float:
        """How long it may take: not beyond its own time, for what waits in a line may not be done late."""
        now = self._clock()
        left_s = COMMAND_S - (now.monotonic_s - since.monotonic_s)
        if left_s <= 0:
            raise CommandError("timeout", "waited too long, nothing was done", retryable=True)
        if request.expires_ms is None:
            return left_s
        if now.unix_ms > request.expires_ms:
            raise CommandError("expired", "its time was over before its turn came, nothing was done")
        return min(left_s, (request.expires_ms - now.unix_ms) / 1000)

    def _refused(self, request: Request, error: CommandError) -> tuple[Json, str]:
        refusal = Refusal(request.address, request.id, error.code, error.message, error.retryable)
        return commands.refused(refusal, self._clock().unix_ms), error.code

    async def _perform(self, action: Action, request: Request, in_time: InTime) -> Json:
        session = self._session()
        if session is None or not self._publisher.online:
            status = self._publisher.status
            raise CommandError("pbx_offline", f"the PBX is {status.link}: {status.reason}", retryable=True)
        match action:
            case PlaceCall():
                return {"call": await self._place(session, action, request.id, in_time)}
            case ClearCall():
                await self._clear(session, action, in_time)
            case SetPresence():
                await session.set_presence(action, in_time)
            case Resync():
                self._publisher.republish()
                session.resync()
            case Ping():
                await session.ping()
        return {}

    async def _place(
        self, session: PbxSession, action: PlaceCall, command_id: str | None, in_time: InTime
    ) -> str:
        ids: list[str] = []

        def placed(leg: int) -> None:
            ids.append(self._publisher.placed(action.user.guid, leg, command_id))

        await session.call(action, placed, in_time)
        return ids[0]

    async def _clear(self, session: PbxSession, action: ClearCall, in_time: InTime) -> None:
        call = action.call
        if call.handle is None:
            raise CommandError("unknown_call", "the PBX has not confirmed this call yet", retryable=True)
        self._publisher.mark_cleared(call, cleared=True)
        try:
            await session.clear(call.handle, action.cause or self._settings.clear_cause, in_time)
        except (LinkError, CommandError):
            self._publisher.mark_cleared(call, cleared=False)
            raise

    def _remember(self, request: Request, payload: Json, since: Instant) -> None:
        """The reply of an id, for duplicates: those that wait for it already, and those to come.

        A refusal that asks to be retried is for those that wait only: the retry runs.
        """
        if request.id is not None:
            self._note(request, self._clock().unix_ms, payload)
            for address in self._ledger.close(request.id, payload):
                self._send(address, request.id, {**payload, "duplicate": True}, "duplicate", since)

    def _note(self, request: Request, unix_ms: int, reply: Json | None) -> None:
        """Before it is carried out, and with its reply: a repetition after a crash must not run it again."""
        if request.id is not None:
            self._journal.command(KeptCommand(request.id, request.address.verb, unix_ms, reply))
            self._journal.commit()

    def _send(
        self, address: Address, request_id: str | None, payload: Json, code: str, since: Instant
    ) -> None:
        self._publisher.reply(commands.reply(address, payload))
        reason = "" if code == "duplicate" else str(payload.get("message", ""))
        self._told(address, request_id, code, reason, self._clock().monotonic_s - since.monotonic_s)
