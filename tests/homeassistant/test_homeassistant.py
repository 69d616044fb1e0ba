"""Home Assistant itself: what it finds on the broker, and that nothing is left over."""

from pathlib import Path

import pytest

from tests.bus import Mosquitto, Observer, eventually
from tests.homeassistant.place import installed
from tests.homeassistant.server import home_assistant

pytestmark = pytest.mark.broker
CONFIG, STATE, COMMAND = "homeassistant/device/phone/config", "test/state", "test/command"
DEVICE = {
    "device": {"identifiers": ["phone"], "name": "Phone"},
    "origin": {"name": "test"},
    "components": {
        "state": {"platform": "sensor", "unique_id": "s", "name": "State", "state_topic": STATE},
        "dial": {"platform": "text", "unique_id": "d", "name": "Dial", "command_topic": COMMAND},
    },
}


async def test_a_device_is_found_used_and_removed(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """A message of our own hand: Home Assistant is set up as it should be."""
    async with home_assistant(await installed(), tmp_path, {}, broker.port) as ha:
        bus.publish(STATE, "ringing", retain=True)
        bus.publish(CONFIG, DEVICE, retain=True)
        await eventually(lambda: ha.state("sensor.phone_state") == "ringing", "the phone rings")
        device = (await ha.devices())["Phone"]["id"]
        assert set(await ha.entities_of(device)) == {"s", "d"}
        await ha.act("text.phone_dial", "text.set_value", value="0123")
        await eventually(lambda: bus.now(COMMAND) == "0123", "the number was dialled")
        bus.publish(CONFIG, "", retain=True)
        await eventually(lambda: not {"sensor.phone_state", "text.phone_dial"} & ha.entities, "all is gone")
        assert await ha.devices() == {}
