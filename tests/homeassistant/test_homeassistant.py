"""The bridge beside Home Assistant itself: what it finds, what it does, and that nothing is left over."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.homeassistant.place import ROOT, installed
from tests.homeassistant.server import HomeAssistant, home_assistant
from tests.running import FAST, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
EXAMPLE = ROOT / "config" / "examples" / "home-assistant.yaml"
HOUSE = Path(__file__).with_name("house.yaml")
ALL = (("all", False),)
STAFF = (
    SimUser("API", "api", groups=(("all", True),)),
    SimUser("Anna Müller", "anna", "21", "Anna", groups=ALL),
    SimUser("Bert O'Neil", "bert", "22", "Bert", groups=ALL),
    SimUser("Carla & Co", "carla/x", "23", "Carla", groups=ALL),
    SimUser("Door station", "door", "30", "Door", groups=ALL),
    SimUser("Night", "night", object="bool", type="", groups=ALL),
)
EXPOSED = [
    {"exclude": True, "short_name": "carla/x"},
    {"exclude": True, "short_name": "api"},
    {"number": "*"},
]
OFF, ON = "off", "on"
LAST_CALL = "sensor.hq_anna_last_call_end"
LINK = "binary_sensor.hq_link"
RINGING, CALL, MUSIC = "binary_sensor.hq_anna_ringing", "event.hq_anna_call", "media_player.living_room"
PHONE = (
    "binary_sensor.*_in_call",
    "binary_sensor.*_registered",
    "binary_sensor.*_ringing",
    "button.*_hang_up",
    "event.*_call",
    "select.*_presence",
    "sensor.*_call_state",
    "sensor.*_last_call_end",
    "sensor.*_last_caller",
    "sensor.*_missed",
    "text.*_dial",
    "text.*_note",
)
OF_ANNA = ("button.*_answer", "text.*_forward_always", "text.*_forward_busy", "text.*_forward_no_answer")
"""Entities of all phones; and those whose command is permitted for anna only."""


@pytest.fixture
async def ha(broker: Mosquitto, tmp_path: Path) -> AsyncIterator[HomeAssistant]:
    """Home Assistant with our automations, connected to the broker."""
    packages = {"phones": EXAMPLE.read_text(), "house": HOUSE.read_text()}
    async with installed() as root, home_assistant(root, tmp_path, packages, broker.port) as running:
        yield running


@pytest.fixture
async def pbx() -> AsyncIterator[SimPbx]:
    """A PBX with a door station."""
    async with SimPbx(STAFF, FAST) as running:
        yield running


def settings(broker: Mosquitto, pbx: SimPbx, **changes: Any) -> dict[str, Any]:
    """Two people, a door station and a switch appear."""
    discovery = {"discovery": "device", "users": EXPOSED, **changes}
    only_anna = {"verbs": ["answer", "forward"], "users": [{"short_name": "anna"}]}
    return configuration(
        broker.port,
        pbx_section(pbx, forwards=True),
        homeassistant=discovery,
        commands={"allow": ["basic", only_anna]},
    )


async def test_phones_appear_and_call(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, ha: HomeAssistant
) -> None:
    """Everything a person sees and does, one thing after the other: a start of Home Assistant is dear."""
    async with bridge(settings(broker, pbx)):
        await devices_are_found(ha)
        await a_ringing_call_is_shown_and_missed(pbx, ha)
        await the_door_station_flashes_the_light(pbx, ha)
        await a_number_is_dialled_and_the_music_pauses(pbx, ha)
        await a_call_is_answered(pbx, ha)
        await presence_is_shown_and_set(pbx, ha)
        await a_diversion_is_shown_and_set(ha)
        await a_switch_is_shown(pbx, ha)
        found = set(ha.entities)
    await eventually(lambda: ha.state(LINK) == OFF, "the bridge is gone")
    await eventually(lambda: ha.state(RINGING) == "unavailable", "its entities are unavailable")
    async with bridge(settings(broker, pbx)):
        await eventually(lambda: ha.state(LINK) == ON, "the bridge is back")
        await eventually(lambda: ha.state(RINGING) == OFF, "its entities are back")
        await eventually(lambda: ha.state("sensor.hq_anna_missed") == "2", "missed calls are still counted")
        assert ha.entities == found
        pbx.remove_user("Anna Müller")
        await eventually(lambda: not of("anna", ha), "nothing is left of anna")
    pbx.remove_user("Bert O'Neil")
    async with bridge(settings(broker, pbx)):
        await eventually(lambda: not of("bert", ha), "nothing is left of bert, removed meanwhile")
        assert set(await ha.devices()) == {"PBX hq", "Door", "Night"}
        assert len(discovery_topics(bus)) == 3
    await the_mode_is_changed(broker, bus, pbx, ha)
    await discovery_ends(broker, bus, pbx, ha)
    assert warnings(ha) == []


async def devices_are_found(ha: HomeAssistant) -> None:
    """One for the PBX, one for each exposed user below it; entities for commands only where permitted."""
    await eventually(lambda: ha.state(LINK) == ON, "the PBX is there")
    await eventually(lambda: ha.state("binary_sensor.hq_night_switch") == OFF, "the last user is there")
    await eventually(lambda: ha.state(RINGING) == OFF, "anna is there")
    devices = await ha.devices()
    assert set(devices) == {"PBX hq", "Anna", "Bert", "Door", "Night"}
    below = {name for name, one in devices.items() if one["via_device_id"] == devices["PBX hq"]["id"]}
    assert below == {"Anna", "Bert", "Door", "Night"}
    assert ha.entities >= {LINK, "sensor.hq_calls", "button.hq_resync"}
    assert of("anna", ha) == {each.replace("*", "hq_anna") for each in PHONE + OF_ANNA}
    assert of("bert", ha) == {each.replace("*", "hq_bert") for each in PHONE}
    assert of("night", ha) == {"binary_sensor.hq_night_switch", "event.hq_night_call"}
    assert not of("carla", ha)


async def a_ringing_call_is_shown_and_missed(pbx: SimPbx, ha: HomeAssistant) -> None:
    """Who calls, while it rings and afterwards."""
    call = pbx.ring("Anna Müller", "0123", "ACME")
    await eventually(lambda: ha.state(RINGING) == ON, "anna rings")
    await eventually(lambda: ha.attribute(CALL, "event_type") == "ringing", "there was an event")
    assert ha.attribute(CALL, "call")["remote"]["number"] == "0123"
    await eventually(lambda: ha.state("sensor.hq_anna_call_state") == "ringing", "the state says so too")
    await eventually(lambda: ha.state("sensor.hq_anna_last_caller") == "ACME", "and who it is")
    call.hang_up()
    await eventually(lambda: ha.attribute(CALL, "event_type") == "missed", "the call was missed")
    await eventually(lambda: ha.state("sensor.hq_anna_missed") == "1", "it is counted")
    await eventually(lambda: ha.state(RINGING) == OFF, "anna rings no more")
    await eventually(lambda: ha.attribute(LAST_CALL, "outcome") == "missed", "it is the last call")
    end = datetime.fromisoformat(str(ha.state(LAST_CALL)))
    assert datetime.now(tz=UTC) - end < timedelta(minutes=1)


async def the_door_station_flashes_the_light(pbx: SimPbx, ha: HomeAssistant) -> None:
    """The automation of the example; no other call has triggered it."""
    assert ha.changes("light.hall") == []
    call = pbx.dial("Door station", "anna")
    await eventually(lambda: ha.changes("light.hall") == [ON, OFF] * 3, "the light has flashed")
    call.hang_up()
    await eventually(lambda: ha.state(RINGING) == OFF, "anna rings no more")


async def a_number_is_dialled_and_the_music_pauses(pbx: SimPbx, ha: HomeAssistant) -> None:
    """Dialled and ended by Home Assistant; the automation of the example."""
    await ha.act("text.hq_anna_dial", "text.set_value", value="0456")
    await eventually(lambda: pbx.requests("UserCall"), "the PBX was asked to call")
    await eventually(lambda: ha.state("sensor.hq_anna_call_state") == "connected", "anna talks")
    await eventually(lambda: ha.state(MUSIC) == "paused", "the music pauses")
    await eventually(lambda: ha.attribute(CALL, "event_type") == "answered", "there was an event")
    assert ha.attribute(CALL, "call")["remote"]["number"] == "0456"
    await eventually(lambda: ha.state("sensor.hq_calls") == "1", "the PBX has a call")
    await ha.act("button.hq_anna_hang_up", "button.press")
    await eventually(lambda: ha.state("sensor.hq_anna_call_state") == "idle", "the call is over")
    await eventually(lambda: ha.state(MUSIC) == "playing", "the music plays again")
    assert pbx.requests("UserClear")


async def a_call_is_answered(pbx: SimPbx, ha: HomeAssistant) -> None:
    """By the button that only anna has."""
    call = pbx.ring("Anna Müller", "0123")
    await eventually(lambda: ha.state(RINGING) == ON, "anna rings")
    await ha.act("button.hq_anna_answer", "button.press")
    await eventually(lambda: ha.state("binary_sensor.hq_anna_in_call") == ON, "anna talks")
    call.hang_up()
    await eventually(lambda: ha.state("binary_sensor.hq_anna_in_call") == OFF, "the call is over")


async def a_diversion_is_shown_and_set(ha: HomeAssistant) -> None:
    """Set, and removed again."""
    forward = "text.hq_anna_forward_no_answer"
    await eventually(lambda: ha.state(forward) == "", "calls go nowhere else")
    await ha.act(forward, "text.set_value", value="0171")
    await eventually(lambda: ha.state(forward) == "0171", "calls go to a mobile telephone")
    await ha.act(forward, "text.set_value", value="")
    await eventually(lambda: ha.state(forward) == "", "calls go nowhere else again")


async def presence_is_shown_and_set(pbx: SimPbx, ha: HomeAssistant) -> None:
    """Set at the phone, then here: activity and note keep one another."""
    pbx.set_presence("Anna Müller", "meeting", "until noon")
    await eventually(lambda: ha.state("select.hq_anna_presence") == "meeting", "anna is in a meeting")
    await eventually(lambda: ha.state("text.hq_anna_note") == "until noon", "until noon")
    await ha.act("select.hq_anna_presence", "select.select_option", option="lunch")
    await eventually(lambda: ha.state("select.hq_anna_presence") == "lunch", "anna has lunch")
    await ha.act("text.hq_anna_note", "text.set_value", value='Bei "Söhne" & Co')
    await eventually(lambda: ha.state("text.hq_anna_note") == 'Bei "Söhne" & Co', "the note is changed")
    assert ha.state("select.hq_anna_presence") == "lunch"


async def a_switch_is_shown(pbx: SimPbx, ha: HomeAssistant) -> None:
    """A Boolean object, and its event."""
    pbx.switch("Night", manual=True, on=True)
    await eventually(lambda: ha.state("binary_sensor.hq_night_switch") == ON, "it is night")
    assert ha.attribute("binary_sensor.hq_night_switch", "mode") == "manual"
    await eventually(lambda: ha.attribute("event.hq_night_call", "event_type") == "switched", "and said so")


async def the_mode_is_changed(broker: Mosquitto, bus: Observer, pbx: SimPbx, ha: HomeAssistant) -> None:
    """To messages for each entity and back: the same entities, and no message of the other mode is left."""
    found = of("door", ha) | of("night", ha)
    for mode in "component", "device":
        async with bridge(settings(broker, pbx, discovery=mode)):
            await eventually(partial(in_mode, mode, bus), f"messages for each {mode}, and no others")
            await eventually(lambda: ha.state("sensor.hq_door_call_state") == "idle", "the door is there")
            await eventually(lambda: of("door", ha) | of("night", ha) == found, "all else is there")


def in_mode(mode: str, bus: Observer) -> bool:
    """Whether the retained discovery messages are of this mode: one for each device, or for each entity."""
    of_devices = {topic for topic in discovery_topics(bus) if topic.startswith("homeassistant/device/")}
    others = discovery_topics(bus) - of_devices
    return bool(of_devices) == (mode == "device") and bool(others) == (mode == "component")


async def discovery_ends(broker: Mosquitto, bus: Observer, pbx: SimPbx, ha: HomeAssistant) -> None:
    """For all users, then for the PBX."""
    async with bridge(settings(broker, pbx, users=[])):
        await eventually(lambda: not of("door", ha) | of("night", ha), "nobody is exposed any more")
        assert set(await ha.devices()) == {"PBX hq"}
    async with bridge(settings(broker, pbx, discovery="off")):
        await eventually(lambda: not {each for each in ha.entities if "hq" in each}, "nothing is left")
        assert await ha.devices() == {}
        assert discovery_topics(bus) == set()


def discovery_topics(bus: Observer) -> set[str]:
    """The retained discovery messages, all of them ours."""
    return {topic for topic in bus.tree if re.fullmatch("homeassistant/.+/config", topic)}


def of(name: str, ha: HomeAssistant) -> set[str]:
    """The registered entities of a user."""
    return {each for each in ha.entities if re.search(rf"\b(hq_)?{name}(_|\b)", each)}


def warnings(ha: HomeAssistant) -> list[str]:
    """What Home Assistant has against our messages."""
    return [line for line in ha.log.splitlines() if "mqtt" in line or "emplate" in line]
