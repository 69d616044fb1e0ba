"""The values that must survive the end of a link, and the interface that records them. Must not do I/O.

A link records every change here, in order. All changes since the last `commit` are kept together or not at
all. `MemoryJournal` survives a reload; link/store.py has the one that survives a crash.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.message import Json, Message
from bridge.core.value import Value, evolve

COMMANDS_AT_MOST = 10_000


class KeptEvent(Value, frozen=True):
    """An event that the broker had not acknowledged. `number` identifies it in the outbox."""

    number: int
    message: Message
    unix_ms: int


@dataclass(frozen=True, slots=True)
class KeptCommand:
    """An accepted request. Without a reply it is unknown whether it was carried out.

    `fingerprint` identifies the request; it is empty in a file of 0.1.0.
    """

    id: str
    verb: str
    unix_ms: int
    reply: Json | None
    fingerprint: str = ""

    @property
    def retryable(self) -> bool:
        """It was refused for the moment only. A retry must run, so it is not remembered."""
        return (self.reply or {}).get("retryable") is True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of a journal: user payloads by topic id, events and commands, oldest first.

    `whole`: it holds every user that was published, so the retained states at the broker need not be trusted.
    """

    users: Mapping[str, object] = field(default_factory=dict)
    events: tuple[KeptEvent, ...] = ()
    commands: tuple[KeptCommand, ...] = ()
    whole: bool = False


class Journal(Protocol):
    """Records everything that must survive."""

    def kept(self) -> Snapshot:
        """What an earlier run recorded."""
        ...

    def user(self, topic_id: str, payload: Json | bytes | None) -> None:
        """A user's state was published, or (None) erased. Bytes are encoded JSON."""
        ...

    def leave(self, users: Callable[[], Mapping[str, Json]]) -> None:
        """The link ends. `users` renders the states of all users, for a journal that does not hold them."""
        ...

    def event(self, event: KeptEvent) -> None:
        """An event was queued for the broker."""
        ...

    def event_done(self, number: int) -> None:
        """An event was acknowledged by the broker, or dropped."""
        ...

    def command(self, command: KeptCommand) -> None:
        """A request goes to the PBX, or got its reply. A retryable refusal removes it."""
        ...

    def commit(self) -> None:
        """Keep all changes since the last commit. Returns at once; `kept_now` waits for it."""
        ...

    async def kept_now(self) -> None:
        """Wait until everything recorded so far is kept, or cannot be."""
        ...

    @property
    def behind(self) -> bool:
        """Something recorded is not kept yet. It should not be sent before it is."""
        ...

    def on_kept(self, call: Callable[[], None]) -> None:
        """Register a callback for whenever `behind` may have become false."""
        ...

    def on_lost(self, call: Callable[[], None]) -> None:
        """Register a callback that records the states of all users again; called when they were lost."""
        ...

    def close(self) -> None:
        """Keep what is left and close the file. Nothing is recorded after that."""
        ...

    async def closed(self) -> None:
        """Wait until the file is closed."""
        ...


def hand_over(kept: Snapshot, journal: Journal) -> None:
    """Append a snapshot of one journal to another journal."""
    there = journal.kept()
    last = max((event.number for event in there.events), default=0)
    for number, event in enumerate(kept.events, last + 1):
        journal.event(evolve(event, number=number))
    for command in kept.commands:
        journal.command(command)
    if kept.whole:
        for topic_id in there.users.keys() - kept.users.keys():
            journal.user(topic_id, None)
    for topic_id, payload in kept.users.items():
        journal.user(topic_id, payload if isinstance(payload, dict) else None)
    journal.commit()


class MemoryJournal:
    """For a link without a state directory: survives a reload or a crash of the link, not of the process."""

    def __init__(self) -> None:
        self._left: dict[str, Json] = {}
        self._whole = False
        self._events: dict[int, KeptEvent] = {}
        self._commands: dict[str, KeptCommand] = {}

    def kept(self) -> Snapshot:
        """See Journal. It holds users only after a link has ended; until then the broker alone does."""
        events, commands = tuple(self._events.values()), tuple(self._commands.values())
        return Snapshot(dict(self._left), events, commands, self._whole)

    def user(self, topic_id: str, payload: Json | bytes | None) -> None:  # noqa: ARG002  (the link keeps it)
        """See Journal."""
        self._left.pop(topic_id, None)

    def leave(self, users: Callable[[], Mapping[str, Json]]) -> None:
        """See Journal."""
        self._left, self._whole = dict(users()), True

    def event(self, event: KeptEvent) -> None:
        """See Journal."""
        self._events[event.number] = event

    def event_done(self, number: int) -> None:
        """See Journal."""
        self._events.pop(number, None)

    def command(self, command: KeptCommand) -> None:
        """See Journal. The newest `COMMANDS_AT_MOST` are kept."""
        self._commands.pop(command.id, None)
        if not command.retryable:
            self._commands[command.id] = command
        if len(self._commands) > COMMANDS_AT_MOST:
            del self._commands[next(iter(self._commands))]

    def commit(self) -> None:
        """See Journal: memory needs none."""

    async def kept_now(self) -> None:
        """See Journal."""

    @property
    def behind(self) -> bool:
        """See Journal."""
        return False

    def on_kept(self, call: Callable[[], None]) -> None:
        """See Journal: it is never behind."""

    def on_lost(self, call: Callable[[], None]) -> None:
        """See Journal: memory loses nothing."""

    def close(self) -> None:
        """See Journal."""

    async def closed(self) -> None:
        """See Journal."""
