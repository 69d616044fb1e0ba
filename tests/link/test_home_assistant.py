"""Discovery for Home Assistant by the whole bridge: what a broker retains, whoever comes and goes."""

import json
from typing import Any

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
PREFIX = "homeassistant"
ON: dict[str, Any] = {"discovery": "device", "users": [{"short_name": "anna"}, {"short_name": "bert"}]}


def found(bus: Observer) -> dict[str, Any]:
    """What Home Assistant would find, by the name of the device."""
    payloads = [json.loads(payload) for topic, payload in bus.tree.items() if topic.startswith(f"{PREFIX}/")]
    return {message["device"]["name"]: message for message in payloads}


async def appeared(bus: Observer, *names: str) -> None:
    """Exactly these devices are there."""
    await eventually(lambda: found(bus).keys() == set(names), f"the devices are {names}")


async def test_phones_appear_by_themselves(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Those whom a rule names, and the PBX; what their entities show is on the topics that they name."""
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=ON)):
        await appeared(bus, "PBX hq", "Anna", "Bert")
        anna = found(bus)["Anna"]["components"]
        available = found(bus)["PBX hq"]["availability"][0]["topic"]
        await eventually(lambda: bus.now(available) == "online", "its entities are available")
        assert bus.now(anna["call_state"]["state_topic"])["call_state"] == "idle"


async def test_what_it_sends_is_done(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A number is dialled, and a button hangs up."""
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=ON)):
        await appeared(bus, "PBX hq", "Anna", "Bert")
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "the PBX is online")
        anna = found(bus)["Anna"]["components"]
        bus.publish(anna["dial"]["command_topic"], b"0123")
        await eventually(lambda: "outgoing" in bus.types("anna"), "the call is placed")
        bus.publish(anna["hang_up"]["command_topic"], anna["hang_up"]["payload_press"].encode())
        await eventually(lambda: "ended" in bus.types("anna"), "it is hung up")


async def test_a_user_who_is_removed_disappears(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """And nothing of it is left, there or elsewhere."""
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=ON)):
        await appeared(bus, "PBX hq", "Anna", "Bert")
        pbx.remove_user("Bert O'Neil")
        await appeared(bus, "PBX hq", "Anna")
        await eventually(lambda: not any("bert" in topic for topic in bus.tree), "nothing is left of bert")


def on(**changes: Any) -> dict[str, Any]:
    """The section with changes."""
    return {**ON, **changes}


def topics(bus: Observer) -> set[str]:
    """The retained topics for Home Assistant."""
    return {topic for topic in bus.tree if topic.startswith(f"{PREFIX}/")}


def message(device: str, origin: str) -> bytes:
    """Somebody's discovery message."""
    return json.dumps(
        {"device": {"identifiers": [device], "name": device}, "origin": {"name": origin}}
    ).encode()


@pytest.mark.parametrize("discovery", ["device", "component"])
async def test_who_is_no_longer_wanted_disappears_at_the_next_start(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, discovery: str
) -> None:
    """By another rule, or because it was removed while the bridge was down and nobody else knows of it."""
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=on(discovery=discovery))):
        await eventually(lambda: found(bus).keys() == {"PBX hq", "Anna", "Bert"}, "both are there")
    pbx.remove_user("Bert O'Neil")
    bus.publish("innovaphone/hq/user/bert/state", b"", retain=True)
    carla = on(discovery=discovery, users=[{"number": "23"}])
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=carla)):
        await eventually(lambda: found(bus).keys() == {"PBX hq", "Carla"}, "only carla is there")


async def test_another_mode_replaces_the_messages_of_the_first(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """There and back again, and nothing of the other mode is left."""
    for discovery, levels in (("component", 5), ("device", 4), ("component", 5)):
        section = on(discovery=discovery)
        async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=section)):
            await eventually(
                lambda levels=levels: (  # type: ignore[misc]  # mypy infers no type of a default
                    {len(topic.split("/")) for topic in topics(bus)} == {levels} and len(found(bus)) == 3
                ),
                f"the messages of {discovery} are there, and no others",
            )


async def test_nothing_is_left_once_it_is_off(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Said so, at the next start. What others wrote stays, whatever it pretends to be."""
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=ON)):
        await appeared(bus, "PBX hq", "Anna", "Bert")
    foreign = {
        f"{PREFIX}/device/lamp/config": message("lamp", "zigbee2mqtt"),
        f"{PREFIX}/device/innovaphone__hq2/config": message("innovaphone__hq2", "innovaphone-mqtt"),
        f"{PREFIX}/device/other/config": message("innovaphone__hq", "innovaphone-mqtt"),
    }
    for topic, payload in foreign.items():
        bus.publish(topic, payload, retain=True)
    bus.publish(f"{PREFIX}/device/broken/config", b"innovaphone-mqtt", retain=True)
    off = {"discovery": "off"}
    async with bridge(configuration(broker.port, pbx_section(pbx), homeassistant=off)):
        await eventually(
            lambda: topics(bus) == {*foreign, f"{PREFIX}/device/broken/config"},
            "only what others wrote is left",
        )


async def test_nothing_is_published_unasked(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Without the section there is no discovery."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: len(bus.tree) == len(STAFF) + 2, "all is told")
        assert found(bus) == {}


async def test_diversions_appear_where_they_may_be_changed(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """What Home Assistant would send changes what it shows."""
    settings = configuration(
        broker.port,
        pbx_section(pbx, forwards=True),
        homeassistant=ON,
        commands={"allow": ["forward"]},
    )
    async with bridge(settings):
        await appeared(bus, "PBX hq", "Anna", "Bert")
        text = found(bus)["Anna"]["components"]["forward_always"]
        state = text["state_topic"]
        await eventually(lambda: "forwards" in (bus.now(state) or {}), "the diversions are read")
        bus.publish(text["command_topic"], b'{"always": "22"}')
        await eventually(lambda: bus.now(state)["forwards"]["always"] == "22", "calls go to 22")
