"""The demo: start everything, describe the messages, and prove the whole loop with commands."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge import app
from bridge.config.schema import Config
from bridge.core.message import Incoming, Message, Subscription
from bridge.demo.broker import broker
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from bridge.ops import log
from bridge.sim.operations import Profile
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.scenario import office, play
from bridge.watch import words

CALLER, PRESENT = "reception", "dave"
PROOF_S = 15.0
ROOT = "innovaphone/office"
Say = Callable[[str], object]
Fields = Mapping[str, object]


@dataclass(slots=True)
class Seen:
    """What the demo has seen on the bus so far."""

    users: set[str] = field(default_factory=set)
    state: str = ""
    presence: dict[str, str] = field(default_factory=dict)
    events: list[Fields] = field(default_factory=list)
    replies: dict[str, Fields] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def online(self) -> bool:
        """The bridge has published `online`."""
        return self.state == "online"

    def event_types(self, **wanted: object) -> list[str]:
        """The types of the events whose call has these fields, in order."""
        found = []
        for event in self.events:
            call = event.get("call")
            if isinstance(call, dict) and wanted.items() <= call.items():
                found.append(str(event["event_type"]))
        return found

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        while not true():
            self.changed.clear()
            await self.changed.wait()


async def demo(for_s: float, listen: str, say: Say) -> int:
    """Run the demo; exit code 0 if everything expected was seen, else 1. `listen`: as `http.listen`."""
    log.configure("warning", "text")
    seen, stop = Seen(), asyncio.Event()
    scene = office()
    options = SimOptions(profile=Profile(far_end_answers_s=0.5))
    async with SimPbx(scene.users, options) as pbx, broker() as (name, port):
        say(f"A simulated PBX at {pbx.url}, {name} on port {port}, and the bridge between them.")
        say(f"Each line below is a message; to see them all: mosquitto_sub -p {port} -v -t '{ROOT}/#'\n")
        config = _config(pbx.url, port, listen)
        tasks = [
            asyncio.create_task(app.run(config, config.pbxs, stop), name="bridge"),
            asyncio.create_task(_watch(port, seen, say), name="watch"),
        ]
        try:
            return await _show(for_s, pbx, seen, tasks, say)
        finally:
            stop.set()
            tasks[1].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _show(for_s: float, pbx: SimPbx, seen: Seen, tasks: list[asyncio.Task[None]], say: Say) -> int:
    """Play the scene repeatedly, until the time is up or a part of the demo fails."""
    playing = asyncio.create_task(_play(pbx, seen), name="scene")
    try:
        done, _ = await asyncio.wait(
            [*tasks, playing], timeout=for_s or None, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
    return _verdict(seen, len(pbx.exchange.users), say)


async def _play(pbx: SimPbx, seen: Seen) -> None:
    await seen.until(lambda: seen.online)
    while True:
        await play(pbx, office())


def _config(url: str, port: int, listen: str) -> Config:
    pbx = {"name": "office", "url": url, "username": "admin", "password": "secret", "session_user": "API"}
    mqtt = {"url": f"mqtt://127.0.0.1:{port}"}
    http = {"listen": listen}
    return Config.model_validate(
        {"mqtt": mqtt, "pbxs": [{**pbx, "resync_grace_s": 0.3, "end_grace_s": 0.3}], "http": http}
    )


async def _watch(port: int, seen: Seen, say: Say) -> None:
    """Subscribe as any consumer would, and send the commands of the proof."""
    settings = BrokerSettings("127.0.0.1", port, client_id=f"demo-{os.getpid()}")
    will = Message("demo/state", "gone")
    async with connect(settings, will) as connection:
        await connection.subscribe([Subscription(f"{ROOT}/#")])
        proof = asyncio.create_task(_prove(connection, seen, say), name="proof")
        try:
            while True:
                _note(await connection.incoming.get(), seen, say)
                seen.changed.set()
        finally:
            proof.cancel()
            await asyncio.gather(proof, return_exceptions=True)


def _note(incoming: Incoming, seen: Seen, say: Say) -> None:
    """Record one message, and print it if it means something to people."""
    levels = incoming.topic.split("/")
    if levels[2:] == ["state"]:
        state = incoming.payload.decode()
        if state != seen.state:
            seen.state = state
            say(f"{'office':>10}  the PBX is {state}")
        return
    payload = _decoded(incoming.payload)
    match levels[2:]:
        case ["user", _, "event"]:
            seen.events.append(payload)
            sentence = words.of_event(payload)
            if sentence:
                say(sentence)
        case ["user", user, "state"] if payload:
            seen.users.add(user)
            presence = words.of_presence(payload)
            if seen.presence.get(user, presence) != presence:
                say(presence)
            seen.presence[user] = presence
        case ["response", _] if payload:
            seen.replies[str(payload.get("id"))] = payload
            say(f"{'reply':>10}  {payload.get('verb')}: {payload.get('code') or payload.get('status')}")


async def _prove(connection: Connection, seen: Seen, say: Say) -> None:
    """Place a call by command, see it answered, hang up, set a presence and see it."""
    await seen.until(lambda: seen.online and CALLER in seen.users)
    base = f"{ROOT}/user/{CALLER}/command"
    say(f"{'command':>10}  {CALLER}: call 0800 1234")
    await connection.publish(Message(f"{base}/call", {"id": "demo-call", "number": "0800 1234"}))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PROOF_S):
            await seen.until(lambda: "answered" in seen.event_types(command_id="demo-call"))
    say(f"{'command':>10}  {CALLER}: clear")
    call = seen.replies.get("demo-call", {}).get("call")
    await connection.publish(Message(f"{base}/clear", {"id": "demo-clear", "call": call}))
    say(f"{'command':>10}  {PRESENT}: presence away")
    topic = f"{ROOT}/user/{PRESENT}/command/presence"
    await connection.publish(Message(topic, {"id": "demo-presence", "activity": "away", "note": "demo"}))


def _verdict(seen: Seen, expected: int, say: Say) -> int:
    inbound = seen.event_types(direction="inbound")
    placed = seen.event_types(command_id="demo-call")
    checks = {
        f"all {expected} users are listed": len(seen.users) == expected,
        "a call was seen from ringing to its end": {"incoming", "ringing", "answered", "ended"}
        <= set(inbound),
        "a command placed a call that was answered": "answered" in placed,
        "a command ended the call": "ended" in placed and _ok(seen, "demo-clear"),
        "a command set a presence": _ok(seen, "demo-presence") and "away" in seen.presence.get(PRESENT, ""),
    }
    say("")
    for sentence, good in checks.items():
        say(f"{'yes' if good else 'NO ':>10}  {sentence}")
    return 0 if all(checks.values()) else 1


def _ok(seen: Seen, request_id: str) -> bool:
    return seen.replies.get(request_id, {}).get("status") == "ok"


def _decoded(payload: bytes) -> Fields:
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
