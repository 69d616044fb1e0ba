"""What must survive, as values, and who hears of it: here over a reload, in store.py over a crash.

No I/O here. The journal of a link hears of every change in the order in which it happens; what was
said since the last `commit` is kept together or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from bridge.core.message import Json, Message

COMMANDS_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that the broker had not acknowledged; `number` is the outbox's name for it."""

    number: int
    message: Message
    unix_ms: int


@dataclass(frozen=True, slots=True)
class KeptCommand:
    """A request that was let through; without a reply it is not known whether it was carried out.

    `fingerprint` says which request it was; it is empty in a file of 0.1.0.
    """

    id: str
    verb: str
    unix_ms: int
    reply: Json | None
    fingerprint: str = ""

    @property
    def retryable(self) -> bool:
        """It was refused for a while only: the retry runs, so that nothing is to be remembered."""
        return (self.reply or {}).get("retryable") is True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an earlier run left: user payloads by topic id, events and commands, oldest first.

    `whole`: this is a memory of all users that were published, so that the broker need not be believed.
    """

    users: Mapping[str, object] = field(default_factory=dict)
    events: tuple[KeptEvent, ...] = ()
    commands: tuple[KeptCommand, ...] = ()
    whole: bool = False


class Journal(Protocol):
    """Hears of everything that must survive."""

    def kept(self) -> Snapshot:
        """What an earlier run left."""
        ...

    def user(self, topic_id: str, payload: Json | None) -> None:
        """A user's state was told, or (None) cleared."""
        ...

    def leave(self, users: Callable[[], Mapping[str, Json]]) -> None:
        """The link ends, and these are the states of all its users, for a journal that has none."""
        ...

    def event(self, event: KeptEvent) -> None:
        """An event waits for the broker."""
        ...

    def event_done(self, number: int) -> None:
        """The broker has an event, or it was dropped."""
        ...

    def command(self, command: KeptCommand) -> None:
        """A request goes to the PBX, or has got its reply; it is forgotten when that asks for a retry."""
        ...

    def commit(self) -> None:
        """Keep all this, together. Returns at once; `kept_now` waits for it."""
        ...

    async def kept_now(self) -> None:
        """Return when all that was said before is kept, or cannot be."""
        ...

    @property
    def behind(self) -> bool:
        """A state or an event is not kept yet: it should not be sent before that."""
        ...

    def on_kept(self, call: Callable[[], None]) -> None:
        """Call this whenever `behind` may have become false."""
        ...

    def on_lost(self, call: Callable[[], None]) -> None:
        """Call this when the states that were kept are lost: it says those of all users again."""
        ...

    def close(self) -> None:
        """Keep what is left and let go of the file; what is said after that is not kept."""
        ...

    async def closed(self) -> None:
        """Return when the file has been let go of."""
        ...


def hand_over(kept: Snapshot, journal: Journal) -> None:
    """Add what one journal kept to another one, behind what that one has kept."""
    there = journal.kept()
    last = max((event.number for event in there.events), default=0)
    for number, event in enumerate(kept.events, last + 1):
        journal.event(replace(event, number=number))
    for command in kept.commands:
        journal.command(command)
    if kept.whole:
        for topic_id in there.users.keys() - kept.users.keys():
            journal.user(topic_id, None)
    for topic_id, payload in kept.users.items():
        journal.user(topic_id, payload if isinstance(payload, dict) else None)
    journal.commit()


class MemoryJournal:
    """What a link without a state directory has: survives a reload or a bug of the link, not the process."""

    def __init__(self) -> None:
        self._left: dict[str, Json] = {}
        self._whole = False
        self._events: dict[int, KeptEvent] = {}
        self._commands: dict[str, KeptCommand] = {}

    def kept(self) -> Snapshot:
        """See Journal; before the first link ends, the broker's memory is the only one of users."""
        events, commands = tuple(self._events.values()), tuple(self._commands.values())
        return Snapshot(dict(self._left), events, commands, self._whole)

    def user(self, topic_id: str, payload: Json | None) -> None:  # noqa: ARG002  (the link keeps it)
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
        """See Journal. As many are kept as a ledger knows, the newest."""
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
