"""Requests of one PBX, from the bus to the reply: checked in order, run one after the other, at most once.

The checks are pure (core/commands.py); here they meet the clock, the memory of ids and the PBX session.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.core.backend import InTime, PbxSession
from bridge.core.commands import request as commands
from bridge.core.commands.checks import plan
from bridge.core.commands.dedup import REMEMBERED_AT_MOST, REMEMBERED_S, Entry, SeenCommands, fingerprint
from bridge.core.commands.naming import known_user
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.rates import ENDING, RateLimit, Rates
from bridge.core.commands.request import Address, Refusal, Request
from bridge.core.commands.verb import Action, CallAction, Context
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.resync import Resync
from bridge.core.journal import Journal, KeptCommand, MemoryJournal, Snapshot
from bridge.core.message import Incoming, Json
from bridge.core.model import Instant
from bridge.errors import CommandError, LinkError, Unreachable
from bridge.link.mirror import Mirror
from bridge.link.turns import Turns

WAITING_AT_MOST, RESERVED = 64, 64
"""How many commands wait for their turn; as many again if they end calls."""
COMMAND_S = 10.0
ANSWERED_PER_S = 20
"""How many refusals, and how many duplicates, are answered a second."""
OTHER_REQUEST = "this id belongs to another request; use a new one"
CRASHED = "the bridge restarted meanwhile; whether the command was executed is unknown"
NOT_DONE = "the bridge is stopping or restarting; not executed"
Told = Callable[[Address, str | None, str, str, float], None]


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What the configuration says of commands. Rates are per minute; the cause is a Q.850 code."""

    permissions: Permissions = field(default_factory=Permissions)
    per_minute: int = 60
    calls_per_user: int = 10
    clear_cause: int = 26
    response_topics: tuple[str, ...] = ()


@dataclass(slots=True)
class Accepted:
    """A request that was let through, and when it came. `noted`: its id is kept, the PBX may be asked."""

    request: Request
    fingerprint: str
    since: Instant
    noted: bool = False


class Commander:
    """Takes requests in and sees to it that each gets exactly one reply, but for a flood of refusals.

    `session` gives the open PBX session, if any; `told` hears of every reply, for the log and metrics;
    `unanswered` of each request that gets none; `crashed` of a bug that a request brought to light: it costs
    that request, never the process.
    """

    def __init__(
        self,
        mirror: Mirror,
        settings: CommandSettings,
        *,
        session: Callable[[], PbxSession | None],
        clock: Callable[[], Instant],
        told: Told,
        crashed: Callable[[Exception], None],
        unanswered: Callable[[], None] = lambda: None,
        journal: Journal | None = None,
    ) -> None:
        self._mirror = mirror
        self._settings = settings
        self._session = session
        self._clock = clock
        self._told = told
        self._crashed = crashed
        self._journal = journal or MemoryJournal()
        self._unanswered = unanswered
        self._seen = SeenCommands()
        self._rates = Rates(settings.per_minute, settings.calls_per_user)
        self._refusals = RateLimit(ANSWERED_PER_S, 1.0)
        self._duplicates = RateLimit(ANSWERED_PER_S, 1.0)
        self._turns = Turns[Accepted]()
        self._pings = Turns[Accepted]()
        self._over = False

    def offer(self, incoming: Incoming) -> None:
        """Take one message of a command topic. An empty retained one deletes another: it asks for nothing."""
        now = self._clock()
        if incoming.retain and not incoming.payload:
            return
        too_large = len(incoming.payload) > commands.LONGEST_PAYLOAD and not incoming.retain
        if too_large and not self._refusals.left(now.monotonic_s):
            self._unanswered()  # to look for its id takes tens of milliseconds
            return
        patterns = self._settings.response_topics
        request = commands.parse(incoming, self._mirror.topics, now.unix_ms, patterns)
        if isinstance(request, Refusal):
            if request.code == "retained":
                self._mirror.erase_retained(incoming.topic)
            self._refuse(request, now)
        else:
            self._take(request, now)

    def _take(self, request: Request, now: Instant) -> None:
        """Let a request through, or say why not. Its id is looked up first, and noted last."""
        mark, permissions = fingerprint(request), self._settings.permissions
        known = self._seen.find(request.id, now.monotonic_s) if request.id is not None else None
        if known is not None and not self._is_same(known, mark, request):
            self._refuse(Refusal(request.address, request.id, "invalid", OTHER_REQUEST), now)
        elif (late := commands.expired(request, now.unix_ms)) is not None:
            self._refuse(late, now)
        elif known is not None:
            self._repeat(known, request, now)
        elif (forbidden := commands.forbidden(request, permissions, self._mirror.state)) is not None:
            payload = self._refuse(forbidden, now)
            if request.id is not None and payload is not None:
                self._seen.refuse(request.id, mark, payload, now.monotonic_s)
        elif (sentence := self._too_many(request, now)) is not None:
            refusal = Refusal(request.address, request.id, "rate_limited", sentence, retryable=True)
            self._refuse(refusal, now)
        elif self._over:
            self._refuse(Refusal(request.address, request.id, "pbx_offline", NOT_DONE, retryable=True), now)
        else:
            if request.id is not None:
                self._seen.open(request.id, mark, now.monotonic_s)
            accepted = Accepted(request, mark, now)
            self._line_of(request.address.verb).put(self._about(request), accepted)

    def restore(self, kept: Snapshot) -> None:
        """Know the ids of an earlier run; what was not answered then may be done already: no repetition."""
        now = self._clock()
        for command in kept.commands:
            if (command.reply or {}).get("retryable"):
                continue
            unknown = Refusal(Address("", command.verb), command.id, "timeout", CRASHED)
            reply = command.reply or commands.refused(unknown, now.unix_ms)
            self._seen.put_back(command.id, command.fingerprint, now.seconds_at(command.unix_ms), reply)

    async def run(self) -> None:
        """Carry out what was let through: of each user in the order in which it came, the users in turn.

        Pings run beside the rest. Cancelled, as at a reload, it answers all that it has let through.
        """
        lines = self._turns, self._pings
        try:
            async with asyncio.TaskGroup() as workers:
                for line in lines:
                    workers.create_task(self._work(line))
        finally:
            self._over = True
            for accepted in (each for line in lines for each in line.drain()):
                self._end(accepted, CommandError("pbx_offline", NOT_DONE, retryable=True))

    async def _work(self, line: Turns[Accepted]) -> None:
        while True:
            accepted = await line.take()
            try:
                answer = await self._answer(accepted)
            except asyncio.CancelledError:
                self._end(accepted, CommandError("timeout", CRASHED))
                raise
            self._finish(accepted, *answer)

    def _end(self, accepted: Accepted, error: CommandError) -> None:
        """Answer what this link does not carry out, or not to its end."""
        self._finish(accepted, *self._refused(accepted.request, error))

    def _finish(self, accepted: Accepted, payload: Json, code: str, detail: str) -> None:
        request = accepted.request
        self._send(request.address, request.id, payload, code, accepted.since, detail)
        self._remember(accepted, payload)

    def _is_same(self, known: Entry, mark: str, request: Request) -> bool:
        """0.1.0 kept of a request its verb only: then its reply goes where everybody's replies go."""
        if known.fingerprint:
            return known.fingerprint == mark
        verb = request.address.verb
        plain = request.address.topic == self._mirror.topics.response(verb)
        return plain and (known.reply or {}).get("verb") == verb

    def _repeat(self, known: Entry, request: Request, now: Instant) -> None:
        """A known id gets the reply of the first request, now or when there is one, and runs nothing."""
        answered = self._duplicates.take(now.monotonic_s)
        if answered and known.reply is not None:
            payload = {**known.reply, "duplicate": True}
            self._send(request.address, request.id, payload, "duplicate", now)
        elif not answered or not known.wait(request.address):
            self._unanswered()

    def _refuse(self, refusal: Refusal, now: Instant) -> Json | None:
        """Say no; but in a flood of refusals only count. The payload, if one was sent."""
        if not self._refusals.take(now.monotonic_s):
            self._unanswered()
            return None
        payload = commands.refused(refusal, now.unix_ms)
        self._send(refusal.address, refusal.id, payload, refusal.code, now)
        return payload

    def _too_many(self, request: Request, now: Instant) -> str | None:
        """Why it is too early for this request, if so."""
        verb, line = request.address.verb, self._line_of(request.address.verb)
        if len(line) >= WAITING_AT_MOST + RESERVED * (verb in ENDING):
            return "too many commands are waiting for the PBX"
        if request.id is not None and self._seen.is_full(now.monotonic_s):
            return f"too many commands with an id: {REMEMBERED_AT_MOST} in {REMEMBERED_S:g} s"
        return self._rates.refusal(verb, self._about(request), now.monotonic_s)

    def _about(self, request: Request) -> str:
        """The guid of the user whom a request is about, however that one is written; "" for nobody."""
        state, fields = self._mirror.state, request.fields
        if "user" in fields:
            name = fields["user"]
            user = known_user(state, name) if isinstance(name, str) else None
            return "" if user is None else user.guid
        call = state.call(str(fields["call"])) if "call" in fields else None
        return "" if call is None else call.user

    def _line_of(self, verb: str) -> Turns[Accepted]:
        """A PBX that leaves a ping hanging holds up no other command."""
        return self._pings if verb == "ping" else self._turns

    async def _answer(self, accepted: Accepted) -> tuple[Json, str, str]:
        """The reply, its code, and what the log says of a refusal."""
        request = accepted.request
        try:
            self._left_s(request, accepted.since)
            context = Context(self._mirror.state, self._mirror.topics.pbx, self._settings.clear_cause)
            rules = self._settings.permissions.dialling
            action = plan(request.address.verb, context, request.fields, rules)
            session = self._require_session()
            _require_confirmed(action)
            await self._note(accepted)
            self._require_same(session)
            async with asyncio.timeout(self._left_s(request, accepted.since)):
                in_time = partial(self._left_s, request, accepted.since)
                result = await self._perform(session, action, request, in_time)
        except CommandError as error:
            return self._refused(request, error)
        except (TimeoutError, Unreachable):
            return self._refused(request, CommandError("timeout", "the PBX did not answer in time"))
        except LinkError as error:
            sentence = self._mirror.on_bus(error)
            return self._refused(request, CommandError("pbx_error", sentence, detail=error.reason))
        except Exception as bug:  # noqa: BLE001  (requests come from anybody: a bug must not end all links)
            self._crashed(bug)
            return self._refused(request, CommandError("pbx_error", "a bug in the bridge; see its log"))
        return commands.accepted(request, result, self._clock().unix_ms), "ok", ""

    async def _note(self, accepted: Accepted) -> None:
        """Keep the id before the PBX is asked: a repetition after a crash must not run the command again."""
        request = accepted.request
        left_s = self._left_s(request, accepted.since)
        if request.id is None:
            return
        self._keep(accepted, None)
        accepted.noted = True
        try:
            async with asyncio.timeout(left_s):
                await self._journal.kept_now()
        except TimeoutError:
            sentence = "writing to the state directory took too long; not executed"
            raise CommandError("timeout", sentence, retryable=True) from None

    def _left_s(self, request: Request, since: Instant) -> float:
        """How long it may take: not beyond its own time, for what waits in a line may not be done late."""
        now = self._clock()
        left_s = COMMAND_S - (now.monotonic_s - since.monotonic_s)
        if left_s <= 0:
            raise CommandError("timeout", "waited too long in the queue; not executed", retryable=True)
        if request.expires_ms is None:
            return left_s
        if now.unix_ms > request.expires_ms:
            raise CommandError("expired", "expired while waiting in the queue; not executed")
        return min(left_s, (request.expires_ms - now.unix_ms) / 1000)

    def _refused(self, request: Request, error: CommandError) -> tuple[Json, str, str]:
        refusal = Refusal(request.address, request.id, error.code, error.message, error.retryable)
        return commands.refused(refusal, self._clock().unix_ms), error.code, error.detail

    def _require_session(self) -> PbxSession:
        session = self._session()
        if session is None or not self._mirror.online:
            status = self._mirror.status
            sentence = f"the PBX is {status.link}: {status.reason}"
            raise CommandError("pbx_offline", sentence, retryable=True, detail=status.detail)
        return session

    def _require_same(self, session: PbxSession) -> None:
        """The handles of a session that has ended mean nothing, or something else, in the next one."""
        if self._session() is not session:
            raise CommandError("pbx_offline", "the PBX session has just ended", retryable=True)

    async def _perform(self, session: PbxSession, action: Action, request: Request, in_time: InTime) -> Json:
        """Have the PBX do it. What two actions mean for what is published is said here."""
        if isinstance(action, Resync):
            self._mirror.republish()
        if isinstance(action, HangUp):
            # Noted first: the leg's last event may come before the answer.
            self._mirror.mark_hung_up(action.call, hung_up=True)
        try:
            return await session.perform(action, command_id=request.id, in_time=in_time)
        except (LinkError, CommandError):
            if isinstance(action, HangUp):
                self._mirror.mark_hung_up(action.call, hung_up=False)
            raise

    def _remember(self, accepted: Accepted, payload: Json) -> None:
        """The reply of an id, for duplicates: those that wait for it already, and those to come.

        A refusal that asks to be retried is for those that wait only: the retry runs. One for which the PBX
        was not asked is not in the file either: nothing was done.
        """
        request = accepted.request
        if request.id is None:
            return
        close = self._seen.close if accepted.noted else self._seen.close_refused
        if accepted.noted:
            self._keep(accepted, payload)
        for address in close(request.id, payload):
            self._send(address, request.id, {**payload, "duplicate": True}, "duplicate", accepted.since)

    def _keep(self, accepted: Accepted, reply: Json | None) -> None:
        request, unix_ms = accepted.request, self._clock().unix_ms
        command = KeptCommand(request.id or "", request.address.verb, unix_ms, reply, accepted.fingerprint)
        self._journal.command(command)
        self._journal.commit()

    def _send(
        self,
        address: Address,
        request_id: str | None,
        payload: Json,
        code: str,
        since: Instant,
        detail: str = "",
    ) -> None:
        self._mirror.reply(commands.reply(address, payload))
        reason = "" if code == "duplicate" else detail or str(payload.get("message", ""))
        self._told(address, request_id, code, reason, self._clock().monotonic_s - since.monotonic_s)


def _require_confirmed(action: Action) -> None:
    """A call whose leg the PBX has not named in this session cannot be acted on."""
    if isinstance(action, CallAction) and action.call.leg_handle is None:
        raise CommandError("unknown_call", "the PBX has not confirmed this call yet", retryable=True)
