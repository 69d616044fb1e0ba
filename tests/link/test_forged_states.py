"""Somebody who may write our state topics leaves there what never was: it becomes no event of ours."""

import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import Program, configuration, pbx_section

pytestmark = pytest.mark.broker
INFO, ANNA = "innovaphone/hq/info", "innovaphone/hq/user/anna/state"
GHOST = "innovaphone/hq/user/ghost/state"
EPOCH = f"{time.time_ns() // 1_000_000 - 60_000:011x}0000abcd"


async def settled(bus: Observer) -> None:
    """The bridge is online, and all that is retained is the truth."""
    await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
    await bus.heard_all()


def forged(state: Any, call_id: str, started: str) -> Any:
    """A user's state with calls that never were."""
    call: dict[str, Any] = {
        "id": call_id,
        "started_at": started,
        "direction": "inbound",
        "state": "connected",
    }
    call["remote"] = {"number": "0900666"}
    last = {**call, "id": f"{call_id}1", "state": "ended", "ended_at": started}
    more = {"calls": [call], "last_call": last, "missed": 2**53, "time": "2999-01-01T00:00:00.000Z"}
    return {**state, **more}


def forge(bus: Observer, call_id: str, started: str) -> None:
    """Leave them there, of a user that is and of one that never was."""
    for topic, state in ((ANNA, bus.now(ANNA)), (GHOST, {**bus.now(ANNA), "guid": "ghost", "user": "ghost"})):
        bus.publish(topic, forged(state, call_id, started), retain=True)


def traces(bus: Observer) -> list[str]:
    """Events that tell of them."""
    return [json.dumps(event) for event in bus.events() if "0900666" in json.dumps(event)]


async def test_with_a_state_directory(broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path) -> None:
    """Not even with an id of our form: what the file knows is published again, the rest is cleared."""
    settings = configuration(broker.port, pbx_section(pbx), state_dir=str(tmp_path / "state"))
    program = Program(tmp_path, settings)
    await program.start()
    await settled(bus)
    await program.end(signal.SIGKILL)
    forge(bus, f"{EPOCH}-1", "2026-11-20T12:00:00.000Z")
    bus.forget(INFO)
    await program.start()
    await settled(bus)
    await eventually(lambda: bus.now(GHOST) is None, "who never was is cleared")
    await eventually(lambda: bus.now(ANNA)["missed"] == 0, "anna is as she is")
    _, log = await program.end(signal.SIGTERM)

    assert traces(bus) == []
    assert (bus.now(ANNA)["calls"], bus.now(ANNA)["last_call"]) == ([], None)
    assert "foreign states erased" in log


async def test_with_a_state_directory_that_is_new(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """A pod was replaced: a call of before that still runs keeps its id, one that ended gets its end."""
    settings = configuration(broker.port, pbx_section(pbx), state_dir=str(tmp_path / "state"))
    program = Program(tmp_path, settings)
    await program.start()
    await settled(bus)
    missed = pbx.ring("Anna M\u00fcller", "0123")
    await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")
    missed.hang_up()
    pbx.ring("Anna M\u00fcller", "0456").answer()
    ending = pbx.ring("Bert O'Neil", "0789")
    await eventually(lambda: {"missed", "answered"} <= set(bus.types("anna")), "anna missed one and talks")
    await eventually(lambda: "ringing" in bus.types("bert"), "bert rings")
    await bus.heard_all()
    running = bus.now(ANNA)["calls"][0]["id"]
    await program.end(signal.SIGTERM)
    ending.hang_up()
    (tmp_path / "state").rename(tmp_path / "lost")
    bus.forget(INFO)
    await program.start()
    await settled(bus)
    await eventually(lambda: bus.types("bert")[-1] == "ended", "the call of bert has its end")
    await program.end(signal.SIGTERM)

    assert ([call["id"] for call in bus.now(ANNA)["calls"]], bus.now(ANNA)["missed"]) == ([running], 1)
    assert bus.events("bert")[-1]["call"]["outcome"] == "lost"


@pytest.mark.parametrize(
    ("call_id", "started"),
    [("forged-1", "2026-11-20T12:00:00.000Z"), (f"{EPOCH}-1", "2999-01-01T00:00:00.000Z")],
    ids=["a foreign id", "an own id"],
)
async def test_without_a_state_directory(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, call_id: str, started: str
) -> None:
    """What cannot be ours is not believed; a call of our own survives beside it."""
    program = Program(tmp_path, configuration(broker.port, pbx_section(pbx)))
    await program.start()
    await settled(bus)
    call = pbx.ring("Bert O'Neil", "0123")
    await eventually(lambda: "ringing" in bus.types("bert"), "bert rings")
    await bus.heard_all()
    await program.end(signal.SIGKILL)
    call.hang_up()
    forge(bus, call_id, started)
    bus.forget(INFO)
    await program.start()
    await settled(bus)
    await eventually(lambda: bus.now(GHOST) is None, "who never was is cleared")
    await program.end(signal.SIGTERM)

    assert traces(bus) == []
    assert (bus.now(ANNA)["calls"], bus.now(ANNA)["last_call"]) == ([], None)
    assert bus.now(ANNA)["missed"] < 2**53
    assert [event["call"]["outcome"] for event in bus.events("bert") if event["call"]["ended_at"]] == ["lost"]


async def test_rows_of_other_topics_are_not_published(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """Somebody wrote into the file: what is not on a topic of this PBX's events is left out and deleted."""
    settings = configuration(broker.port, pbx_section(pbx), state_dir=str(tmp_path / "state"))
    program, file = Program(tmp_path, settings), tmp_path / "state" / "hq.sqlite3"
    await program.start()
    await settled(bus)
    await program.end(signal.SIGTERM)
    bus.judges = False  # what was planted on our own topic is published as it is
    planted = ("zigbee2mqtt/bridge/request/restart", "innovaphone/hq/state", "innovaphone/other/user/a/event")
    with sqlite3.connect(file) as db:
        rows = [
            (number, topic, b'{"planted":true}', time.time_ns() // 1_000_000)
            for number, topic in enumerate((*planted, "innovaphone/hq/user/anna/event"), 1000)
        ]
        db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
    db.close()
    await program.start()
    await eventually(lambda: any(b"planted" in seen.payload for seen in bus.messages), "ours is published")
    await settled(bus)
    await program.end(signal.SIGTERM)

    told = {seen.topic for seen in bus.messages if b"planted" in seen.payload}
    assert told == {"innovaphone/hq/user/anna/event"}
    with sqlite3.connect(file) as db:
        assert db.execute("SELECT count(*) FROM events WHERE number >= 1000").fetchone() == (0,)
    db.close()
