"""Hold and retrieve at a simulated PBX: opted in to, and seen in the user's state."""

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
ANNA = "innovaphone/hq/user/anna"


def states(bus: Observer) -> list[str]:
    """The state of Anna's calls: held or not."""
    return [
        "held" if call["held"] else call["state"]
        for call in (bus.now(f"{ANNA}/state") or {"calls": []})["calls"]
    ]


def replies(bus: Observer) -> list[str]:
    """The status of each reply."""
    return [reply["status"] for reply in (*bus.replies("hold"), *bus.replies("retrieve"))]


async def test_a_call_is_held_and_retrieved(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """By the user's topic without a payload, and by the id of the call."""
    settings = configuration(broker.port, pbx_section(pbx), commands={"allow": ["basic", "control"]})
    async with bridge(settings):
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")
        bus.publish(f"{ANNA}/command/call", "08001234")
        await eventually(lambda: states(bus) == ["connected"], "the far end answers")
        bus.publish(f"{ANNA}/command/hold", "")
        await eventually(lambda: states(bus) == ["held"], "the call is held")
        call = bus.now(f"{ANNA}/state")["calls"][0]["id"]
        bus.publish("innovaphone/hq/command/retrieve", {"id": "r-1", "call": call})
        await eventually(lambda: states(bus) == ["connected"], "the call is back")

        await eventually(lambda: {"held", "retrieved"} <= set(bus.types("anna")), "both events are published")
        await eventually(lambda: len(replies(bus)) == 2, "both commands have their reply")
        assert replies(bus) == ["ok", "ok"]
        assert [len(pbx.requests(name)) for name in ("UserHold", "UserRetrieve")] == [1, 1]


async def test_hold_is_opted_in_to(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A configuration that names no verbs gives no right to a verb that came later."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")
        bus.publish(f"{ANNA}/command/hold", "")
        await eventually(lambda: bus.replies("hold"), "it is refused")

        assert [reply["code"] for reply in bus.replies("hold")] == ["not_permitted"]
        assert not pbx.requests("UserHold")
