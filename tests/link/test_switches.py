"""Boolean objects at a simulated PBX: the value in the state, an event for each change, never a call."""

from functools import partial

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
STATE = "innovaphone/hq/user/night/state"
VALUES = ((False, True), (True, True), (True, False), (False, False))


def value(bus: Observer) -> dict[str, object] | None:
    """The switch in the state of the object."""
    state = bus.now(STATE) or {}
    switch: dict[str, object] | None = state.get("switch")
    return switch


def wanted(*, manual: bool, on: bool) -> dict[str, object]:
    """The value as the topics show it."""
    return {"mode": "manual" if manual else "auto", "on": on}


async def settled(bus: Observer) -> None:
    """All users and their calls are known."""
    await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")


def _told(bus: Observer, count: int) -> bool:
    """So many changes have been told."""
    return len(bus.events("night")) == count


async def test_every_value_is_told_once(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """What it is at the start is no event; each change is one, with the value and without a call."""
    pbx.switch("Night", manual=False, on=False)
    async with bridge(configuration(broker.port, pbx_section(pbx), commands={"allow": ["basic", "query"]})):
        await settled(bus)
        assert value(bus) == wanted(manual=False, on=False)
        assert not bus.types("night")
        for count, (manual, on) in enumerate(VALUES, start=1):
            pbx.switch("Night", manual=manual, on=on)
            await eventually(partial(_told, bus, count), "the change is told")
            assert value(bus) == bus.events("night")[-1]["switch"] == wanted(manual=manual, on=on)
        pbx.switch("Night", manual=False, on=False)
        bus.publish("innovaphone/hq/user/night/command/calls", "")
        await eventually(lambda: bus.replies("calls"), "the PBX was asked for its calls")

        assert bus.types("night") == ["switched"] * len(VALUES), "the same value again is no change"
        assert {event["call"] for event in bus.events("night")} == {None}
        assert bus.now(STATE)["calls"] == []
        assert bus.replies("calls")[0]["result"] == {"calls": [], "left_out": 0}


async def test_a_switch_that_moved_meanwhile_is_told(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """While the session was lost, or the bridge away; what did not move is not told again."""
    pbx.switch("Night", manual=False, on=True)
    settings = configuration(broker.port, pbx_section(pbx))
    async with bridge(settings):
        await settled(bus)
        pbx.kill_sessions()
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session begins")
        pbx.switch("Night", manual=True, on=True)
        await eventually(lambda: bus.types("night") == ["switched"], "the change is told")
        await settled(bus)
    pbx.switch("Night", manual=True, on=False)
    async with bridge(settings):
        await eventually(
            lambda: bus.types("night") == ["switched"] * 2, "and that of the time without a bridge"
        )
        await settled(bus)
    async with bridge(settings):
        await eventually(lambda: len(pbx.requests("Initialize")) == 4, "it is started again")
        await settled(bus)
        pbx.switch("Night", manual=False, on=False)
        await eventually(lambda: len(bus.types("night")) > 2, "the last change is told")

    assert bus.types("night") == ["switched"] * 3
    assert value(bus) == wanted(manual=False, on=False)
