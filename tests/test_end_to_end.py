"""The whole bridge between a simulated PBX and a real broker, seen from outside."""

import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.sim.faults import Fault
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from bridge.sim.xml import Decoration
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.proxy import Proxy
from tests.running import FAST, STAFF, Program, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"
ANNA = "innovaphone/hq/user/anna/state"


async def online(bus: Observer, pbx: str = "hq") -> None:
    """The bridge says that a PBX is online, and follows everybody."""
    await eventually(lambda: bus.now(f"innovaphone/{pbx}/state") == "online", f"{pbx} is online")


async def settled(bus: Observer, sessions: int = 1) -> None:
    """So many PBX sessions in a row have come to know all running calls."""

    def risen() -> int:
        told = [message.json["settled"] for message in bus.messages if message.topic == INFO]
        return sum(now and not before for before, now in zip([False, *told], told, strict=False))

    await eventually(lambda: risen() >= sessions, f"session {sessions} is settled")


def users(bus: Observer) -> int:
    """How many users have a state."""
    return sum("/user/" in topic for topic in bus.tree)


async def test_lists_everybody_with_escaped_names(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Each user has a retained state below a safe topic."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await eventually(lambda: users(bus) == len(STAFF), "all users are there")

        assert bus.now("innovaphone/hq/user/carla%2Fx/state")["name"] == "Carla & Co"
        assert bus.now(ANNA)["groups"] == [
            {"name": "all", "active": False},
            {"name": "sales", "active": True},
        ]


async def test_tells_an_incoming_call_to_its_end(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Events in order, one of them terminal; the state follows; seq has no gap."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        call = pbx.ring("Anna Müller", "0123", "ACME")
        await eventually(lambda: (bus.now(ANNA) or {}).get("call_state") == "ringing", "anna rings")
        call.answer()
        call.hold("Anna Müller")
        call.retrieve("Anna Müller")
        call.hang_up()
        await eventually(lambda: "ended" in bus.types("anna"), "the call ended")

        wanted = ["incoming", "ringing", "answered", "held", "retrieved", "ended"]
        assert [kind for kind in bus.types("anna") if kind != "updated"] == wanted
        assert [event["seq"] for event in bus.events()] == list(range(1, len(bus.events()) + 1))
        last = bus.events("anna")[-1]["call"]
        assert (last["outcome"], last["cause"]["code"]) == ("answered", 16)
        await eventually(lambda: bus.now(ANNA)["call_state"] == "idle", "anna is idle")
        assert not any(message.retain for message in bus.messages if message.topic.endswith("event"))


async def test_a_user_who_is_back_at_once_is_followed_anew(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """Gone and back within one answer: the PBX is asked again, its calls are known, and all is settled."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        before = len(pbx.requests("UserInitialize"))
        anna = pbx.exchange.users["Anna M\u00fcller"]
        pbx.remove_user(anna.cn)
        pbx.add_user(anna)
        await eventually(lambda: len(pbx.requests("UserInitialize")) > before, "anna is followed anew")
        await settled(bus, 2)
        assert len(pbx.requests("UserEnd")) == 1
        pbx.ring(anna.cn, "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")
        assert bus.types("anna")[0] == "incoming"


async def test_one_unreachable_pbx_does_not_disturb_another(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """Two PBXs, one of them dynamic, work beside one that is never there."""
    async with SimPbx(STAFF, replace(FAST, path="/PBX0-branch/user.soap")) as branch:
        settings = configuration(
            broker.port,
            pbx_section(pbx),
            pbx_section(branch, name="branch", url=branch.url, dynamic_pbx="branch"),
            pbx_section(pbx, name="gone", url="http://127.0.0.1:9"),
        )
        async with bridge(settings):
            await online(bus)
            await online(bus, "branch")
            info = "innovaphone/gone/info"
            await eventually(lambda: bus.now(info) is not None, "the third has said how it is")
            await eventually(lambda: bus.now(info)["link"] == "unreachable", "the third is unreachable")
            assert bus.now("innovaphone/gone/state") == "offline"


async def test_the_tree_is_back_after_the_broker_lost_it(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """The broker dies and comes back empty: everything is there again within 5 s; late events say so.

    The bridge is let in after the observer: events that nobody hears are gone.
    """
    async with Proxy(broker.port) as proxy, bridge(configuration(proxy.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        proxy.refuse()
        proxy.reset()
        await broker.kill()
        pbx.ring("Anna Müller", "0123").hang_up()
        await eventually(lambda: pbx.sessions.up_to_date, "the bridge has heard of it")
        await broker.start()
        async with Observer(broker.port) as fresh:
            back = time.monotonic()
            proxy.listen()
            await eventually(
                lambda: sum(topic.endswith(("/state", "/info")) for topic in fresh.tree) == len(STAFF) + 2,
                "the whole tree is back",
                within=5,
            )
            await eventually(lambda: "missed" in fresh.types("anna"), "the events came late")
            late = fresh.events("anna")[-1]
            assert late["queued"] is True
            assert late["age_ms"] > 0
            assert time.monotonic() - back < 5


async def test_a_crash_of_the_pbx_ends_its_calls_once(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Exactly one terminal event, and the users are right within 10 s."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        pbx.ring("Anna Müller", "0123").answer()
        await eventually(lambda: "answered" in bus.types("anna"), "anna talks")
        await pbx.crash()
        await eventually(lambda: bus.now(STATE) == "offline", "the PBX is offline")
        pbx.change_user("Bert O'Neil", dn="Bertram")
        await pbx.start_again()
        await online(bus)
        await eventually(lambda: "ended" in bus.types("anna"), "the call is closed")

        ends = [event for event in bus.events("anna") if event["event_type"] in {"ended", "missed"}]
        assert [event["call"]["outcome"] for event in ends] == ["lost"]
        bert = "innovaphone/hq/user/bert/state"
        await eventually(lambda: bus.now(bert)["display_name"] == "Bertram", "bert is up to date")


async def test_a_call_survives_a_reconnect_under_its_id(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """The session is lost, the call is not: same id, no second beginning, one end."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        call = pbx.ring("Anna Müller", "0123")
        call.answer()
        await eventually(lambda: "answered" in bus.types("anna"), "anna talks")
        pbx.kill_sessions()
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session is open")
        await settled(bus, 2)
        call.hang_up()
        await eventually(lambda: "ended" in bus.types("anna"), "the call ended")

        assert bus.types("anna").count("ended") == 1
        assert bus.types("anna").count("incoming") == 1
        assert len({event["call"]["id"] for event in bus.events("anna")}) == 1
        assert bus.events("anna")[-1]["call"]["outcome"] == "answered"


@pytest.mark.slow
async def test_kill_and_restart_of_the_bridge_leaves_no_ghost(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """Kill -9 mid-call, the call ends, start again: `ended` with outcome lost, idle afterwards."""
    program = Program(tmp_path, configuration(broker.port, pbx_section(pbx)))
    await program.start()
    await online(bus)
    await settled(bus)
    call = pbx.ring("Anna Müller", "0123")
    call.answer()
    await eventually(lambda: "answered" in bus.types("anna"), "anna talks")
    call_id = bus.events("anna")[-1]["call"]["id"]
    await program.end(signal.SIGKILL)
    await eventually(lambda: bus.now(STATE) == "offline", "the will says offline")
    call.hang_up()
    pbx.exchange.remove_user("Bert O'Neil")
    await program.start()
    await eventually(lambda: "ended" in bus.types("anna"), "the call is closed")
    last = bus.events("anna")[-1]["call"]
    await eventually(lambda: "innovaphone/hq/user/bert/state" not in bus.tree, "who is gone is cleared")
    code, _ = await program.end(signal.SIGTERM)

    assert (last["id"], last["outcome"]) == (call_id, "lost")
    assert bus.now(ANNA)["calls"] == []
    assert code == 0


async def test_sigterm_during_a_blocked_poll(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """Gone in under 2 s with exit code 0, offline on the broker, session ended at the PBX."""
    program = Program(tmp_path, configuration(broker.port, pbx_section(pbx)))
    await program.start()
    await online(bus)
    await settled(bus)
    started = time.monotonic()
    code, log = await program.end(signal.SIGTERM)

    assert time.monotonic() - started < 2
    assert code == 0
    assert bus.now(STATE) == "offline"
    assert bus.now(INFO)["link"] == "stopped"
    assert len(pbx.requests("End")) == 1
    assert "secret" not in log


async def test_commands_work_and_run_once(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """call, clear, presence, ping and resync; the same id twice runs once; MQTT 5 replies go home."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        command = "innovaphone/hq/command"
        for _ in range(2):
            bus.publish(f"{command}/call", {"id": "c1", "user": "anna", "number": "0800 1234"})
        await eventually(lambda: len(bus.replies("call")) == 2, "both requests are answered")
        first, second = bus.replies("call")
        assert (first["status"], second["duplicate"], first["call"]) == ("ok", True, second["call"])
        await eventually(lambda: "answered" in bus.types("anna"), "the far end answers")
        assert {event["call"]["command_id"] for event in bus.events("anna")} == {"c1"}
        assert len(pbx.requests("UserCall")) == 1

        bus.publish("innovaphone/hq/user/anna/command/clear", "")
        await eventually(lambda: "ended" in bus.types("anna"), "the call is cleared")
        bus.publish("innovaphone/hq/user/bert/command/presence", "away")
        bert = "innovaphone/hq/user/bert/state"
        await eventually(lambda: bus.now(bert)["presence"]["activity"] == "away", "bert is away")
        bus.publish(f"{command}/ping", "{}", response="innovaphone/reply/home", correlation=b"42")
        await eventually(lambda: "innovaphone/reply/home" in bus.tree, "the reply came to the response topic")
        bus.publish(f"{command}/resync", "")
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session was opened")


async def test_a_resync_takes_no_call_with_it(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A call dies with a session that ends within a second: the bridge waits, and places none meanwhile."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        command = "innovaphone/hq/command"
        bus.publish(f"{command}/call", {"id": "c1", "user": "anna", "number": "08001234"})
        bus.publish(f"{command}/resync", {"id": "r1"})
        bus.publish(f"{command}/call", {"id": "c2", "user": "bert", "number": "08001234"})
        await eventually(lambda: len(bus.replies("call")) == 2, "both calls are answered")
        await settled(bus, 2)

        first, second = bus.replies("call")
        assert [call["id"] for call in bus.now(ANNA)["calls"]] == [first["call"]]
        assert (second["code"], second["retryable"]) == ("pbx_offline", True)
        assert len(pbx.requests("UserCall")) == 1


async def test_refused_commands_do_nothing(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Retained, garbage, unknown and forbidden: a reply each, no request to the PBX."""
    retained = "innovaphone/hq/command/call"
    bus.publish(retained, {"id": "old", "user": "anna", "number": "1"}, retain=True)
    bus.publish("innovaphone/hq/command/call", {"id": "missed", "user": "anna", "number": "2"})
    settings = configuration(
        broker.port, pbx_section(pbx), commands={"numbers": {"deny": ["0900*"]}, "rate_per_minute": 6000}
    )
    async with bridge(settings):
        await online(bus)
        await settled(bus)
        garbage = [
            "{",
            "\x00",
            "[" * 5000,
            '{"user": 5}',
            '{"user": "anna", "number": "0900 1"}',
            '{"x": NaN}',
        ]
        for payload in [*garbage, '{"user": "anja", "number": "1"}']:
            bus.publish("innovaphone/hq/command/call", payload)
        bus.publish("innovaphone/hq/command/cal", "{}")
        bus.publish("innovaphone/hq/command/call", {"user": "anna", "number": "3"}, retain=True)
        await eventually(lambda: len(bus.replies("call")) == 9, "each request got its reply")
        await eventually(lambda: bus.replies("cal") != [], "the unknown verb too")

        codes = [reply["code"] for reply in bus.replies("call")]
        wanted = ["malformed", "malformed", "malformed", "invalid", "number_not_allowed", "malformed"]
        assert codes[:7] == ["retained", *wanted]
        assert sorted(codes[7:]) == ["retained", "unknown_user"]  # only the latter waits for its turn
        assert bus.replies("call")[0]["id"] == "old"
        assert "did you mean 'anna'" in bus.replies("call")[codes.index("unknown_user")]["message"]
        assert bus.replies("cal")[0]["code"] == "unknown_verb"
        assert pbx.requests("UserCall") == []
        await eventually(lambda: retained not in bus.tree, "the retained command was cleared")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_commands_are_refused_and_cleared(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """Those that lay there before the bridge came: refused by their ids, cleared, never carried out."""
    call, clear = "innovaphone/hq/command/call", "innovaphone/hq/user/anna/command/clear"
    bus.publish(call, {"id": "old", "user": "anna", "number": "1"}, retain=True)
    bus.publish(clear, "x", retain=True)
    bus.publish("innovaphone/hq/command/zzz", {"id": "z"}, retain=True)
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"]["protocol"] = protocol
    async with bridge(settings):
        await online(bus)
        verbs = ("call", "clear", "zzz")
        await eventually(lambda: all(bus.replies(verb) for verb in verbs), "each is refused")
        refusals = [(reply["code"], reply["id"]) for verb in verbs for reply in bus.replies(verb)]
        assert refusals == [("retained", "old"), ("retained", None), ("retained", "z")]
        await eventually(lambda: not [one for one in bus.tree if "/command/" in one], "all are cleared")
        await bus.heard_all()

        await settled(bus)
        pbx.ring("Anna M\u00fcller", "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "anna is called")
        bus.publish("innovaphone/hq/command/ping", {"id": "p"})
        await eventually(lambda: bus.replies("ping"), "what came before has been read")
        assert "ended" not in bus.types("anna"), "the echo of the clearing hangs nobody up"
        bus.publish(clear, "")
        await eventually(lambda: {"ended", "missed"} & set(bus.types("anna")), "an empty command works")
        assert pbx.requests("UserCall") == []
        assert [reply["code"] for reply in bus.replies("clear") if "code" in reply] == ["retained"]


async def test_a_resync_brings_back_what_was_deleted(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Retained topics that somebody cleared by hand, those of users who never change too."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        users = [topic for topic in bus.tree if topic.startswith("innovaphone/hq/user/")]
        assert len(users) > 3
        for topic in [*users, INFO]:
            bus.publish(topic, "", retain=True)
        await eventually(lambda: not set(users) & set(bus.tree), "they are gone")
        bus.publish("innovaphone/hq/command/resync", {"id": "r"})
        await eventually(lambda: set(users) | {INFO} <= set(bus.tree), "all are back")
        await eventually(lambda: bus.replies("resync"), "the request is answered")
        assert [reply["status"] for reply in bus.replies("resync")] == ["ok"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("html", "Poll"),
        Fault("truncated", "Poll"),
        Fault("dtd", "Poll"),
        Fault("big", "Poll", value=20e6),
        Fault("endless", "Poll"),
        Fault("gzip", "Poll"),
        Fault("redirect", "Poll"),
        Fault("cut", "Poll"),
        Fault("reset", "Poll"),
        Fault("empty", "Poll"),
        Fault("fault", "Poll"),
        Fault("http", "Poll", value=503),
        Fault("unauthorised", "Poll", times=2),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_bad_poll_reply_costs_one_session(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, fault: Fault
) -> None:
    """Refused within the caps, session opened anew, everything right again."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        pbx.faults.add(fault)
        pbx.set_presence("Anna Müller", "busy")
        await eventually(lambda: pbx.faults.pending == 0, "the next Poll is the one to be spoiled")
        pbx.set_presence("Anna Müller", "away")
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session is open")
        await eventually(lambda: bus.now(ANNA)["presence"]["activity"] == "away", "anna is right")
        await online(bus)


@pytest.mark.parametrize("way", ["fault", "empty", "http"])
async def test_a_session_that_vanished_is_noticed(broker: Mosquitto, bus: Observer, way: str) -> None:
    """Whichever of the three ways a PBX answers for an unknown session (docs/wire.md#open-questions)."""
    async with (
        SimPbx(STAFF, replace(FAST, invalid_session=way)) as pbx,
        bridge(configuration(broker.port, pbx_section(pbx))),
    ):
        await online(bus)
        await settled(bus)
        pbx.kill_sessions()
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session is open")
        await online(bus)
        assert len(pbx.requests("Poll")) < 50


@pytest.mark.parametrize(
    "decoration",
    [
        Decoration(xsi_type=False),
        Decoration(xsi_type=False, array_type=False),
        Decoration(item_names=True),
        Decoration(named_types=True, extra=True),
        Decoration(old_order=True, two_presences=True),
        Decoration(empty="missing"),
        Decoration(empty="nil", latin1=True),
    ],
)
async def test_any_decoration_gives_the_same_tree(
    broker: Mosquitto, bus: Observer, decoration: Decoration
) -> None:
    """Firmware dresses replies differently; the bus does not show it."""
    async with (
        SimPbx(STAFF, replace(FAST, decoration=decoration)) as pbx,
        bridge(configuration(broker.port, pbx_section(pbx))),
    ):
        await online(bus)
        await settled(bus)
        pbx.ring("Anna Müller", "0123", "ACME").answer()
        await eventually(lambda: "answered" in bus.types("anna"), "anna talks")

        assert bus.now(ANNA)["name"] == "Anna Müller"
        assert bus.events("anna")[0]["call"]["remote"]["name"] == "ACME"


async def test_rules_decide_who_is_seen(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Users by rule, calls by rule."""
    section = pbx_section(pbx, users=[{"number": "2*"}], calls=[{"name": "Anna*"}])
    async with bridge(configuration(broker.port, section)):
        await online(bus)
        await eventually(lambda: users(bus) == 3, "only the users with numbers are there")
        await eventually(lambda: len(pbx.requests("UserInitialize")) == 1, "only anna is followed")
        assert bus.now(INFO)["monitored"] == 1


async def test_a_call_whose_end_is_never_told_is_closed(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """The PBX counts no call of the user any more: that is enough, a moment later."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        call = pbx.ring("Anna Müller", "0123")
        call.answer()
        await eventually(lambda: bus.now(ANNA)["channels"] == 1, "anna has a call")
        pbx.lose(call)
        pbx.set_presence("Anna Müller", "away")
        await eventually(lambda: "ended" in bus.types("anna"), "the call is closed")
        assert bus.events("anna")[-1]["call"]["outcome"] == "lost"
        await eventually(lambda: bus.now(ANNA)["calls"] == [], "nothing is left of it")


async def test_who_leaves_the_rules_is_not_followed_any_more(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """UserEnd at the PBX; the user stays on the bus, its running call is closed there."""
    section = pbx_section(pbx, calls=[{"group": "sales"}])
    async with bridge(configuration(broker.port, section)):
        await settled(bus)
        pbx.ring("Anna Müller", "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")
        pbx.change_user("Anna Müller", groups=(("all", False),))
        await eventually(lambda: pbx.requests("UserEnd"), "the handle is given back")
        await eventually(lambda: bus.now(INFO)["monitored"] == 0, "nobody is followed")
        await eventually(lambda: "ended" in bus.types("anna"), "the call is closed")
        assert [event["call"]["outcome"] for event in bus.events("anna")][-1] == "lost"
        assert bus.now(ANNA)["calls"] == []


@pytest.mark.slow
async def test_a_standby_takes_over(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Two addresses: when one dies, the next attempt goes to the other, and back when that one dies."""
    async with SimPbx(STAFF, FAST) as standby:
        section = {**pbx_section(pbx), "urls": [pbx.soap_url, standby.soap_url]}
        del section["url"]
        async with bridge(configuration(broker.port, section)):
            await settled(bus)
            assert not standby.log
            await pbx.crash()
            await settled(bus, sessions=2)
            standby.ring("Anna Müller", "0123")
            await eventually(lambda: "ringing" in bus.types("anna"), "anna rings at the standby")
            await pbx.start_again()
            await standby.crash()
            await settled(bus, sessions=3)


async def test_a_switch_is_no_call(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A Boolean object's leg is its switch (docs/wire.md#switches)."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        pbx.switch("Night", manual=True, on=True)
        await eventually(lambda: "switched" in bus.types("night"), "the switch was told")

        night = bus.now("innovaphone/hq/user/night/state")
        assert (night["switch"], night["calls"]) == ({"mode": "manual", "on": True}, [])


async def test_a_door_bell_that_rings_while_the_bridge_starts(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """It is told as any other call, with the reason; a call that is further on is only updated."""
    pbx.ring("Anna Müller", "0123").answer()
    bell = pbx.ring("Bert O'Neil", "99", "Door")
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        await eventually(lambda: "ringing" in bus.types("bert"), "the bell is told")
        await eventually(lambda: bus.types("anna"), "the call is told")
        bell.answer()
        await eventually(lambda: "answered" in bus.types("bert"), "somebody opens")

        assert bus.types("bert") == ["incoming", "ringing", "answered"]
        assert [event.get("reason") for event in bus.events("bert")] == ["resync", "resync", None]
        assert [(event["event_type"], event["reason"]) for event in bus.events("anna")] == [
            ("updated", "resync")
        ]


TRUNK, QUEUE = "Trunk", "Queue"


def office() -> SimPbx:
    """A PBX with a trunk and a queue."""
    trunk = SimUser(TRUNK, "trunk", "0", type="gw", groups=(("all", False),))
    queue = SimUser(QUEUE, "queue", "50", type="waiting", groups=(("all", False),))
    return SimPbx((*STAFF, trunk, queue), FAST)


async def test_outcomes_of_trunk_and_queue(broker: Mosquitto, bus: Observer) -> None:
    """An outside caller gives up, one inside cancels, there is no route; callers leave a queue, or not."""
    anna = "Anna Müller"
    async with office() as pbx, bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        pbx.dial(TRUNK, anna).hang_up(TRUNK)
        pbx.dial(anna, TRUNK).hang_up(anna)
        pbx.dial(anna, TRUNK).hang_up(TRUNK, cause=3)
        left = pbx.ring(QUEUE, "0123")
        left.answer(QUEUE)
        left.hang_up()
        taken = pbx.ring(QUEUE, "0124")
        taken.answer(QUEUE)
        agent = pbx.fork(taken, anna)
        taken.answer_leg(agent)
        taken.drop(QUEUE, cause=16)
        taken.hang_up()
        await eventually(lambda: len(_ends(bus, "trunk")) == 3, "the calls over the trunk are over")
        await eventually(lambda: len(_ends(bus, "queue")) == 2, "the calls in the queue are over")
        await eventually(lambda: len(_ends(bus, "anna")) == 4, "Anna's calls are over")

        assert _ends(bus, "trunk") == [("missed", "missed"), ("ended", "cancelled"), ("ended", "failed")]
        assert _ends(bus, "queue") == [("missed", "abandoned"), ("ended", "answered_elsewhere")]
        assert _ends(bus, "anna")[:3] == [("missed", "missed"), ("ended", "cancelled"), ("ended", "failed")]
        assert "answered" not in bus.types("queue")


def _ends(bus: Observer, user: str) -> list[tuple[str, str]]:
    """Terminal events of a user, with their outcomes."""
    ends = [event for event in bus.events(user) if event["event_type"] in {"missed", "ended"}]
    return [(event["event_type"], event["call"]["outcome"]) for event in ends]


async def test_a_name_that_xml_forbids_costs_nothing_else(
    broker: Mosquitto, bus: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the directory, and of an outside caller: all others are on the bus, and calls go on."""
    spoiled = Decoration(misspelt=(("Carla &amp; Co", "Carla <Co"), ("Evil", "E&#11;v&il")))
    sim = SimPbx(STAFF, replace(FAST, decoration=spoiled))
    async with sim as pbx, bridge(configuration(broker.port, pbx_section(pbx))):
        await online(bus)
        await settled(bus)
        pbx.ring("Anna Müller", "0123", "Evil").answer()
        await eventually(lambda: "answered" in bus.types("anna"), "anna talks")

        assert bus.events("anna")[-1]["call"]["remote"]["name"] == "E\ufffdv&il"
        assert "innovaphone/hq/user/carla%2Fx/state" not in bus.tree
        assert bus.now("innovaphone/hq/user/bert/state")["name"] == "Bert O'Neil"
        assert bus.now(STATE) == "online"
        assert len(pbx.requests("Initialize")) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "records skipped" in line]
    assert len(lines) == 1
    assert "user record 'Carla '" in lines[0]


async def test_names_keep_their_blanks(broker: Mosquitto, bus: Observer) -> None:
    """The PBX knows its objects by their names as they are: monitored, and commands work."""
    dora = SimUser(
        " Dora  D ", "dora ", "24", " Dora ", guid="g-dora", groups=(("all ", False), ("all", False))
    )
    rule = {"group": "all ", "name": " Dora*"}
    async with SimPbx((*STAFF, dora), FAST) as pbx:
        section = pbx_section(pbx, calls=[rule])
        async with bridge(configuration(broker.port, section)):
            await settled(bus)
            state = bus.now("innovaphone/hq/user/dora%20/state")
            assert (state["name"], state["display_name"]) == (" Dora  D ", " Dora ")
            assert bus.now(INFO)["monitored"] == 1
            pbx.ring(" Dora  D ", "0123").hang_up()
            await eventually(lambda: "missed" in bus.types("dora%20"), "her call is told")
            bus.publish("innovaphone/hq/user/dora%20/command/call", "22")
            await eventually(lambda: bus.replies("call"), "the command is answered")
            assert bus.replies("call")[0]["status"] == "ok"


PARTS = [
    Fault("fault", "UserInitialize", about="Anna Müller"),
    Fault("http", "UserInitialize", about="Anna Müller"),
    Fault("http", "UserInitialize", value=404, about="Anna Müller"),
    Fault("http", "UserInitialize", value=503, about="Anna Müller"),
    Fault("empty", "UserInitialize", about="Anna Müller"),
    Fault("reset", "UserInitialize", about="Anna Müller"),
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", PARTS, ids=lambda fault: f"{fault.kind}-{fault.value:g}")
async def test_a_user_who_cannot_be_followed_costs_no_session(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, capsys: pytest.CaptureFixture[str], fault: Fault
) -> None:
    """All others are followed, figures tell the truth, one line names the user, who is followed later."""
    pbx.faults.add(fault)
    call = pbx.ring("Anna Müller", "0123")
    call.answer()
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: (bus.now(INFO) or {}).get("monitored") == len(STAFF) - 1, "all others are")
        assert (bus.now(STATE), bus.now(INFO)["settled"]) == ("online", False)
        pbx.ring("Bert O'Neil", "0123").hang_up()
        await eventually(lambda: "missed" in bus.types("bert"), "another call is told")
        await settled(bus)
        await eventually(lambda: bus.types("anna"), "her call is told")
        assert bus.now(INFO)["monitored"] == len(STAFF)
        assert [(event["event_type"], event["reason"]) for event in bus.events("anna")] == [
            ("updated", "resync")
        ]
        assert len(pbx.requests("Initialize")) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "user not monitored" in line]
    assert len(lines) == 1
    assert "Anna" in lines[0]


async def test_a_user_to_whom_the_pbx_gives_no_handle(
    broker: Mosquitto, bus: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is listed under a name that the PBX does not know: named, and never counted as monitored."""
    sim = SimPbx(STAFF, replace(FAST, decoration=Decoration(misspelt=(("Carla &amp; Co", "Karla"),))))
    async with sim as pbx, bridge(configuration(broker.port, pbx_section(pbx))):
        asked = "innovaphone/hq/command/ping"
        await eventually(lambda: (bus.now(INFO) or {}).get("monitored") == len(STAFF) - 1, "all others are")
        await eventually(lambda: "settled" in (bus.now(INFO) or {}), "info is there")
        bus.publish(asked, {})
        await eventually(lambda: bus.replies("ping"), "commands are answered")

        assert (bus.now(STATE), bus.now(INFO)["settled"]) == ("online", False)
        assert bus.now("innovaphone/hq/user/carla%2Fx/state")["name"] == "Karla"
        assert len(pbx.requests("Initialize")) == 1
        pbx.change_user("Carla & Co", h323="karla")
        await eventually(lambda: "innovaphone/hq/user/karla/state" in bus.tree, "the change is told")
        asked_for = [request.args["user"] for request in pbx.requests("UserInitialize")]
        assert asked_for.count("Karla") == 1
    assert capsys.readouterr().out.count("user not monitored") == 1


@pytest.mark.parametrize("echo", ["fault", "http", "reset"])
async def test_who_cannot_be_asked_whether_the_session_lives_has_lost_it(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, echo: str
) -> None:
    """A request failed and Echo fails too: the session is opened anew."""
    pbx.faults.add(Fault("fault", "UserInitialize", about="Anna Müller"))
    pbx.faults.add(Fault(echo, "Echo"))
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session is open")
        await settled(bus)
        assert bus.now(INFO)["monitored"] == len(STAFF)


async def test_other_operations_that_fail_cost_no_session(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """A fault to what a command asks for is the command's; one to UserEnd is nobody's."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await settled(bus)
        for operation in ("UserEnd", "UserCall", "SetPresence"):
            pbx.faults.add(Fault("fault", operation))
        bus.publish("innovaphone/hq/user/anna/command/call", "22")
        bus.publish("innovaphone/hq/user/anna/command/presence", "away")
        await eventually(lambda: bus.replies("call") and bus.replies("presence"), "both are answered")
        assert {bus.replies(verb)[0]["code"] for verb in ("call", "presence")} == {"pbx_error"}
        pbx.remove_user("Bert O'Neil")
        await eventually(lambda: pbx.faults.pending == 0, "a handle is given back in vain")
        pbx.ring("Anna Müller", "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")

        assert bus.now(INFO)["monitored"] == len(STAFF) - 1
        assert len(pbx.requests("Initialize")) == 1
