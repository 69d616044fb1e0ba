"""For tests: a real Mosquitto that can be killed, and an independent observer over plain paho."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests import contract_checker
from tests.kit import paho_thread

Test = TypeVar("Test", bound=Callable[..., object])
PROBLEMS_AT_MOST = 20
FENCES = "observer"
"""Where an observer publishes what it wants to hear itself."""
WORKERS = 8
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
PORTS = range(20_000 + WORKER, 32_768, WORKERS)
"""Every worker of a run has its own ports: a broker that is away for a moment finds its port free again."""
PATIENCE_S = 30.0 if "PYTEST_XDIST_WORKER" in os.environ else 10.0
"""Time lost by the test only when it fails; with neighbours everything may take longer."""


def amqtt_leaks(test: Test) -> Test:
    """For tests that may run amqtt in this process: it leaves its sockets to the garbage collector.

    That is made to run before the test ends, else the warnings would hit an innocent test later.
    """
    ignored = ("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    marked: Test = pytest.mark.usefixtures("_collected")(pytest.mark.filterwarnings(*ignored)(test))
    return marked


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections.

    Else somebody may get it while a broker is away; even a client that knocks there, and reaches itself.
    """
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def mosquitto_path() -> str:
    """Where Mosquitto is; skips without it, and fails where CI should have it."""
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if path is None:
        reason = "Mosquitto is not installed (apt install mosquitto): tests with a real broker are left out"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class Mosquitto:
    """A broker on a free loopback port without persistence: empty after each start."""

    def __init__(self, folder: Path, *extra: str, anonymous: bool = True) -> None:
        self.port = free_port()
        self.web_port: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._file = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "set_tcp_nodelay true", *extra]
        lines.append(f"allow_anonymous {str(anonymous).lower()}")
        if os.geteuid() == 0:
            lines.append("user root")  # else it could not read files of a test that runs as root
        self._file.write_text("\n".join(lines) + "\n")

    def add_websocket(self) -> int:
        """A second listener, for WebSockets; before the start."""
        self.web_port = free_port()
        with self._file.open("a") as file:
            file.write(f"listener {self.web_port} 127.0.0.1\nprotocol websockets\n")
        return self.web_port

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start, and wait until it accepts connections."""
        nowhere = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            mosquitto_path(), "-c", str(self._file), stdout=nowhere, stderr=nowhere
        )
        ports = [self.port] if self.web_port is None else [self.port, self.web_port]
        await eventually(lambda: all(_accepts(port) for port in ports), "Mosquitto accepts connections")

    def reload(self) -> None:
        """Have it read its access list again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as the observer got it."""

    topic: str
    payload: bytes
    retain: bool
    at: float
    correlation: bytes | None = None

    @property
    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class Observer:
    """Sees everything on a broker, by paho's own thread; shares no code with the bridge."""

    def __init__(
        self,
        port: int,
        *,
        base: str = "innovaphone",
        topics: str = "#",
        protocol: str = "5",
        credentials: tuple[str, str] | None = None,
        qos: int = 1,
        silence_s: int = 60,
        judges: bool = True,
    ) -> None:
        """`silence_s`: how long a connection may leave us without a word, or without our subscriptions.

        `judges`: in the end, what others have published in the name of a bridge must be as the contract says.
        """
        self.base = base
        self._qos = qos
        self._silence_s = silence_s
        self._watch = threading.Timer(0, lambda: None)
        self._messages: list[Seen] = []
        self._lock = threading.Lock()
        self._tree: dict[str, bytes] = {}
        self._port = port
        self.judges = judges
        self._own: set[tuple[str, bytes]] = set()
        version = paho.MQTTv5 if protocol == "5" else paho.MQTTv311
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
        if credentials is not None:
            self._client.username_pw_set(*credentials)
        filters = [(each, 1) for each in dict.fromkeys((topics, "#" if topics == "#" else f"{FENCES}/#"))]
        self._client.on_connect = lambda *_: self._on_connect(filters)
        self._client.on_message = self._on_message
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._on_subscribe()
        self._client.on_disconnect = lambda *_: self._on_disconnect()
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]  # it only waits so long

    async def __aenter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port, self._silence_s)
        self._client.loop_start()
        await eventually(self._subscribed.is_set, "the observer is subscribed")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._watch.cancel()
        self._client.disconnect()
        await asyncio.to_thread(paho_thread.stop, self._client)
        problems = self.problems() if self.judges and not any(error) else []
        if problems:
            pytest.fail("\n".join(problems))

    def problems(self) -> list[str]:
        """What is not as the contract says it, in the messages of others."""
        heard = dict.fromkeys((each.topic, each.payload) for each in self.messages)
        return [
            problem
            for topic, payload in heard
            if (topic, payload) not in self._own
            for problem in contract_checker.problems(topic, payload)
        ][:PROBLEMS_AT_MOST]

    def _send(
        self, topic: str, body: str | bytes, properties: Properties, *, retain: bool = False
    ) -> paho.MQTTMessageInfo:
        """Publish, and remember that it is ours."""
        if contract_checker.TOPIC.fullmatch(topic):
            self._own.add((topic, body if isinstance(body, bytes) else body.encode()))
        return self._client.publish(topic, body, self._qos, retain, properties=properties)

    @property
    def subscribed(self) -> bool:
        """It hears what is published now; after an outage it comes back by itself."""
        return self._subscribed.is_set()

    @property
    def tree(self) -> dict[str, bytes]:
        """The last message of each topic, as it is now; paho's thread goes on meanwhile."""
        with self._lock:
            return dict(self._tree)

    @property
    def messages(self) -> list[Seen]:
        """Everything so far."""
        with self._lock:
            return list(self._messages)

    @property
    def count(self) -> int:
        """How many messages have come so far."""
        return len(self._messages)

    def since(self, count: int) -> list[Seen]:
        """What came after the first `count` messages."""
        with self._lock:
            return self._messages[count:]

    def events(self, user: str = "", pbx: str = "hq") -> list[Any]:
        """The call events of a user, or of all, decoded."""
        wanted = f"{self.base}/{pbx}/user/"
        return [
            message.json
            for message in self.messages
            if message.topic.startswith(wanted)
            and message.topic.endswith("/event")
            and user in {"", message.topic.split("/")[3]}
        ]

    def types(self, user: str = "", pbx: str = "hq") -> list[str]:
        """The types of these events."""
        return [event["event_type"] for event in self.events(user, pbx)]

    def replies(self, verb: str, pbx: str = "hq") -> list[Any]:
        """The replies to a verb."""
        topic = f"{self.base}/{pbx}/response/{verb}"
        return [message.json for message in self.messages if message.topic == topic]

    def now(self, topic: str) -> Any:
        """The last message of a topic: JSON, text or None."""
        payload = self._tree.get(topic)
        if payload is None:
            return None
        return json.loads(payload) if payload[:1] == b"{" else payload.decode()

    def forget(self, topic: str) -> None:
        """Know nothing of a topic until it is published again."""
        with self._lock:
            del self._tree[topic]

    def publish(
        self,
        topic: str,
        payload: object,
        *,
        retain: bool = False,
        response: str | None = None,
        correlation: bytes | None = None,
        named: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Send something; a mapping becomes JSON. `named`: user properties."""
        body = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        properties = _reply_to(response, correlation)
        if named:
            properties.UserProperty = list(named)
        self._send(topic, body, properties, retain=retain).wait_for_publish(5)

    async def heard_all(self) -> None:
        """Wait until we have what the broker has taken so far: it dies with what it still owes us."""
        fence = f"{FENCES}/{time.monotonic_ns()}"
        self.send(fence, {})
        await eventually(lambda: fence in self._tree, "the observer hears itself")

    def send(self, topic: str, payload: object, *, response: str | None = None) -> None:
        """Send something, at least once, when there is a broker; nobody waits for it."""
        self._send(topic, json.dumps(payload), _reply_to(response))

    def send_bytes(self, topic: str, payload: bytes, *, response: str | None = None) -> Callable[[], bool]:
        """The same for something that is no JSON; what it returns tells whether the broker has it."""
        return self._send(topic, payload, _reply_to(response)).is_published

    def _on_connect(self, filters: list[tuple[str, int]]) -> None:
        self._client.subscribe(filters)
        self._watch.cancel()
        self._watch = threading.Timer(self._silence_s, self._leave, [self._client.socket()])
        self._watch.daemon = True
        self._watch.start()

    def _on_subscribe(self) -> None:
        self._watch.cancel()
        self._subscribed.set()

    def _leave(self, connection: object) -> None:
        """End a connection that has not subscribed us; paho makes another one."""
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    def _on_disconnect(self) -> None:
        """What is retained is told anew by the next broker, which may have forgotten it."""
        self._subscribed.clear()
        with self._lock:
            self._tree.clear()

    def _on_message(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        correlation = getattr(message.properties, "CorrelationData", None)
        seen = Seen(message.topic, bytes(message.payload), message.retain, time.monotonic(), correlation)
        with self._lock:
            self._messages.append(seen)
            if seen.payload:
                self._tree[seen.topic] = seen.payload
            else:
                self._tree.pop(seen.topic, None)


async def eventually(
    true: Callable[[], object],
    what: str,
    within: float = PATIENCE_S,
    *,
    moves: Callable[[], object] = lambda: None,
) -> None:
    """Wait until something is so; fail with its description when it is not in time.

    What has much to catch up with may take long on a busy machine: while `moves` changes, it has time again.
    """
    end, seen = time.monotonic() + within, moves()
    while not true():
        if (now := moves()) != seen:
            end, seen = time.monotonic() + within, now
        if time.monotonic() > end:
            pytest.fail(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.01)


def _reply_to(response: str | None, correlation: bytes | None = None) -> Properties:
    """The properties of a message that is to be answered at `response`, if anywhere."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if response is not None:
        properties.ResponseTopic = response
        properties.CorrelationData = correlation or b""
    return properties


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
