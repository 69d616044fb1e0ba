"""Retained messages that are larger than any of ours: read past, counted, and cleared where they are ours."""

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.pages import becomes
from tests.running import bridge, configuration, pbx_section

STATE = "innovaphone/hq/state"
LARGE = b"x" * 300_000
TOPICS = (
    "innovaphone/hq/user/gone/state",
    "innovaphone/hq/user/anna/state",
    "innovaphone/hq/command/call",
    "innovaphone/hq/user/anna/command/call",
)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_large_retained_messages(broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str) -> None:
    """On topics of users and of commands, before the bridge comes and while it runs: one session, online."""
    for topic in TOPICS:
        bus.publish(topic, LARGE, retain=True)
    web = free_port()
    settings = configuration(broker.port, pbx_section(pbx), http={"listen": f"127.0.0.1:{web}"})
    settings["mqtt"]["protocol"] = protocol
    async with bridge(settings):
        await eventually(lambda: bus.now(STATE) == "online", "it is online")
        if protocol == "3.1.1":
            await eventually(
                lambda: not {TOPICS[0], *TOPICS[2:]} & bus.tree.keys(), "what is ours is cleared"
            )
            await becomes(web, "dropped_messages_total", len(TOPICS), pbx="hq", reason="oversized")
        await eventually(lambda: len(bus.tree[TOPICS[1]]) < len(LARGE), "the user's state is told")
        bus.publish(TOPICS[2], LARGE)
        bus.publish("innovaphone/hq/command/ping", {"id": "after"})
        await eventually(lambda: bus.replies("ping"), "commands are answered as ever")
        await becomes(web, "session_starts_total", 1, pbx="hq", side="mqtt")
        if protocol == "3.1.1":
            assert bus.replies("call")[-1]["code"] == "malformed"
