"""config/examples: the bridge's rights are those that it needs, and people get no more than is written there.

That the bridge works whole with them is tried in the broker matrix.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.check import check
from bridge.config.schema import Config
from bridge.sim.pbx import SimPbx
from tests.brokers.examples import (
    AccessList,
    DynamicSecurity,
    Example,
    ForHomeAssistant,
    Lacking,
    TiedToOneId,
)
from tests.brokers.people import Person
from tests.brokers.scene import Scene
from tests.brokers.servers import V3, V5
from tests.bus import Observer, eventually
from tests.kit.proxy import Proxy
from tests.running import FAST, STAFF, configuration, pbx_section

pytestmark = pytest.mark.broker
ROOT = "innovaphone/hq"
EVERYTHING = ("#", "innovaphone/#", f"{ROOT}/#", f"{ROOT}/command/+", f"{ROOT}/user/+/command/+", "$SYS/#")
SEEN_BY_CONSUMERS = {"state", "info", "event"}


@pytest.fixture(params=[AccessList, DynamicSecurity])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    """A broker with one of the examples, a bridge that is online, and an observer."""
    server: Example = request.param(tmp_path, "innovaphone")
    await asyncio.to_thread(server.start)
    try:
        async with (
            SimPbx(STAFF, FAST) as pbx,
            Observer(server.port, credentials=("observer", "secret")) as bus,
        ):
            made = Scene(server, V5, pbx, bus, tmp_path, {})
            async with made.bridge():
                await made.online()
                yield made
    finally:
        server.kill()


def person(scene: Scene, name: str, **more: str) -> Person:
    """A user at the listener for people."""
    assert isinstance(scene.server, Example)
    return Person(scene.server.people_port, scene.folder, name, **more)


async def everything_is_said(scene: Scene) -> None:
    """A call, a command of somebody else, its reply on both kinds of topic."""
    scene.bus.publish(f"{ROOT}/command/ping", {"id": "a"})
    scene.bus.publish(f"{ROOT}/command/ping", {"id": "b"}, response="innovaphone/reply/somebody")
    scene.pbx.ring("Bert O'Neil", "0123").hang_up()
    await eventually(lambda: "missed" in scene.bus.types("bert"), "bert missed a call")
    await eventually(lambda: scene.bus.replies("ping"), "the one reply came")
    await eventually(lambda: "innovaphone/reply/somebody" in scene.bus.tree, "the other too")
    await scene.bus.heard_all()


async def test_a_consumer_reads_and_does_nothing_else(scene: Scene) -> None:
    """It hears states, info and events; no command, no reply; nothing that it writes is taken."""
    async with person(scene, "dashboard") as consumer:
        await consumer.subscribe(*EVERYTHING)
        await consumer.subscribe(*(f"innovaphone/+/{each}" for each in ("state", "info", "user/+/state")))
        await consumer.subscribe(
            "innovaphone/+/user/+/event", "innovaphone/reply/#", "innovaphone/+/response/+"
        )
        await everything_is_said(scene)
        await eventually(lambda: f"{ROOT}/user/bert/event" in consumer.heard, "it hears the event")
        assert consumer.heard[f"{ROOT}/state"] == b"online"
        assert {f"{ROOT}/info", f"{ROOT}/user/anna/state"} <= consumer.heard.keys()
        assert {topic.rsplit("/", 1)[-1] for topic in consumer.heard} <= SEEN_BY_CONSUMERS
        for topic in (
            f"{ROOT}/state",
            f"{ROOT}/user/anna/state",
            f"{ROOT}/user/anna/event",
            f"{ROOT}/command/call",
            f"{ROOT}/user/anna/command/call",
            f"{ROOT}/response/call",
            "innovaphone/reply/dashboard",
            "elsewhere",
        ):
            assert not await consumer.may_publish(topic, "0123"), topic
    await nothing_changed(scene)


async def test_a_commander_of_one_user(scene: Scene) -> None:
    """It dials as anna and gets its reply; it commands nobody else, writes no state, reads no one else's."""
    home = "innovaphone/reply/anna-desk"
    async with person(scene, "anna-desk") as commander:
        await commander.subscribe(*EVERYTHING, home, f"{home}/#", "innovaphone/reply/#")
        await commander.subscribe(
            *(f"{ROOT}/{each}" for each in ("state", "user/anna/state", "user/+/event"))
        )
        await everything_is_said(scene)
        for topic in (
            f"{ROOT}/command/call",
            f"{ROOT}/command/ping",
            f"{ROOT}/user/bert/command/call",
            f"{ROOT}/user/bert/command/presence",
            f"{ROOT}/state",
            f"{ROOT}/user/anna/state",
            f"{ROOT}/user/anna/event",
            "innovaphone/other/user/anna/command/call",
            "elsewhere",
        ):
            assert not await commander.may_publish(topic, {"user": "anna", "number": "0123"}), topic
        await nothing_changed(scene)
        dials = f"{ROOT}/user/anna/command/call"
        assert await commander.may_publish(dials, {"id": "c1", "number": "0123"}, response=home)
        await eventually(lambda: home in commander.heard, "its reply came")
        assert json.loads(commander.heard[home])["status"] == "ok"
        assert len(scene.pbx.requests("UserCall")) == 1
        mine = {home, f"{ROOT}/state", f"{ROOT}/user/anna/state", f"{ROOT}/user/anna/event"}
        assert commander.heard.keys() <= mine
        assert commander.heard[f"{ROOT}/state"] == b"online"


async def test_a_commander_of_one_verb(scene: Scene) -> None:
    """It sets everybody's presence and does nothing else."""
    home = "innovaphone/reply/presence-bot/1"
    async with person(scene, "presence-bot") as commander:
        await commander.subscribe(*EVERYTHING, "innovaphone/reply/presence-bot/#", f"{ROOT}/state")
        for topic in (
            f"{ROOT}/user/bert/command/call",
            f"{ROOT}/command/presence",
            f"{ROOT}/user/bert/state",
        ):
            assert not await commander.may_publish(topic, "0123"), topic
        await nothing_changed(scene)
        sets = f"{ROOT}/user/bert/command/presence"
        assert await commander.may_publish(sets, {"activity": "away"}, response=home)
        await eventually(lambda: home in commander.heard, "its reply came")
        await eventually(lambda: scene.state("bert")["presence"]["activity"] == "away", "bert is away")
        assert commander.heard.keys() <= {home, f"{ROOT}/state"}


async def nothing_changed(scene: Scene) -> None:
    """The bridge was asked for nothing, and its tree is its own."""
    await scene.bus.heard_all()
    assert scene.pbx.requests("UserCall") == []
    assert scene.bus.replies("call") == []
    assert scene.now("state") == "online"
    assert scene.state("anna")["name"] == "Anna Müller"


async def test_nobody_takes_the_bridges_client_id(scene: Scene) -> None:
    """Nor does the bridge's own name open the listener for people, or a user without a password."""
    said = len([each for each in scene.bus.messages if each.topic == f"{ROOT}/state"])
    for name, client_id, password in (
        ("dashboard", "innovaphone-mqtt-hq", "secret"),
        ("anna-desk", "innovaphone-mqtt-hq", "secret"),
        ("bridge", "innovaphone-mqtt-hq", "guess"),
        ("admin", "innovaphone-mqtt-hq", ""),
    ):
        async with person(scene, name, client_id=client_id, password=password) as other:
            if other.accepted:
                assert not await other.may_publish(f"{ROOT}/state", "offline")
    await scene.bus.heard_all()
    assert len([each for each in scene.bus.messages if each.topic == f"{ROOT}/state"]) == said


async def test_a_bridge_that_is_tied_to_one_client_id_comes_back(tmp_path: Path) -> None:
    """It cannot look for a second bridge then; that must not keep it away. The check says what it needs."""
    server = TiedToOneId(tmp_path, "innovaphone")
    await asyncio.to_thread(server.start)
    try:
        async with (
            SimPbx(STAFF, FAST) as pbx,
            Observer(server.port, credentials=("observer", "secret")) as bus,
            Proxy(server.port) as way,
        ):
            made = Scene(server, V5, pbx, bus, tmp_path, {}).reached_through(way.port)
            async with made.bridge():
                for _ in range(3):
                    await eventually(lambda: made.now("state") == "online", "it is online")
                    way.reset()
                    await eventually(lambda: made.now("state") == "offline", "the will says offline")
                await eventually(lambda: made.now("state") == "online", "it is online again")
                lines = await check(Config.model_validate(made.configuration()))
    finally:
        server.kill()
    assert [line.word for line in lines] == ["ok", "FAIL"]
    assert "like innovaphone-mqtt-hq-check-1: are they allowed?" in lines[1].text


@pytest.mark.parametrize("protocol", [V5, V3])
@pytest.mark.parametrize(
    ("kind", "topic", "access"),
    [
        ("publishClientSend", "user/+/event", "write"),
        ("publishClientSend", "command/+", "write"),
        ("subscribePattern", "state", "read"),
        ("publishClientReceive", "user/+/state", "read"),
    ],
)
async def test_a_check_names_what_the_plugin_denies(
    tmp_path: Path, kind: str, topic: str, access: str, protocol: str
) -> None:
    """This right and no other, in the plugin's words too."""
    server = Lacking(tmp_path, "innovaphone")
    server.kind, server.topic = kind, f"{ROOT}/{topic}"
    await asyncio.to_thread(server.start)
    try:
        async with SimPbx(STAFF, FAST) as pbx:
            made = configuration(server.port, pbx_section(pbx))
            made["mqtt"] |= {
                "username": "bridge",
                "password": "secret",
                "protocol": protocol,
                "connect_timeout_s": 1,
            }
            lines = (await check(Config.model_validate(made)))[1:]
    finally:
        server.kill()
    unknown = [f"not known: read {ROOT}/{topic}"] if topic == "command/+" and access == "write" else []
    assert [line.word for line in lines] == ["FAIL", *("warn" for _ in unknown)], lines
    assert all(lines[1].text.endswith(each) for each in unknown)
    assert f"may not {access} {ROOT}/{topic} (" in lines[0].text
    assert kind in lines[0].text.rpartition("dynamic security: ")[2]


@pytest.mark.parametrize(
    ("example", "protocol", "devices"),
    [(ForHomeAssistant, V5, 2), (ForHomeAssistant, V3, 2), (DynamicSecurity, V5, 0), (AccessList, V3, 0)],
)
async def test_discovery_needs_its_rights_and_nothing_else_does(
    tmp_path: Path, example: type[Example], protocol: str, devices: int
) -> None:
    """With the lines of the example phones appear, and leftovers go; without them, the rest works."""
    server = example(tmp_path, "innovaphone")
    await asyncio.to_thread(server.start)
    prefix, settings = "homeassistant/device", {"discovery": "device", "users": [{"number": "21"}]}
    message = {"origin": {"name": "innovaphone-mqtt"}, "device": {"identifiers": ["innovaphone__hq__zoe"]}}
    try:
        async with (
            SimPbx(STAFF, FAST) as pbx,
            Observer(server.port, topics="#", credentials=("observer", "secret")) as bus,
        ):
            if devices:
                bus.publish(f"{prefix}/innovaphone__hq__zoe/config", message, retain=True)
                await bus.heard_all()
            scene = Scene(server, protocol, pbx, bus, tmp_path, {"homeassistant": settings})
            async with scene.bridge():
                await scene.online()
                pbx.ring("Anna M\u00fcller", "0123").hang_up()
                await eventually(lambda: "missed" in bus.types("anna"), "anna missed a call")
                await eventually(
                    lambda: sum(topic.startswith(prefix) for topic in bus.tree) == devices, "they appear"
                )
                assert f"{prefix}/innovaphone__hq__zoe/config" not in bus.tree
    finally:
        server.kill()
