"""Commands that lie retained on the broker when the bridge subscribes: refused, cleared, not carried out."""

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

STATE = "innovaphone/hq/state"
COMMANDS = {
    "innovaphone/hq/command/call": {"id": "old", "user": "anna", "number": "1"},
    "innovaphone/hq/user/anna/command/call": "0123",
    "innovaphone/hq/user/anna/command/clear": "x",
    "innovaphone/hq/command/nonsense": {"id": "odd"},
}


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_commands_are_cleared(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """Those that were there before the first start, and before the next one; live ones are carried out."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"]["protocol"] = protocol
    for run in (1, 2):
        for topic, payload in COMMANDS.items():
            bus.publish(topic, payload, retain=True)
        async with bridge(settings):
            await _cleared(bus, run)

    assert {reply["code"] for reply in (*bus.replies("call"), *bus.replies("clear"))} == {"retained"}
    assert not pbx.requests("UserCall")


async def _cleared(bus: Observer, run: int) -> None:
    """Wait until this run of the bridge has cleared them, and obeys."""
    await eventually(lambda: not COMMANDS.keys() & bus.tree.keys(), "the retained ones are cleared")
    await eventually(lambda: len(bus.replies("call")) == 2 * run, "each got its reply")
    await eventually(lambda: bus.now(STATE) == "online", "it is online")
    bus.publish("innovaphone/hq/command/ping", {"id": f"p{run}"})
    await eventually(
        lambda: [reply for reply in bus.replies("ping") if reply["id"] == f"p{run}"], "a ping is answered"
    )
