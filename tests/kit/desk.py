"""A commander with everything but a broker and a PBX: requests go in, and what it would send comes out."""

import asyncio
from collections.abc import Sequence

from bridge.core.commands.answer import Address
from bridge.core.journal import MemoryJournal
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.records import Batch, LegRecord
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.link.commander import Commander
from bridge.link.mirror import Mirror
from bridge.link.performer import CommandSettings
from tests.core.builders import PEOPLE, leg
from tests.kit.pbx_session import FakePbxSession
from tests.kit.request_forms import SCOPE
from tests.kit.unpacked import unpacked

TURNS = 5
BASIC = CommandSettings()


class Desk:
    """A commander whose PBX is online, with these calls; some seconds pass with each message."""

    def __init__(
        self,
        settings: CommandSettings = BASIC,
        legs: Sequence[LegRecord] = (leg(),),
        *,
        step_s: int = 1,
    ) -> None:
        self.pbx = FakePbxSession()
        self.replies = 0
        self.crashes: list[Exception] = []
        self._step_s = step_s
        self._seconds = 0
        self._outbox = Outbox(Limits())
        self.mirror = Mirror(
            Topics("innovaphone", "hq"), SCOPE, self._outbox, epoch="e", clock=lambda: self.now
        )
        self.mirror.began(About())
        self.mirror.reported(Batch(users=PEOPLE, legs=tuple(legs), list_complete=True))
        self._commander = Commander(
            self.mirror,
            settings,
            MemoryJournal(),
            session=lambda: self.pbx,
            clock=lambda: self.now,
            events=self,
        )
        self._outbox.refresh([], 0.0)
        self._drained()
        self.worker = asyncio.create_task(self._commander.run())

    @property
    def now(self) -> Instant:
        """The present moment."""
        return Instant(1_795_000_000_000 + self._seconds * 1000, float(self._seconds))

    async def offer(self, incoming: Incoming) -> list[Message]:
        """Offer one message; what the bridge sends, once it has had its turns."""
        self._seconds += self._step_s
        self._commander.offer(incoming)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return self._drained()

    def _drained(self) -> list[Message]:
        """Everything in the outbox, sent and acknowledged."""
        sent = []
        while (item := self._outbox.take(float(self._seconds))) is not None:
            self._outbox.done(item[0])
            sent.append(unpacked(item[1]))
        assert self._outbox.idle
        return sent

    def replied(self, address: Address, code: str, reason: str, seconds: float) -> None:
        """Count the replies (CommandEvents)."""
        self.replies += 1

    def unanswered(self) -> None:
        """Each gets a reply: a second passes between two of them (CommandEvents)."""
        raise AssertionError

    def crashed(self, bug: Exception) -> None:
        """Note a bug (CommandEvents)."""
        self.crashes.append(bug)
