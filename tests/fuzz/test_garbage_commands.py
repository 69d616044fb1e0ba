"""Garbage on the command topics: one refusal each, nothing at the PBX, nothing kept.

FUZZ=long offers a hundred thousand messages.
"""

import os
from random import Random

import pytest

from bridge.core.message import Incoming, Message
from bridge.mqtt.encode import encode
from tests.fuzz import garbage
from tests.fuzz.garbage import VALID, Garbage
from tests.fuzz.memory import GROWTH_AT_MOST, Memory
from tests.kit.desk import Desk

COUNT = 100_000 if os.environ.get("FUZZ") == "long" else 5_000
SEED = 42
LONGEST_REPLY = 2**13
CODES = frozenset(
    (
        *("retained", "malformed", "unknown_verb", "invalid", "expired", "duplicate", "not_permitted"),
        *("number_not_allowed", "rate_limited", "unknown_user", "unknown_call"),
    )
)
"""The contract's codes, but for those that only a PBX can be the reason of."""


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
