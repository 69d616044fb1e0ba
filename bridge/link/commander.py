"""Requests of one PBX, from the bus to the reply: checked in order, run one after the other, at most once.

The checks are pure (core/commands). Here requests wait for their turn; performer.py asks the PBX.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from bridge.core.backend import PbxSession
from bridge.core.commands import checks
from bridge.core.commands.answer import DUPLICATE, OK, Address, Answer, reply
from bridge.core.commands.deadline import Deadline
from bridge.core.commands.dedup import REMEMBERED_AT_MOST, REMEMBERED_S, Entry, fingerprint
from bridge.core.commands.discretion import Discretion
from bridge.core.commands.naming import known_user
from bridge.core.commands.rates import QUERIES, URGENT, RateLimit, Rates
from bridge.core.commands.request import LONGEST_PAYLOAD, Request, parse
from bridge.core.journal import Journal, Snapshot
from bridge.core.message import Incoming, Json
from bridge.core.model import Instant
from bridge.errors import CommandError
from bridge.link.command_ids import CRASHED, Accepted, CommandIds
from bridge.link.mirror import Mirror
from bridge.link.performer import CommandSettings, Performer
from bridge.link.turns import Turns

WAITING_AT_MOST = 64
"""How many commands wait for their turn, besides those that are urgent."""
ANSWERED_PER_S = 20
"""How many refusals, and how many duplicates, are answered a second."""
OTHER_REQUEST = "this id belongs to another request; use a new one"
NOT_DONE = "the bridge is stopping or restarting; not executed"
FORBIDDEN = frozenset({"not_permitted", "number_not_allowed"})
"""Refusals that are remembered by their id: they stay until the configuration changes."""


class CommandEvents(Protocol):
    """Hears what becomes of commands, for the log and the metrics."""

    def replied(self, address: Address, code: str, reason: str, seconds: float) -> None:
        """A reply was sent; `reason` says why a request was refused."""
        ...

    def unanswered(self) -> None:
        """A request gets no reply: it came in a flood."""
        ...

    def crashed(self, bug: Exception) -> None:
        """A request has met a bug. It costs that request, never the process."""
        ...


class Commander:
    """Takes requests in and gives each exactly one reply, except in a flood of refusals.

    `session` gives the open PBX session, if any.
    """

    def __init__(
        self,
        mirror: Mirror,
        settings: CommandSettings,
        journal: Journal,
        *,
        session: Callable[[], PbxSession | None],
        clock: Callable[[], Instant],
        events: CommandEvents,
    ) -> None:
        self._mirror = mirror
        self._settings = settings
        self._clock = clock
        self._events = events
        self._ids = CommandIds(journal, clock)
        self._performer = Performer(
            mirror, settings, self._ids, session=session, clock=clock, crashed=events.crashed
        )
        self._rates = Rates(settings.per_minute, settings.calls_per_user)
        self._refusals = RateLimit(ANSWERED_PER_S, 1.0)
        self._duplicates = RateLimit(ANSWERED_PER_S, 1.0)
        self._turns = Turns[Accepted]()
        self._pings = Turns[Accepted]()
        self._queries = Turns[Accepted]()
        self._unanswered = 0
        self._over = False

    @property
    def idle(self) -> bool:
        """Every request that was let through has its reply."""
        return self._unanswered == 0

    def restore(self, kept: Snapshot) -> None:
        """Know the ids of an earlier run."""
        self._ids.restore(kept)

    def offer(self, incoming: Incoming) -> None:
        """Take a message of a command topic. An empty retained one erases another and asks for nothing."""
        now = self._clock()
        if incoming.retain and not incoming.payload:
            return
        too_large = len(incoming.payload) > LONGEST_PAYLOAD and not incoming.retain
        if too_large and not self._refusals.left(now.monotonic_s):
            self._events.unanswered()  # searching a large payload for its id takes tens of milliseconds
            return
        request = parse(incoming, self._mirror.topics, now.unix_ms, self._settings.response_topics)
        if isinstance(request, Answer):
            if request.code == "retained":
                self._mirror.erase_retained(incoming.topic)
            self._refuse(request, now)
        else:
            self._take(request, now)

    def _take(self, request: Request, now: Instant) -> None:
        """Queue a request, repeat the reply of a known one, or refuse it."""
        mark = "" if request.id is None else fingerprint(request, self._settings.privacy.key)
        accepted = Accepted(request, mark, Deadline(now, request.expires_ms))
        known = self._ids.find(request)
        refusal = self._refusal(accepted, known, now)
        if refusal is not None:
            payload = self._refuse(Answer.refusing(request.address, refusal), now)
            if payload is not None and refusal.code in FORBIDDEN:
                self._ids.refuse(accepted, payload)
        elif known is not None:
            self._repeat(known, request, now)
        else:
            self._ids.open(accepted)
            self._unanswered += 1
            self._line_of(request.verb).put(self._about(request), accepted)

    def _refusal(self, accepted: Accepted, known: Entry | None, now: Instant) -> CommandError | None:
        """Why a request is refused when it arrives, in the contract's order of codes.

        The rates come last: what is refused for another reason must not use them up.
        """
        request = accepted.request
        if known is not None and not self._is_same(known, accepted):
            return CommandError("invalid", OTHER_REQUEST)
        try:
            accepted.deadline.left_s(now)
        except CommandError as late:
            return late
        if known is not None:
            return None
        forbidden = checks.forbidden(request, self._settings.permissions, self._mirror.state)
        return forbidden or self._too_many(request, now)

    def _is_same(self, known: Entry, accepted: Accepted) -> bool:
        """0.1.0 kept only the verb of a request: then its reply goes where everybody's replies go."""
        if known.fingerprint:
            return known.fingerprint == accepted.fingerprint
        address = accepted.request.address
        plain = address.topic == self._mirror.topics.response(address.verb)
        return plain and (known.reply or {}).get("verb") == address.verb

    def _too_many(self, request: Request, now: Instant) -> CommandError | None:
        """Why it is too early for this request, if so; else it has used up what it needs of the rates."""
        line = self._line_of(request.verb)
        if len(line) >= WAITING_AT_MOST + URGENT.get(request.verb, 0):
            sentence: str | None = "too many commands are waiting for the PBX"
        elif not self._ids.has_room(request):
            sentence = f"too many commands with an id: {REMEMBERED_AT_MOST} in {REMEMBERED_S:g} s"
        else:
            sentence = self._rates.refusal(request.verb, self._about(request), now.monotonic_s)
        if sentence is not None:
            return CommandError("rate_limited", sentence, retryable=True)
        return CommandError("pbx_offline", NOT_DONE, retryable=True) if self._over else None

    def _repeat(self, known: Entry, request: Request, now: Instant) -> None:
        """A known id gets the reply of the first request, now or when there is one, and runs nothing."""
        answered = self._duplicates.take(now.monotonic_s)
        if answered and known.reply is not None:
            self._send_again(request.address, known.reply, now)
        elif not answered or not known.wait(request.address):
            self._events.unanswered()

    def _refuse(self, answer: Answer, now: Instant) -> Json | None:
        """Say no, or in a flood of refusals only count. The payload, if one was sent."""
        if not self._refusals.take(now.monotonic_s):
            self._events.unanswered()
            return None
        return self._send(answer, now)

    async def run(self) -> None:
        """Carry out what was let through: each user's commands in order, the users in turn.

        Pings and queries run beside the rest. When cancelled, as at a reload, it answers all that it has let
        through.
        """
        lines = self._turns, self._pings, self._queries
        try:
            async with asyncio.TaskGroup() as workers:
                for line in lines:
                    workers.create_task(self._work(line))
        finally:
            self._over = True
            not_done = CommandError("pbx_offline", NOT_DONE, retryable=True)
            for accepted in (each for line in lines for each in line.drain()):
                self._finish(accepted, Answer.refusing(accepted.request.address, not_done))

    async def _work(self, line: Turns[Accepted]) -> None:
        while True:
            accepted = await line.take()
            try:
                answer = await self._performer.answer(accepted)
            except asyncio.CancelledError:
                self._finish(accepted, Answer(accepted.request.address, "timeout", CRASHED))
                raise
            self._finish(accepted, answer)

    def _finish(self, accepted: Accepted, answer: Answer) -> None:
        """Send the reply, to the duplicates that wait for it as well, and remember it."""
        self._unanswered -= 1
        since = accepted.deadline.since
        payload = self._send(answer, since)
        for address in self._ids.close(accepted, payload):
            self._send_again(address, payload, since)

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
        """A PBX that leaves a ping unanswered holds up no other command, nor do queries hold up a call."""
        if verb in QUERIES:
            return self._queries
        return self._pings if verb == "ping" else self._turns

    def _send(self, answer: Answer, since: Instant) -> Json:
        now = self._clock()
        shown = self._discretion(answer.address)
        payload = shown.reply(answer).payload(now.unix_ms)
        self._mirror.reply(reply(answer.address, payload))
        reason = "" if answer.code == OK else shown.reason(answer.detail or answer.message)
        self._events.replied(shown.address(), answer.code, reason, now.monotonic_s - since.monotonic_s)
        return payload

    def _send_again(self, address: Address, payload: Json, since: Instant) -> None:
        """Send the reply of an earlier request to one with the same id."""
        self._mirror.reply(reply(address, {**payload, "duplicate": True}))
        seconds = self._clock().monotonic_s - since.monotonic_s
        self._events.replied(self._discretion(address).address(), DUPLICATE, "", seconds)

    def _discretion(self, address: Address) -> Discretion:
        return Discretion(self._settings.privacy, self._mirror.state, address)
