"""Ids of commands, in memory and in the journal, so that a command runs at most once. Judges no request."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.deadline import Deadline
from bridge.core.commands.dedup import Entry, SeenCommands
from bridge.core.commands.request import Request
from bridge.core.journal import Journal, KeptCommand, Snapshot
from bridge.core.message import Json
from bridge.core.model import Instant
from bridge.errors import CommandError

CRASHED = "the bridge restarted meanwhile; whether the command was executed is unknown"


@dataclass(slots=True)
class Accepted:
    """A request that waits for its turn. `fingerprint`: empty without an id.

    `noted`: the journal has its id, so that the PBX may be asked.
    """

    request: Request
    fingerprint: str
    deadline: Deadline
    noted: bool = False


class CommandIds:
    """Which ids were seen, and their replies. A request without an id is not remembered."""

    def __init__(self, journal: Journal, clock: Callable[[], Instant]) -> None:
        self._journal = journal
        self._clock = clock
        self._seen = SeenCommands()

    def restore(self, kept: Snapshot) -> None:
        """Know the ids of an earlier run. What had no reply may have been executed: it must not run again."""
        now = self._clock()
        for command in kept.commands:
            if command.retryable:
                continue
            unknown = Answer(Address("", command.verb, command.id), "timeout", CRASHED)
            reply = command.reply or unknown.payload(now.unix_ms)
            self._seen.put_back(command.id, command.fingerprint, now.seconds_at(command.unix_ms), reply)

    def find(self, request: Request) -> Entry | None:
        """What is known of this request's id."""
        return None if request.id is None else self._seen.find(request.id, self._clock().monotonic_s)

    def has_room(self, request: Request) -> bool:
        """Whether the id of a request can be remembered without forgetting one that is still needed."""
        return request.id is None or not self._seen.is_full(self._clock().monotonic_s)

    def open(self, accepted: Accepted) -> None:
        """Remember a request that has been let through."""
        if (request_id := accepted.request.id) is not None:
            self._seen.open(request_id, accepted.fingerprint, accepted.deadline.since.monotonic_s)

    def refuse(self, accepted: Accepted, payload: Json) -> None:
        """Remember a request that was refused at the door."""
        if (request_id := accepted.request.id) is not None:
            now_s = accepted.deadline.since.monotonic_s
            self._seen.refuse(request_id, accepted.fingerprint, payload, now_s)

    async def note(self, accepted: Accepted, within_s: float) -> None:
        """Write the id to the journal, before the PBX is asked.

        A repetition after a crash must not run the command again. Raises CommandError if the disk hangs.
        """
        if accepted.request.id is None:
            return
        self._keep(accepted, None)
        accepted.noted = True
        try:
            async with asyncio.timeout(within_s):
                await self._journal.kept_now()
        except TimeoutError:
            sentence = "writing to the state directory took too long; not executed"
            raise CommandError("timeout", sentence, retryable=True) from None

    def close(self, accepted: Accepted, payload: Json) -> tuple[Address, ...]:
        """Store the reply; the addresses of the duplicates that wait for it.

        A refusal that asks for a retry is for those that wait only: the retry runs. A command of which the
        PBX was not asked stays out of the journal: nothing was done.
        """
        if (request_id := accepted.request.id) is None:
            return ()
        if not accepted.noted:
            return self._seen.close_refused(request_id, payload)
        self._keep(accepted, payload)
        return self._seen.close(request_id, payload)

    def _keep(self, accepted: Accepted, reply: Json | None) -> None:
        request, unix_ms = accepted.request, self._clock().unix_ms
        command = KeptCommand(request.id or "", request.verb, unix_ms, reply, accepted.fingerprint)
        self._journal.command(command)
        self._journal.commit()
