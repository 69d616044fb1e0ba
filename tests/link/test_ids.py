"""Ids on a real bus: what a client gains that knows, guesses or takes the id of somebody else."""

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
COMMAND = "innovaphone/hq/command"
HERS, EVIL, DEVICE = "innovaphone/reply/hers", "innovaphone/reply/evil", "zigbee2mqtt/bridge/request/restart"


async def test_an_id_belongs_to_one_request(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Her reply goes to her only; an id taken before her is no success; her call is placed once."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["commands"] = {"response_topics": ["home/+"]}
    async with bridge(settings):
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is online")
        call = {"id": "c-1", "user": "anna", "number": "08001234"}
        bus.publish(f"{COMMAND}/call", call, response=HERS)
        await eventually(lambda: bus.tree.get(HERS), "she has her reply")
        bus.publish(f"{COMMAND}/ping", {"id": "c-1"}, response=EVIL)
        bus.publish(f"{COMMAND}/call", call, response="home/evil")
        bus.publish(f"{COMMAND}/ping", {"id": "permit_join"}, response=DEVICE)
        bus.publish(f"{COMMAND}/ping", {"id": "c-2"}, response=EVIL)
        bus.publish(f"{COMMAND}/call", {**call, "id": "c-2"}, response=HERS)
        bus.publish(f"{COMMAND}/call", call, response=HERS, correlation=b"again")

        def replies(topic: str) -> list[tuple[object, ...]]:
            told = [message.json for message in bus.messages if message.topic == topic]
            return [(each["id"], each.get("code", "ok"), each.get("duplicate", False)) for each in told]

        await eventually(lambda: len(replies(HERS)) == 3, "all are answered")
        await eventually(lambda: len(replies(EVIL)) == 2, "all are answered")
        assert replies(HERS) == [("c-1", "ok", False), ("c-2", "invalid", False), ("c-1", "ok", True)]
        assert sorted(replies(EVIL)) == [("c-1", "invalid", False), ("c-2", "ok", False)]
        assert replies("home/evil") == [("c-1", "invalid", False)]
        assert [reply["code"] for reply in bus.replies("ping")] == ["invalid"]
        assert DEVICE not in bus.tree
        stolen = [each for each in bus.messages if "evil" in each.topic and b'"call":' in each.payload]
        assert stolen == []
        assert len(pbx.requests("UserCall")) == 1


@pytest.mark.slow
async def test_one_client_cannot_use_up_what_another_needs(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """A hundred pings, calls of bert and resyncs: anna's call is cleared, the session stays."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")
        bus.publish("innovaphone/hq/user/anna/command/call", "08001234")
        await eventually(lambda: bus.replies("call"), "anna calls")
        for number in range(100):
            bus.publish(f"{COMMAND}/ping", {"id": f"p-{number}"})
            bus.publish("innovaphone/hq/user/bert/command/call", "08001234")
            bus.publish(f"{COMMAND}/zzz", {"id": f"z-{number}"})
        bus.publish("innovaphone/hq/user/anna/command/clear", {"id": "mine"})
        await eventually(lambda: bus.replies("clear"), "she has her reply")
        assert [reply["status"] for reply in bus.replies("clear")] == ["ok"]
        for number in range(3):
            bus.publish(f"{COMMAND}/resync", {"id": f"r-{number}"})
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "one is carried out")
        await bus.heard_all()
        assert [reply.get("code", "ok") for reply in bus.replies("resync")].count("ok") == 1
        assert len(bus.replies("ping")) < 100
