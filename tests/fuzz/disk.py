"""A journal whose commits survive a killed run, as a file would; the rest is forgotten with the run."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from bridge.core.journal import KeptCommand, KeptEvent, Snapshot
from bridge.core.message import Json, Message
from bridge.mqtt.encode import body, encode


class Disk:
    """What the file holds. Payloads are kept as the bytes that a file would have."""

    def __init__(self) -> None:
        self.users: dict[str, bytes] = {}
        self.events: dict[int, tuple[str, bytes, int]] = {}

    def read(self) -> Snapshot:
        """What an earlier run left."""
        events = [
            KeptEvent(number, Message(topic, orjson.loads(payload)), unix_ms)
            for number, (topic, payload, unix_ms) in sorted(self.events.items())
        ]
        users = {topic: orjson.loads(payload) for topic, payload in self.users.items()}
        return Snapshot(users, tuple(events), whole=True)


class DiskJournal:
    """One run's hand on the disk: see bridge.core.journal.Journal."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._pending: list[tuple[str, Any, Any]] = []

    def killed(self) -> None:
        """The run is killed: whatever its code still does, nothing reaches the disk."""
        self._disk = Disk()

    def kept(self) -> Snapshot:
        """What an earlier run left."""
        return self._disk.read()

    def user(self, topic_id: str, payload: Json | bytes | None) -> None:
        """A user's state was told, or (None) cleared."""
        self._pending.append(("user", topic_id, None if payload is None else body(payload)))

    def leave(self, users: Callable[[], Mapping[str, Json]]) -> None:
        """All states are on the disk already."""

    def event(self, event: KeptEvent) -> None:
        """An event waits for the broker."""
        row = event.message.topic, encode(event.message), event.unix_ms
        self._pending.append(("event", event.number, row))

    def event_done(self, number: int) -> None:
        """The broker has an event, or it was dropped."""
        self._pending.append(("event", number, None))

    def command(self, command: KeptCommand) -> None:
        """No requests in these histories."""

    def commit(self) -> None:
        """Keep all this, together."""
        for kind, key, value in self._pending:
            rows: dict[Any, Any] = self._disk.users if kind == "user" else self._disk.events
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        self._pending.clear()

    async def kept_now(self) -> None:
        """A commit is kept at once."""

    @property
    def behind(self) -> bool:
        """Never: a commit is kept at once."""
        return False

    def on_kept(self, call: Callable[[], None]) -> None:
        """It is never behind."""

    def on_lost(self, call: Callable[[], None]) -> None:
        """See Journal: this disk loses nothing."""

    def close(self) -> None:
        """A killed run closes nothing."""

    async def closed(self) -> None:
        """A killed run closes nothing."""
