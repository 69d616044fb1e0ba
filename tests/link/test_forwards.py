"""Forwards at a simulated PBX: in the states, followed, changed by commands, never twice."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bridge.sim.faults import Fault
from bridge.sim.model import Forward, SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
ALL = (("all", False),)
SOEHNE = SimUser("O'Neil & <Söhne>", "neil", "24", groups=ALL, inherited=(Forward("cfb", "22"),))
NONE = {"always": None, "busy": None, "no_answer": None}
ALLOWED = {"allow": ["basic", "forward", "admin"], "numbers": {"deny": ["0900*"]}}


def settings(broker: Mosquitto, pbx: SimPbx, *, forwards: bool = True) -> dict[str, Any]:
    """A configuration that may change forwards."""
    return configuration(broker.port, pbx_section(pbx, forwards=forwards), commands=ALLOWED)


def shown(bus: Observer, user: str) -> Any:
    """The forwards in a user's state."""
    return (bus.now(f"innovaphone/hq/user/{user}/state") or {}).get("forwards")


def theirs(pbx: SimPbx, name: str) -> list[Forward]:
    """The forwards of a user at the PBX."""
    return list(pbx.exchange.users[name].forwards)


async def reply(bus: Observer, verb: str, topic: str, **fields: Any) -> Any:
    """Send a command; its reply."""
    wanted = f"f-{bus.count}"
    bus.publish(f"innovaphone/hq/{topic}/{verb}", {"id": wanted, **fields})

    def found() -> list[Any]:
        return [each for each in bus.replies(verb) if each["id"] == wanted]

    await eventually(found, f"{verb} is answered")
    return found()[0]


async def test_forwards_are_read_and_followed(broker: Mosquitto, bus: Observer) -> None:
    """At the start and when the PBX says that a configuration has changed; of everybody but switches."""
    async with SimPbx((*STAFF, SOEHNE), FAST) as pbx:
        pbx.exchange.users["Anna Müller"] = replace(STAFF[1], forwards=(Forward("cfnr", "0171234"),))
        async with bridge(settings(broker, pbx)):
            await eventually(lambda: shown(bus, "anna") == {**NONE, "no_answer": "0171234"}, "Anna's is read")
            await eventually(lambda: shown(bus, "neil") == {**NONE, "busy": "22"}, "a template's is read")
            await eventually(lambda: shown(bus, "bert") == NONE, "Bert has none")
            forward = Forward("cfu", h323="anna")
            bert = pbx.exchange.users["Bert O'Neil"]
            pbx.exchange.put_user(replace(bert, forwards=(forward,)), cfg=True)
            await eventually(
                lambda: shown(bus, "bert") == {**NONE, "always": "anna"}, "Bert's new one is read"
            )
            await eventually(lambda: shown(bus, "carla%2Fx") == NONE, "all are read")

            assert shown(bus, "night") is None
            asked = [str(request.args["xml"]) for request in pbx.requests("Admin")]
            assert len([xml for xml in asked if "O'Neil &amp; " in xml]) == 1, (
                "once, until its configuration changes"
            )


async def test_a_command_changes_them(broker: Mosquitto, bus: Observer) -> None:
    """One of a kind is left, whatever was there; the rest of the user is not touched."""
    double = (Forward("cfu", "0111"), Forward("cfu", "0111"), Forward("cfb", "23"))
    async with SimPbx((*STAFF, replace(SOEHNE, inherited=(), forwards=double)), FAST) as pbx:
        name, topic = SOEHNE.cn, "user/neil/command"
        before = replace(pbx.exchange.users[name], forwards=())
        async with bridge(settings(broker, pbx)):
            await eventually(lambda: shown(bus, "neil"), "they are read")
            for wanted, left in (
                ({"always": "0222"}, {"cfu": "0222", "cfb": "23"}),
                ({"always": "0222"}, {"cfu": "0222", "cfb": "23"}),
                ({"always": "", "no_answer": "+49 171 1"}, {"cfb": "23", "cfnr": "+491711"}),
                ({"busy": "", "no_answer": ""}, {}),
                ({"busy": ""}, {}),
            ):
                assert (await reply(bus, "forward", topic, **wanted))["status"] == "ok"
                assert sorted((each.kind, each.e164) for each in theirs(pbx, name)) == sorted(left.items())
            await eventually(lambda: shown(bus, "neil") == NONE, "the state follows")

            assert replace(pbx.exchange.users[name], forwards=()) == before


async def test_equal_ones_become_one(broker: Mosquitto, bus: Observer) -> None:
    """What somebody has added twice is there once afterwards."""
    double = (Forward("cfu", "0111"), Forward("cfu", "0111"))
    async with SimPbx((*STAFF, replace(SOEHNE, forwards=double)), FAST) as pbx:
        async with bridge(settings(broker, pbx)):
            await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is up")
            assert (await reply(bus, "forward", "user/neil/command", always="0111"))["status"] == "ok"

        assert theirs(pbx, SOEHNE.cn) == [Forward("cfu", "0111")]


async def test_a_stop_completes_what_has_begun(broker: Mosquitto, bus: Observer) -> None:
    """Between the new forward and the removal of the old one the bridge is told to stop, or to reload."""
    before = replace(SOEHNE, inherited=(), forwards=(Forward("cfu", "0111"),))
    async with SimPbx((*STAFF, before), FAST) as pbx:
        async with bridge(settings(broker, pbx)):
            await eventually(lambda: shown(bus, "neil"), "they are read")
            read = len(pbx.requests("Admin"))
            pbx.faults.add(Fault("slow", "Admin", times=3, value=0.3))
            bus.publish("innovaphone/hq/user/neil/command/forward", {"id": "f", "always": "0222"})
            await eventually(lambda: len(pbx.requests("Admin")) == read + 2, "the new one is being written")

        assert theirs(pbx, SOEHNE.cn) == [Forward("cfu", "0222")]


async def test_what_is_not_allowed_is_not_changed(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A forward dials later: the same rules are in front of it. Without `forwards: true` there is none."""
    topic = "user/anna/command"
    async with bridge(settings(broker, pbx)):
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is up")
        await eventually(lambda: shown(bus, "anna") == NONE, "Anna's are read")
        answers = [await reply(bus, "forward", topic, busy=number) for number in ("0900123", "112", "x")]
    # A late observer still sees that the first is up, and would ask the second before it listens.
    await eventually(lambda: bus.now("innovaphone/hq/state") == "offline", "it is down")
    async with bridge(settings(broker, pbx, forwards=False)):
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is up again")
        answers.append(await reply(bus, "forward", topic, busy="22"))
        await eventually(lambda: shown(bus, "anna") is None, "no forwards are published any more")

    codes = ["number_not_allowed", "number_not_allowed", "invalid", "not_permitted"]
    assert [answer.get("code") for answer in answers] == codes
    assert theirs(pbx, "Anna Müller") == []


async def test_without_an_administrator_there_are_none(broker: Mosquitto, bus: Observer) -> None:
    """It is said, and costs nothing else: calls work, and nobody is asked for ever."""
    profile = replace(FAST.profile, gives_admin=False)
    async with (
        SimPbx(STAFF, replace(FAST, profile=profile)) as pbx,
        bridge(settings(broker, pbx)),
    ):
        await eventually(lambda: len(pbx.requests("Admin")) >= 3, "three are tried")
        refused = await reply(bus, "forward", "user/anna/command", busy="22")
        assert (refused["code"], "administrator" in refused["message"]) == ("refused", True)
        bert = pbx.exchange.users["Bert O'Neil"]
        pbx.exchange.put_user(replace(bert, dn="B"), cfg=True)
        state = "innovaphone/hq/user/bert/state"
        await eventually(lambda: bus.now(state)["display_name"] == "B", "the session is alive")

        assert shown(bus, "bert") is None
        assert len(pbx.requests("Admin")) == 4, "three to read, one to change"


async def test_a_failure_costs_nobody_its_forwards(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Who could not be read is read later; a command says what happened; the session goes on."""
    pbx.faults.add(Fault("http", "Admin", times=2, value=500))
    async with bridge(settings(broker, pbx)):
        for user in ("api", "anna", "bert", "carla%2Fx"):
            await eventually(partial(shown, bus, user), f"{user} is read")
        pbx.faults.add(Fault("fault", "Admin", text="no"))
        answer = await reply(bus, "forward", "user/anna/command", busy="22")

        assert answer["code"] == "pbx_error"
        assert len(pbx.requests("Initialize")) == 1


async def test_admin_hands_documents_through(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """What the PBX answers is the result, also a refusal; what is not one element does not reach it."""
    async with bridge(settings(broker, pbx, forwards=False)):
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is up")
        show = await reply(bus, "admin", "command", xml="<show><user cn='Anna Müller'/></show>")
        wrong = await reply(bus, "admin", "command", xml="<launch/>")
        bad = await reply(bus, "admin", "command", xml="<show>")

        assert 'h323="anna"' in show["result"]["xml"]
        assert show["result"]["complete"]
        assert wrong["result"]["xml"].startswith("<error>")
        assert bad["code"] == "invalid"
        assert len(pbx.requests("Admin")) == 2
