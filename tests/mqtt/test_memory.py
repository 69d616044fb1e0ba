"""What an earlier run told is read back where retained messages come late, or not for wildcards."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from bridge import clock
from bridge.core.message import Message
from bridge.core.restore import Memory
from bridge.core.retained import Retained
from bridge.core.rules import Scope
from bridge.core.topics import Topics
from bridge.errors import SessionLost
from bridge.link.recall import Recall
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import Program, configuration, pbx_section

STATE, INFO, ANNA = "innovaphone/hq/state", "innovaphone/hq/info", "innovaphone/hq/user/anna/event"
BERT = "innovaphone/hq/user/bert/state"
USUAL = Habits(keeps=True)
LATE = Habits(keeps=True, retained_s=0.15)
EXACT = Habits(keeps=True, keeps_for_wildcards=False)
TOO_LATE = Habits(keeps=True, retained_s=0.8)
EXACT_LATE = Habits(keeps=True, keeps_for_wildcards=False, retained_s=0.15)


def events(peer: Peer) -> list[Any]:
    """Anna's events."""
    return [json.loads(payload) for payload in peer.payloads(ANNA)]


async def settled(peer: Peer, since: int = 0) -> None:
    """Wait until all calls are known, after so many publishes."""
    await eventually(
        lambda: any(
            each.topic == INFO and b'"settled":true' in each.payload for each in peer.publishes[since:]
        ),
        "all is known",
    )


@pytest.mark.parametrize(
    ("habits", "protocol"),
    [(USUAL, "5"), (LATE, "3.1.1"), (EXACT, "5"), (EXACT_LATE, "3.1.1")],
    ids=["usual", "late", "exact", "exact and late"],
)
async def test_a_call_that_ended_during_a_crash(
    pbx: SimPbx, tmp_path: Path, habits: Habits, protocol: str
) -> None:
    """It gets its end, once; who was deleted meanwhile vanishes where the broker tells of him."""
    async with Peer(habits) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = protocol
        program = Program(tmp_path, settings)
        await program.start()
        await settled(peer)
        call = pbx.ring("Anna Müller", "0123")
        await eventually(lambda: b'"ringing"' in peer.kept["innovaphone/hq/user/anna/state"], "it rings")
        await program.end(signal.SIGKILL)
        call.hang_up()
        pbx.remove_user("Bert O'Neil")
        before = len(peer.publishes)
        await program.start()
        await settled(peer, before)
        await eventually(lambda: events(peer)[-1]["event_type"] in {"missed", "ended"}, "the call ends")
        _, log = await program.end(signal.SIGTERM)

    told = events(peer)
    assert len({event["call"]["id"] for event in told}) == 1
    assert [event["call"]["outcome"] for event in told if event["call"]["outcome"]] == ["lost"]
    assert (peer.kept[BERT] == b"") == habits.keeps_for_wildcards
    assert ("set state_dir" in log) != habits.keeps_for_wildcards


@pytest.mark.parametrize("habits", [USUAL, EXACT], ids=["usual", "exact"])
async def test_a_new_state_directory(pbx: SimPbx, tmp_path: Path, habits: Habits) -> None:
    """It holds nobody, so the broker is asked for all, topic by topic too: a call that runs goes on."""
    async with Peer(habits) as peer:
        settings = configuration(peer.port, pbx_section(pbx), state_dir=str(tmp_path / "old"))
        program = Program(tmp_path, settings)
        await program.start()
        await settled(peer)
        call = pbx.ring("Anna Müller", "0123")
        await eventually(lambda: b'"ringing"' in peer.kept["innovaphone/hq/user/anna/state"], "it rings")
        await program.end(signal.SIGKILL)
        program.file.write_text(json.dumps({**settings, "state_dir": str(tmp_path / "new")}))
        before = len(peer.publishes)
        await program.start()
        await settled(peer, before)
        call.hang_up()
        await eventually(lambda: events(peer)[-1]["event_type"] in {"missed", "ended"}, "the call ends")
        await program.end(signal.SIGTERM)
    assert len({event["call"]["id"] for event in events(peer)}) == 1


async def test_nothing_to_remember(pbx: SimPbx, tmp_path: Path) -> None:
    """The first start asks the PBX once; one that was here and told of nobody asks once more, and is well."""
    async with Peer(USUAL) as peer:
        program = Program(tmp_path, configuration(peer.port, pbx_section(pbx)))
        await program.start()
        await settled(peer)
        assert len(pbx.requests("Initialize")) == 1
        await program.end(signal.SIGKILL)
        peer.kept = {STATE: b"offline"}
        before = len(peer.publishes)
        await program.start()
        await settled(peer, before)
        assert len(pbx.requests("Initialize")) == 3
        _, log = await program.end(signal.SIGTERM)
    assert "set state_dir" not in log


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_what_comes_too_late_is_no_command(pbx: SimPbx, tmp_path: Path, protocol: str) -> None:
    """Retained states that come when we do not wait for them any more: they are not cleared, nor answered."""
    async with Peer(USUAL) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = protocol
        program = Program(tmp_path, settings)
        await program.start()
        await settled(peer)
        await program.end(signal.SIGKILL)
        peer.habits = TOO_LATE
        before = len(peer.publishes)
        await program.start()
        await settled(peer, before)
        peer.send_publish(BERT, peer.kept[BERT], retain=True)
        peer.send_publish("innovaphone/hq/command/ping", b'{"id": "last"}')
        await eventually(lambda: peer.payloads("innovaphone/hq/response/ping"), "all before is read")
        await program.end(signal.SIGTERM)
    assert [each.topic for each in peer.publishes if not each.payload and "/user/" in each.topic] == []
    assert peer.payloads("innovaphone/hq/response/") == []


async def test_memory_that_may_not_be_read(pbx: SimPbx, tmp_path: Path) -> None:
    """A state that the broker refuses to tell does not keep us from serving; what it tells is remembered."""
    async with Peer(Habits(keeps=True, keeps_for_wildcards=False, refuses=frozenset({BERT}))) as peer:
        peer.kept = {STATE: b"offline"}
        program = Program(tmp_path, configuration(peer.port, pbx_section(pbx)))
        await program.start()
        await settled(peer)
        _, log = await program.end(signal.SIGTERM)
    assert "refuses to deliver the retained states" in log


async def test_quiet_on_a_lost_connection_is_no_memory() -> None:
    """What the broker had no time to tell is not forgotten: it is asked again."""
    async with Peer(EXACT) as peer:
        topics = Topics("innovaphone", "hq")
        settings = BrokerSettings("127.0.0.1", peer.port, "test")
        async with connect(settings, Message(topics.state, "offline", retain=True)) as connection:
            recall = Recall(topics, ["anna"], Retained(Memory(), Scope(), clock.now))
            reading = asyncio.create_task(recall.read(connection))
            await eventually(lambda: peer.subscribed, "it asks")
            peer.disconnect(0x8B)
            with pytest.raises(SessionLost):
                await reading
