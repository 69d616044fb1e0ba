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


async def test_nothing_is_published_unasked(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Without the section there is no discovery."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: len(bus.tree) == len(STAFF) + 2, "all is told")
        assert found(bus) == {}
