"""A broker that is slower than the PBX: the PBX is asked for no more until it keeps up, not for long."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
from prometheus_client import CollectorRegistry

from bridge.core.backend import PbxSession
from bridge.core.message import Message
from bridge.core.outbox import CROWD_AT_MOST
from bridge.core.records import Batch
from bridge.link import pbx
from bridge.link.pbx import PbxSide
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from tests.core.builders import leg
from tests.link.stage import Bus


def _no_pbx(_attempt: int) -> AbstractAsyncContextManager[PbxSession]:
    raise AssertionError("these tests open no session")


def side(bus: Bus) -> PbxSide:
    """The PBX's half of a link."""
    return PbxSide(
        _no_pbx,
        bus.mirror,
        bus.journal,
        observer=Observer("hq", Metrics(CollectorRegistry()), Bugs(lambda _: None)),
        alive=lambda: None,
        later=lambda *_: None,
        end_grace_s=1.0,
    )


def crowded() -> Bus:
    """More events wait for the broker than it should have to take."""
    bus = Bus().start()
    for _ in range(CROWD_AT_MOST + 1):
        bus.outbox.put_event(Message("event", b"{}"), 0.0)
    return bus


async def test_the_next_poll_waits_until_the_broker_keeps_up() -> None:
    """It goes on with the first acknowledgement that makes room."""
    bus = crowded()
    waiting = asyncio.create_task(side(bus).kept())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    item = bus.outbox.take(0.0)
    assert item is not None
    bus.outbox.done(item[0])
    async with asyncio.timeout(5):
        await waiting


def test_an_event_never_comes_before_its_state() -> None:
    """Whatever waits besides, and whatever was sent last."""
    bus = Bus().start()
    for topic in "abc":
        bus.outbox.put_state(Message(topic, b"{}", retain=True), 0.0)
    assert bus.outbox.take(0.0) is not None
    bus.mirror.reported(Batch(legs=(leg(),)))
    topics = [message.topic.partition("/user/")[2] for message in bus.said() if "/user/" in message.topic]
    assert topics == [f"{topics[0].partition('/')[0]}/{each}" for each in ("state", "event")]


@pytest.mark.parametrize("is_away", [False, True])
async def test_a_poll_is_not_held_back_for_long(monkeypatch: pytest.MonkeyPatch, *, is_away: bool) -> None:
    """Nor at all while the broker is away: the PBX would end the session, and its events would be lost."""
    monkeypatch.setattr(pbx, "CROWDED_S", 60.0 if is_away else 0.01)
    bus = crowded()
    if is_away:
        bus.outbox.disconnected(0.0)
    async with asyncio.timeout(5):
        await side(bus).kept()
    assert len(bus.outbox) == CROWD_AT_MOST + 1
