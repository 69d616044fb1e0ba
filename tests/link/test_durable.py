"""What a state directory adds: events, calls and command ids survive `kill -9` of the real program."""

import signal
from pathlib import Path

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.proxy import Proxy
from tests.running import Program, configuration, pbx_section

pytestmark = pytest.mark.broker
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"
ANNA = "innovaphone/hq/user/anna/state"


def settings(port: int, pbx: SimPbx, folder: Path) -> dict[str, object]:
    """A configuration with a state directory."""
    return configuration(port, pbx_section(pbx), state_dir=str(folder / "state"))


async def test_events_survive_a_crash_while_the_broker_is_away(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """The broker loses everything, the bridge is killed: each event comes, in order, one end a call."""
    program = Program(tmp_path, settings(broker.port, pbx, tmp_path))
    await program.start()
    await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
    call = pbx.ring("Anna Müller", "0123")
    await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")
    await bus.heard_all()
    before = len(bus.events("anna"))
    await broker.kill()
    call.answer()
    call.hang_up()
    await eventually(lambda: not call.legs, "the phone is on hook")
    pbx.ring("Anna Müller", "0456")
    await eventually(lambda: pbx.sessions.up_to_date, "the bridge has heard of it")
    await program.end(signal.SIGKILL)
    await broker.start()
    async with Observer(broker.port) as fresh:
        await program.start()
        await eventually(lambda: (fresh.now(INFO) or {}).get("settled"), "the bridge is settled again")
        first, *_, last = fresh.events("anna")
        assert (first["seq"], first["queued"]) == (before + 1, True)
        epoch = [event for event in fresh.events("anna") if event["epoch"] == first["epoch"]]
        assert [event["seq"] for event in epoch] == list(range(before + 1, before + 1 + len(epoch)))
        told = [event["event_type"] for event in epoch if event["event_type"] != "updated"]
        assert told == ["answered", "ended", "incoming", "ringing"]
        ends = [event["call"]["id"] for event in fresh.events("anna") if event["event_type"] == "ended"]
        assert len(ends) == 1
        assert last["call"]["remote"]["number"] == "0456"
        assert [one["id"] for one in fresh.now(ANNA)["calls"]] == [last["call"]["id"]]
        await program.end(signal.SIGTERM)


async def test_who_left_while_the_broker_was_away_stays_gone_after_a_crash(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """The broker still has her with her call; the file knows better: one end, and her topic is cleared."""
    async with Proxy(broker.port) as way:
        program = Program(tmp_path, settings(way.port, pbx, tmp_path))
        await program.start()
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
        pbx.ring("Anna M\u00fcller", "0123")
        await eventually(lambda: (bus.now(ANNA) or {}).get("call_state") == "ringing", "anna rings")
        way.refuse()
        way.reset()
        await eventually(lambda: bus.now(STATE) == "offline", "the broker has lost the bridge")
        pbx.remove_user("Anna M\u00fcller")
        await eventually(lambda: pbx.sessions.up_to_date, "the bridge has heard of it")
        await program.end(signal.SIGKILL)
        way.listen()
        await program.start()
        await eventually(lambda: bus.now(ANNA) is None, "anna is cleared")
        await eventually(lambda: bus.now(STATE) == "online", "the bridge is back")
        code, _ = await program.end(signal.SIGTERM)
    ids = {event["id"]: event["event_type"] for event in bus.events("anna")}
    assert sum(kind in {"ended", "missed"} for kind in ids.values()) == 1
    assert code == 0


async def test_a_command_is_not_repeated_after_a_crash(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """The id is known to the next run: one UserCall, the same reply, marked as a duplicate."""
    program = Program(tmp_path, settings(broker.port, pbx, tmp_path))
    await program.start()
    await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
    request = {"id": "c-1", "user": "anna", "number": "0123"}
    bus.publish("innovaphone/hq/command/call", request)
    await eventually(lambda: bus.replies("call"), "the reply came")
    await program.end(signal.SIGKILL)
    await eventually(lambda: bus.now(STATE) == "offline", "the will says offline")
    await program.start()
    await eventually(lambda: bus.now(STATE) == "online", "the bridge is back")
    bus.publish("innovaphone/hq/command/call", request)
    await eventually(lambda: len(bus.replies("call")) == 2, "the second reply came")

    first, second = bus.replies("call")
    assert second == {**first, "duplicate": True}
    assert len(pbx.requests("UserCall")) == 1
    await program.end(signal.SIGTERM)
