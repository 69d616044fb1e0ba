"""Queries at a simulated PBX: what the replies carry, page by page, and that nothing wrong is handed on."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.sim.faults import Fault
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
ALLOWED = {"allow": ["basic", "query"]}
ALL = (("all", False),)
CROWD = tuple(
    SimUser(f"Zed {number:02}", f"zed{number:02}", f"7{number:02}", groups=ALL) for number in range(45)
)
"""More users than two pages hold."""


class Asking:
    """Sends queries, and waits for the reply to each."""

    def __init__(self, bus: Observer) -> None:
        self._bus = bus
        self._count = 0

    async def reply(self, verb: str, **fields: Any) -> Any:
        """The whole reply."""
        self._count += 1
        wanted = f"q-{self._count}"
        self._bus.publish(f"innovaphone/hq/command/{verb}", {"id": wanted, **fields})

        def found() -> list[Any]:
            return [reply for reply in self._bus.replies(verb) if reply["id"] == wanted]

        await eventually(found, f"{verb} is answered")
        return found()[0]

    async def result(self, verb: str, **fields: Any) -> Any:
        """The result of a query that is carried out."""
        reply = await self.reply(verb, **fields)
        assert reply["status"] == "ok", reply
        return reply["result"]

    async def found(self, **fields: Any) -> list[str]:
        """The long names that `find` gives."""
        return [user["name"] for user in (await self.result("find", **fields))["users"]]


async def settled(bus: Observer) -> None:
    """The bridge knows all users and their calls."""
    await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")


async def test_the_wrong_object_is_never_handed_on(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A name that nobody has is a place in the PBX's list, and the next object or the first one comes."""
    asking = Asking(bus)
    async with bridge(configuration(broker.port, pbx_section(pbx), commands=ALLOWED)):
        await settled(bus)

        assert await asking.found(number="21") == ["Anna Müller"]
        assert await asking.found(short_name="CARLA/X") == ["Carla & Co"]
        assert await asking.found(name="Bert O'Neil") == ["Bert O'Neil"]
        for nobody in ({"number": "2"}, {"number": "99"}, {"short_name": "zoe"}, {"name": "Anna"}):
            assert await asking.found(**nobody) == []
        assert await asking.found(number="2", prefix=True) == ["Anna Müller", "Bert O'Neil", "Carla & Co"]
        assert len(pbx.requests("FindUser")) == 8


async def test_found_users_are_named_as_the_topics_name_them(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """One that is not published has no topic."""
    asking = Asking(bus)
    section = pbx_section(pbx, users=[{"exclude": True, "name": "Anna*"}])
    async with bridge(configuration(broker.port, section, commands=ALLOWED)):
        await settled(bus)
        anna, bert, carla = (await asking.result("find", number="2", prefix=True))["users"]

        assert [anna["user"], bert["user"], carla["user"]] == [None, "bert", "carla%2Fx"]
        assert anna == {
            "user": None,
            "guid": STAFF[1].guid,
            "name": "Anna Müller",
            "display_name": "Anna",
            "short_name": "anna",
            "number": "21",
            "type": "ep",
            "registered": True,
            "location": "",
            "node": "root",
        }


async def test_pages_lead_through_the_whole_list(broker: Mosquitto, bus: Observer) -> None:
    """Everybody once, at most twenty at a time; a PBX that fails for more than twenty is not hurt."""
    profile = replace(FAST.profile, crash_count=20)
    async with SimPbx((*STAFF, *CROWD), replace(FAST, profile=profile)) as pbx:
        asking, names, after = Asking(bus), list[str](), dict[str, Any]()
        async with bridge(configuration(broker.port, pbx_section(pbx), commands=ALLOWED)):
            await settled(bus)
            for _ in range(3):
                page = await asking.result("find", **after)
                names += [user["name"] for user in page["users"]]
                after = {"after": page["next"]}

            assert after == {"after": None}
            assert sorted(names) == sorted(user.cn for user in (*STAFF, *CROWD))
            page = await asking.result("find", short_name="zed1", prefix=True, limit=4)
            assert [user["user"] for user in page["users"]] == ["zed10", "zed11", "zed12", "zed13"]
            page = await asking.result("find", short_name="zed1", prefix=True, limit=20, after=page["next"])
            assert [user["user"] for user in page["users"]] == [f"zed1{digit}" for digit in range(4, 10)]
            assert page["next"] is None, "what follows begins otherwise"


async def test_calls_are_told_in_the_words_of_the_topics(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """With the id that the events use where there is one; of a user who is not monitored there is none."""
    asking = Asking(bus)
    section = pbx_section(pbx, calls=[{"name": "Anna*"}])
    async with bridge(configuration(broker.port, section, commands=ALLOWED)):
        await settled(bus)
        assert await asking.result("calls", user="anna") == {"calls": [], "left_out": 0}
        placed = (await asking.reply("call", user="anna", to_user="bert"))["call"]
        await eventually(lambda: "ringing" in bus.types("anna"), "Bert's phone rings")
        (hers,) = (await asking.result("calls", user="anna"))["calls"]
        (his,) = (await asking.result("calls", user="bert"))["calls"]

        state = bus.now("innovaphone/hq/user/anna/state")["calls"][0]
        assert hers == {"call": placed, **{name: value for name, value in state.items() if name in hers}}
        assert (hers["direction"], hers["remote"]["user"]) == ("outbound", "bert")
        assert (his["call"], his["direction"], his["state"]) == (None, "inbound", "ringing")
        assert his["remote"]["user"] == "anna"
        assert his["conference"] == hers["conference"]


async def test_the_other_queries(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Each has its result, and asks the PBX once."""
    asking = Asking(bus)
    async with bridge(configuration(broker.port, pbx_section(pbx), commands=ALLOWED)):
        await settled(bus)

        assert (await asking.result("devices", user="anna"))["devices"][0]["device"] == "anna"
        assert await asking.result("localize", user="anna", number="08001234") == {"number": "008001234"}
        assert await asking.result("localize", user="anna", number="22") == {"number": "22"}
        reached = await asking.result("reachable", user="anna", number="22")
        assert (reached["complete"], reached["found"]["user"]) == (True, "bert")
        assert await asking.result("reachable", user="anna", number="2") == {"complete": False, "found": None}
        named = await asking.result("reachable", user="anna", short_name="carla/x")
        assert named["found"]["user"] == "carla%2Fx"
        own = (await asking.result("version"))["location"]
        assert (await asking.result("locate", location=own))["url"].endswith("/user.soap")
        assert await asking.result("locate", location="nowhere") == {"url": None}
        assert (await asking.result("version"))["firmware"] == "14r2 simulated"
        assert not bus.types(), "nothing rang"


async def test_a_query_that_hangs_holds_up_no_call(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """It has a queue and a connection of its own."""
    asking = Asking(bus)
    async with bridge(configuration(broker.port, pbx_section(pbx), commands=ALLOWED)):
        await settled(bus)
        pbx.faults.add(Fault("hang", "FindUser"))
        bus.publish("innovaphone/hq/command/find", {"id": "stuck"})
        await eventually(lambda: pbx.requests("FindUser"), "the PBX is asked")
        assert (await asking.reply("call", user="anna", number="0123"))["status"] == "ok"
        assert not bus.replies("find")


async def test_queries_are_opted_in_to(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A configuration that names no verbs gives no look at the PBX's list."""
    asking = Asking(bus)
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        replies = [await asking.reply("find"), await asking.reply("devices", user="anna")]

        assert [reply["code"] for reply in replies] == ["not_permitted"] * 2
        assert not pbx.requests("FindUser")
