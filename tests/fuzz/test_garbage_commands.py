"""Garbage on the command topics: one refusal each, nothing at the PBX, nothing kept.

FUZZ=long offers a hundred thousand messages.
"""

import asyncio
import os
from random import Random

import pytest

from bridge.core.commands.answer import Address
from bridge.core.journal import MemoryJournal
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.records import Batch
from bridge.core.rules import Scope
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.link.commander import Commander
from bridge.link.mirror import Mirror
from bridge.link.performer import CommandSettings
from bridge.mqtt.encode import encode
from tests.core.builders import PEOPLE, leg
from tests.fuzz import garbage
from tests.fuzz.garbage import VALID, Garbage
from tests.fuzz.memory import GROWTH_AT_MOST, Memory
from tests.kit.pbx_session import FakePbxSession

COUNT = 100_000 if os.environ.get("FUZZ") == "long" else 5_000
SEED = 42
TURNS = 5
LONGEST_REPLY = 2**13
CODES = frozenset(
    (
        *("retained", "malformed", "unknown_verb", "invalid", "expired", "duplicate", "not_permitted"),
        *("number_not_allowed", "rate_limited", "unknown_user", "unknown_call"),
    )
)
"""The contract's codes, but for those that only a PBX can be the reason of."""


class Desk:
    """A commander whose PBX is online, with Anna on the phone; a second passes with each message."""

    def __init__(self) -> None:
        self.pbx = FakePbxSession()
        self.replies = 0
        self.crashes: list[Exception] = []
        self._seconds = 0
        self._outbox = Outbox(Limits())
        topics = Topics("innovaphone", "hq")
        mirror = Mirror(topics, Scope(), self._outbox, epoch="e", clock=self._now)
        mirror.began(About())
        mirror.reported(Batch(users=PEOPLE, legs=(leg(),), list_complete=True))
        self._commander = Commander(
            mirror,
            CommandSettings(),
            MemoryJournal(),
            session=lambda: self.pbx,
            clock=self._now,
            events=self,
        )
        self._outbox.refresh([], 0.0)
        self._drained()
        self.worker = asyncio.create_task(self._commander.run())

    async def offer(self, incoming: Incoming) -> list[Message]:
        """Offer one message; what the bridge sends, once it has had its turns."""
        self._seconds += 1
        self._commander.offer(incoming)
        for _ in range(TURNS):
            await asyncio.sleep(0)
        return self._drained()

    def _drained(self) -> list[Message]:
        """Everything in the outbox, sent and acknowledged."""
        sent = []
        while (item := self._outbox.take(float(self._seconds))) is not None:
            self._outbox.done(item[0])
            sent.append(item[1])
        assert self._outbox.idle
        return sent

    def _now(self) -> Instant:
        return Instant(1_795_000_000_000 + self._seconds * 1000, float(self._seconds))

    def replied(self, address: Address, code: str, reason: str, seconds: float) -> None:
        """Count the replies (CommandEvents)."""
        self.replies += 1

    def unanswered(self) -> None:
        """Each gets a reply: a second passes between two of them (CommandEvents)."""
        raise AssertionError

    def crashed(self, bug: Exception) -> None:
        """Note a bug (CommandEvents)."""
        self.crashes.append(bug)


@pytest.mark.parametrize("verb", VALID)
async def test_what_is_not_broken_reaches_the_pbx(verb: str) -> None:
    """Else the garbage would prove nothing."""
    desk = Desk()
    sent = await desk.offer(garbage.message(verb, VALID[verb]))
    desk.worker.cancel()

    assert desk.pbx.asked == [verb]
    assert [_payload(message)["status"] for message in sent if not message.retain] == ["ok"]


async def test_garbage_gets_one_refusal_each_and_goes_nowhere() -> None:
    """Any bytes on any topic; memory stays flat, the worker lives on."""
    desk, memory = Desk(), Memory(COUNT)
    for number in range(COUNT):
        made = garbage.make(Random(SEED + number))  # noqa: S311  (not a secret)
        try:
            await _refused(desk, made)
        except Exception as error:
            raise AssertionError(f"seed {SEED + number}: {repr(made)[:500]}") from error
        memory.after(number + 1)

    assert not desk.worker.done()
    desk.worker.cancel()
    assert desk.crashes == []
    assert memory.growth < GROWTH_AT_MOST


async def _refused(desk: Desk, made: Garbage) -> None:
    incoming, before = made.incoming, desk.replies
    sent = await desk.offer(incoming)
    replies = [message for message in sent if not message.retain]
    clearings = [message for message in sent if message.retain]
    assert len(replies) == made.replies == desk.replies - before
    assert desk.pbx.asked == []
    for reply in replies:
        _check_reply(reply, incoming)
    assert [(each.topic, each.payload) for each in clearings] == [(incoming.topic, None)] * (
        incoming.retain and made.replies
    )


def _check_reply(reply: Message, incoming: Incoming) -> None:
    """Says no, can be sent, and goes where the request wanted it if that is allowed."""
    payload = _payload(reply)
    assert (payload["status"], payload["code"] in CODES) == ("error", True), payload["code"]
    assert len(encode(reply)) < LONGEST_REPLY
    assert reply.qos == 1
    wanted = incoming.response_topic
    if wanted is not None and wanted not in garbage.RESPONSES:
        assert (reply.topic, reply.correlation) == (wanted, incoming.correlation)
    else:
        assert (reply.topic, reply.correlation) == (f"{garbage.ROOT}/response/{payload['verb']}", None)


def _payload(message: Message) -> dict[str, object]:
    assert isinstance(message.payload, dict)
    return message.payload
