"""For tests: what the bridge promises, each as a trial on a scene. A broker's limits are not known here."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from bridge.sim.model import SimUser
from tests.brokers.scene import LARGEST, STRANGE, Scene
from tests.bus import PATIENCE_S, Observer, eventually
from tests.kit.proxy import Proxy

Promise = Callable[[Scene], Awaitable[None]]
TRUTH_S = 2 * PATIENCE_S
TERMINAL = {"ended", "missed"}


def untrue(scene: Scene, tree: Mapping[str, bytes] | None = None) -> dict[str, str]:
    """What was heard of state, info and users, where it is not what the PBX has: empty, if all is well."""
    heard = scene.bus.tree if tree is None else tree
    users = {scene.topic(user.h323): user for user in scene.pbx.exchange.users.values()}
    wanted = {f"{scene.root}/state", f"{scene.root}/info", *users}
    mine = (topic for topic in heard if topic.startswith(f"{scene.root}/"))  # amqtt delivers others, too
    topics = {topic for topic in mine if topic.endswith(("/state", "/info"))}
    wrong = dict.fromkeys(topics - wanted, "too much") | dict.fromkeys(wanted - topics, "missing")
    for topic in topics & users.keys():
        wrong |= _compared(topic, users[topic], json.loads(heard[topic]))
    return wrong


def _compared(topic: str, user: SimUser, state: Any) -> dict[str, str]:
    said = (state["name"], state["number"], state["display_name"], state["registered"])
    groups = tuple((group["name"], group["active"]) for group in state["groups"])
    true = (user.cn, user.e164, user.dn, user.registered), user.groups
    return {} if (said, groups) == true else {topic: f"{(said, groups)} instead of {true}"}


async def truth(scene: Scene, what: str, bus: Observer | None = None) -> None:
    """Wait until the tree is the PBX's truth; when it is not in time, say what is wrong with it."""
    observer = bus or scene.bus
    try:
        await eventually(lambda: not untrue(scene, observer.tree), what, within=TRUTH_S)
    except pytest.fail.Exception:
        pytest.fail(f"not within {TRUTH_S:g} s: {what}: {untrue(scene, observer.tree)}")


async def online(scene: Scene) -> None:
    """`online` comes when both sessions are up, `offline` when the bridge stops."""
    async with scene.bridge():
        await scene.online()
    await eventually(lambda: scene.now("state") == "offline", "offline is said at the stop")
    await eventually(lambda: scene.now("info")["link"] == "stopped", "info says why")


async def tree(scene: Scene) -> None:
    """The states are the PBX's truth, and follow it; a user that is deleted vanishes."""
    async with scene.bridge():
        await scene.online()
        await truth(scene, "the tree is the PBX's truth")
        scene.pbx.change_user("Bert O'Neil", dn="Bertram", registered=False)
        scene.pbx.set_presence("Anna M\u00fcller", "away")
        await eventually(lambda: scene.state("anna")["presence"]["activity"] == "away", "anna is away")
        scene.pbx.remove_user("Carla & Co")
        await truth(scene, "the tree is the truth after the changes")


async def retained(scene: Scene) -> None:
    """Who begins to listen later gets the state at once; what is gone is gone for it too."""
    async with scene.bridge():
        await scene.online()
        await truth(scene, "the tree is the PBX's truth")
        async with scene.observer(scene.topic("anna")) as late:
            await eventually(lambda: late.now(scene.topic("anna")), "the state of a user came")
            assert late.messages[0].retain
        scene.pbx.remove_user("Carla & Co")
        await truth(scene, "carla has vanished")
        async with scene.observer(scene.topic("carla/x")) as late:
            await late.heard_all()
            assert late.tree.get(scene.topic("carla/x")) is None


async def wildcard(scene: Scene) -> None:
    """The same with one subscription to all users."""
    async with scene.bridge():
        await scene.online()
        await truth(scene, "the tree is the PBX's truth")
        async with scene.observer(f"{scene.bus.base}/#") as late:
            await truth(scene, "the whole tree came", late)


async def events(scene: Scene) -> None:
    """The events of a call come in order, each once, none of them retained."""
    async with scene.bridge():
        await scene.online()
        call = scene.pbx.ring("Anna M\u00fcller", "0123", "ACME")
        await eventually(lambda: "ringing" in scene.bus.types("anna"), "anna rings")
        call.answer()
        call.hold("Anna M\u00fcller")
        call.retrieve("Anna M\u00fcller")
        call.hang_up()
        await eventually(lambda: "ended" in scene.bus.types("anna"), "the call ended")
        await scene.bus.heard_all()
        wanted = ["incoming", "ringing", "answered", "held", "retrieved", "ended"]
        assert [kind for kind in scene.bus.types("anna") if kind != "updated"] == wanted
        numbers = [event["seq"] for event in scene.bus.events()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert not any(each.retain for each in scene.bus.messages if each.topic.endswith("/event"))


async def commands(scene: Scene) -> None:
    """A command runs once and gets exactly one reply, in both topic forms; a repeated id is a duplicate."""
    async with scene.bridge():
        await scene.online()
        request = {"id": "c1", "user": "anna", "number": "0800 1234"}
        scene.bus.publish(f"{scene.root}/command/call", request)
        await eventually(lambda: scene.bus.replies("call"), "the command got its reply")
        scene.bus.publish(f"{scene.root}/command/call", request)
        await eventually(lambda: len(scene.bus.replies("call")) == 2, "the repeated one too")
        scene.bus.publish(scene.topic("bert", "command/presence"), "away")
        await eventually(lambda: scene.bus.replies("presence"), "the bare value got its reply")
        await scene.bus.heard_all()
        told = [(reply["status"], reply.get("duplicate", False)) for reply in scene.bus.replies("call")]
        assert told == [("ok", False), ("ok", True)]
        assert [reply["status"] for reply in scene.bus.replies("presence")] == ["ok"]
        assert len(scene.pbx.requests("UserCall")) == 1


async def response_topic(scene: Scene) -> None:
    """With a response topic the one reply goes there and nowhere else, with the correlation data."""
    async with scene.bridge():
        await scene.online()
        home = f"{scene.bus.base}/reply/me"
        scene.bus.publish(f"{scene.root}/command/ping", {"id": "p"}, response=home, correlation=b"42")
        await eventually(lambda: home in scene.bus.tree, "the reply came")
        await scene.bus.heard_all()
        replies = [message for message in scene.bus.messages if message.topic == home]
        assert [reply.json["id"] for reply in replies] == ["p"]
        assert [reply.correlation for reply in replies] == [b"42"]
        assert scene.bus.replies("ping") == []


async def stale_command(scene: Scene) -> None:
    """A command that lay retained before the bridge came is refused with its id and cleared."""
    topic = f"{scene.root}/command/call"
    scene.bus.publish(topic, {"id": "old", "user": "anna", "number": "1"}, retain=True)
    async with scene.bridge():
        await scene.online()
        await eventually(lambda: scene.bus.replies("call"), "it was refused")
        await eventually(lambda: topic not in scene.bus.tree, "it was cleared")
        reply = scene.bus.replies("call")[0]
        assert (reply["code"], reply["id"]) == ("retained", "old")
        assert scene.pbx.requests("UserCall") == []
        async with scene.observer(topic) as late:
            await late.heard_all()
            assert topic not in late.tree


async def restart(scene: Scene) -> None:
    """The broker comes back empty: the tree is there again, late events say so.

    The bridge finds the broker only after the observer has: what is not retained would pass unheard.
    """
    async with Proxy(scene.server.port) as way:
        mine = scene.reached_through(way.port)
        async with mine.bridge():
            await scene.online()
            way.refuse()
            await asyncio.to_thread(scene.server.kill)
            await eventually(lambda: not scene.bus.subscribed, "the observer has lost the broker")
            scene.pbx.ring("Anna M\u00fcller", "0123").hang_up()
            scene.pbx.remove_user("Carla & Co")
            await eventually(lambda: scene.pbx.sessions.up_to_date, "the bridge has heard of it")
            await asyncio.to_thread(scene.server.start)
            await eventually(lambda: scene.bus.subscribed, "the observer is back")
            way.listen()
            await truth(scene, "the tree is back")
            await eventually(lambda: "missed" in scene.bus.types("anna"), "the late event came")
            assert scene.bus.events("anna")[-1]["queued"] is True


async def crash(scene: Scene) -> None:
    """`kill -9` in mid-call: the will says offline; the next start ends the call once."""
    async with scene.program() as program:
        await scene.online()
        call = scene.pbx.ring("Anna M\u00fcller", "0123")
        call.answer()
        await eventually(lambda: "answered" in scene.bus.types("anna"), "anna talks")
        await eventually(lambda: scene.state("anna")["calls"], "her state has the call")
        await program.end(signal.SIGKILL)
        await eventually(lambda: scene.now("state") == "offline", "the will says offline")
        call.hang_up()
        scene.pbx.remove_user("Bert O'Neil")
        await program.start()
        await scene.online()
        await eventually(lambda: "ended" in scene.bus.types("anna"), "the call is closed")
        await truth(scene, "the tree is the PBX's truth")
        code, _ = await program.end(signal.SIGTERM)
        await scene.bus.heard_all()
        ends = [event for event in scene.bus.events("anna") if event["event_type"] in TERMINAL]
        assert [event["call"]["outcome"] for event in ends] == ["lost"]
        assert scene.state("anna")["calls"] == []
        assert code == 0


async def names(scene: Scene) -> None:
    """Short names with dots and odd characters: state, event, command and reply of each arrive."""
    async with scene.bridge():
        await scene.online()
        for user in STRANGE:
            scene.pbx.add_user(user)
            await _reachable(scene, user)


async def _reachable(scene: Scene, user: SimUser) -> None:
    short = user.h323
    await eventually(lambda: scene.state(short), f"the state of {short} is there")
    scene.pbx.ring(user.cn, "0123")
    await eventually(lambda: scene.topic(short, "event") in scene.bus.tree, f"the events of {short} come")
    before = len(scene.bus.replies("presence"))
    scene.bus.publish(scene.topic(short, "command/presence"), "busy")
    await eventually(
        lambda: len(scene.bus.replies("presence")) > before, f"a command for {short} is answered"
    )
    await eventually(lambda: scene.state(short)["presence"]["activity"] == "busy", f"{short} is busy")


async def large(scene: Scene) -> None:
    """A state of 3 kB arrives."""
    async with scene.bridge():
        await scene.online()
        scene.pbx.add_user(LARGEST)
        await truth(scene, "the large state is there too")


PROMISES: dict[str, Promise] = {
    "online": online,
    "tree": tree,
    "retained": retained,
    "wildcard": wildcard,
    "events": events,
    "commands": commands,
    "response topic": response_topic,
    "stale command": stale_command,
    "restart": restart,
    "crash": crash,
    "names": names,
    "large": large,
}
