"""Hundreds of wrong requests of every verb through a real broker: the PBX hears of none."""

import pytest

from bridge.core.commands.verbs import SETS, VERBS
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.wrong_requests import ROOT, wrong_requests
from tests.running import bridge, configuration, pbx_section

pytestmark = [pytest.mark.broker, pytest.mark.slow]
EACH = 200
COMMANDS = {"allow": [*SETS], "numbers": {"deny": ["0900*"]}, "rate_per_minute": 6000}
ITSELF = {"Poll", "Echo"}
"""What the PBX is asked for by a session that rests, and for the pings in between."""


async def test_nothing_wrong_reaches_the_pbx(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Every verb is permitted. More are sent than are answered; after each verb a ping goes through."""
    async with bridge(configuration(broker.port, pbx_section(pbx), commands=COMMANDS)):
        await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("settled"), "it is settled")
        await eventually(lambda: pbx.sessions.up_to_date, "the bridge has heard of everything")
        before = len(pbx.log)
        for verb in VERBS:
            await _send(bus, verb)
        asked = {request.operation for request in pbx.log[before:]}

    replies = [each.json for each in bus.messages if "/response/" in each.topic]
    assert asked <= ITSELF, asked
    assert {reply["status"] for reply in replies if reply["verb"] != "ping"} == {"error"}
    assert len(replies) > 2 * len(VERBS)


async def _send(bus: Observer, verb: str) -> None:
    """Without those that are wrong only by how they are published."""
    for wrong in wrong_requests(verb, EACH):
        if not wrong.incoming.retain and wrong.incoming.response_topic is None:
            bus.send_bytes(wrong.incoming.topic, wrong.incoming.payload)
    ping = f"after-{verb}"
    bus.send(f"{ROOT}/command/ping", {"id": ping})
    await eventually(
        lambda: any(reply["id"] == ping for reply in bus.replies("ping")), f"a ping goes through {ping}"
    )
