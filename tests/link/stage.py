"""A mirror with one more output, and a broker that takes all that it says."""

import asyncio

from bridge.core.journal import MemoryJournal
from bridge.core.message import Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.outputs import OUTPUTS
from bridge.core.records import Batch
from bridge.core.rules import Scope
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.link.mirror import Mirror
from tests.core.builders import PEOPLE
from tests.kit.unpacked import unpacked
from tests.link import missed_calls

TOPICS = Topics("innovaphone", "hq")


class Bus:
    """A mirror with one more output, and a broker that takes all that it says."""

    def __init__(self) -> None:
        self._ticks = 0
        self.journal = MemoryJournal()
        self.outbox = Outbox(Limits(), self.journal.event_done, signal=asyncio.Event())
        self.mirror = Mirror(
            TOPICS,
            Scope(),
            self.outbox,
            epoch="e",
            clock=self._now,
            journal=self.journal,
            outputs=(*OUTPUTS, missed_calls.OUTPUT),
        )
        self.retained: dict[str, object] = {}

    def start(self) -> "Bus":
        """A list of users, then a broker session."""
        self.mirror.began(About())
        self.mirror.reported(Batch(users=PEOPLE[:2], list_complete=True))
        self.mirror.refresh()
        self.said()
        return self

    def said(self) -> list[Message]:
        """What was sent since the last look, all of it acknowledged."""
        messages = []
        while (item := self.outbox.take(self._ticks)) is not None:
            self.outbox.done(item[0])
            messages.append(unpacked(item[1]))
        for message in messages:
            if message.payload is None:
                self.retained.pop(message.topic, None)
            elif message.retain:
                self.retained[message.topic] = message.payload
        return messages

    def _now(self) -> Instant:
        self._ticks += 1
        return Instant(1_795_000_000_000 + self._ticks, float(self._ticks))
