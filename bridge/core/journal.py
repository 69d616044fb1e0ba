"""What must survive a crash, as values, and who hears of it. Here it is forgotten; store.py keeps it.

No I/O here. The journal of a link hears of every change in the order in which it happens; what was
said since the last `commit` is kept together or not at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.message import Json, Message


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event that the broker had not acknowledged; `number` is the outbox's name for it."""

    number: int
    message: Message
    unix_ms: int


@dataclass(frozen=True, slots=True)
class KeptCommand:
    """A request that was let through; without a reply it is not known whether it was carried out."""

    id: str
    verb: str
    unix_ms: int
    reply: Json | None


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier run left: user payloads by topic id, events and commands, oldest first."""

    users: Mapping[str, object] = field(default_factory=dict)
    events: tuple[KeptEvent, ...] = ()
    commands: tuple[KeptCommand, ...] = ()


class Journal:
    """Keeps nothing: what a link without a state directory has."""

    def kept(self) -> Kept:
        """What an earlier run left."""
        return Kept()

    def user(self, topic_id: str, payload: Json | None) -> None:
        """A user's state was told, or (None) cleared."""

    def event(self, event: KeptEvent) -> None:
        """An event waits for the broker."""

    def event_done(self, number: int) -> None:
        """The broker has an event, or it was dropped."""

    def command(self, command: KeptCommand) -> None:
        """A request was let through, or has got its reply."""

    def commit(self) -> None:
        """Keep all this, together."""

    def close(self) -> None:
        """Keep what is left and let go of the file."""
