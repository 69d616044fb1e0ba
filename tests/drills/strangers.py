"""Strangers who send one kind of thing without end: MQTT clients, HTTP clients, a PBX. They judge nothing.

Each sends as fast as the other side takes it, but never faster than its own rate, which two cores carry.
"""

import asyncio
import contextlib
import errno
import json
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import eventually
from tests.drills.bench import Bench
from tests.kit import paho_thread

STRANGER = "stranger"
HQ = "innovaphone/hq"
VICTIM = f"{HQ}/user/p1/command"
ONE_USER, ALL_COMMANDS = f"{VICTIM}/#", f"{HQ}/command/#"
FORBIDDEN = f"{HQ}/user/p2/command/clear"
REPLIES = "innovaphone/reply/stranger"
IN_FLIGHT, UNHEARD, HALF_OPEN = 20, 500, 150
TICK_S, BURST_S = 0.01, 0.1
TAKEN_S = 30.0
LARGE = 60_000
TOO_DEEP, DEEPEST = 202, 200
"""Levels of a topic: more than Mosquitto lets anybody publish, and as many as it does."""
LINGER_0 = struct.pack("ii", 1, 0)
ALIKE = "long names that are alike " * 6
CROWD = 600


class Weapon(Protocol):
    """What a stranger sends with; `taken` counts what the other side has accepted."""

    taken: int

    def room(self) -> bool:
        """The other side has taken enough of what was sent to be sent more."""
        ...

    def send(self, number: int) -> None:
        """Send the piece of this number."""
        ...


Opened = Callable[[Bench], AbstractAsyncContextManager[Weapon]]


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent, how often in a second at most, and the only topics its sender may write."""

    weapon: Opened
    per_s: float
    right: str = ""


async def send_for(weapon: Weapon, per_s: float, seconds: float, numbers: Iterator[int]) -> int:
    """Send at a bounded rate for some seconds; how many pieces were taken."""
    start = last = time.monotonic()
    before, credit = weapon.taken, 0.0
    while (now := time.monotonic()) - start < seconds:
        credit, last = min(credit + (now - last) * per_s, per_s * BURST_S), now
        while credit >= 1 and weapon.room():
            weapon.send(next(numbers))
            credit -= 1
        await asyncio.sleep(TICK_S)
    await eventually(weapon.room, "what was sent last is taken", within=TAKEN_S, moves=lambda: weapon.taken)
    return weapon.taken - before


@dataclass(frozen=True, slots=True)
class Piece:
    """One message."""

    topic: str
    payload: bytes
    retain: bool = False
    response: str = ""
    correlation: bytes = b""


class Client:
    """An MQTT 5 client; what the broker refuses does not count as taken."""

    def __init__(self, port: int, pieces: Callable[[int], Piece]) -> None:
        self.taken = 0
        self.refused = 0
        self.cut = False
        self._sent = 0
        self._pieces = pieces
        self._port = port
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.username_pw_set(STRANGER)
        self._client.on_publish = self._on_publish
        self._client.on_disconnect = self._on_disconnect

    @asynccontextmanager
    async def connected(self) -> AsyncIterator["Client"]:
        """Connected, and surely without the right to another topic."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        try:
            await eventually(self._client.is_connected, "the stranger is connected")
            self._publish(Piece(FORBIDDEN, b""))
            await eventually(lambda: self.refused == 1, "the stranger may not write to another user")
            yield self
        finally:
            self._client.disconnect()
            await asyncio.to_thread(paho_thread.stop, self._client)

    def room(self) -> bool:
        """See Weapon: the broker has acknowledged all but a few."""
        return self._sent - self.taken - self.refused < IN_FLIGHT

    def send(self, number: int) -> None:
        """See Weapon."""
        self._publish(self._pieces(number))

    def _publish(self, piece: Piece) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if piece.response:
            properties.ResponseTopic = piece.response
            properties.CorrelationData = piece.correlation
        self._sent += 1
        self._client.publish(piece.topic, piece.payload, 1, piece.retain, properties=properties)

    def _on_disconnect(self, *_: object) -> None:
        self.cut = True

    def _on_publish(self, _client: object, _data: object, _mid: int, code: ReasonCode, _more: object) -> None:
        self.refused += code.is_failure
        self.taken += not code.is_failure


def by_mqtt(pieces: Callable[[int], Piece]) -> Opened:
    """A client of the broker."""
    return lambda made: Client(made.broker.port, pieces).connected()


def _request(number: int, /, **fields: object) -> bytes:
    return json.dumps({"id": f"s-{number}", **fields}).encode()


def new_ids(number: int) -> Piece:
    """Good requests of all verbs that a user's topic has, each with an id of its own."""
    verb, fields = (
        ("call", {"number": f"7{number:06}"}),
        ("presence", {"activity": "away"}),
        ("clear", {}),
    )[number % 3]
    return Piece(f"{VICTIM}/{verb}", _request(number, **fields))


def one_id(_number: int) -> Piece:
    """The same request, again and again."""
    return Piece(f"{VICTIM}/call", _request(0, number="7000000"))


def retained(number: int) -> Piece:
    """A retained message on a long topic of its own; each third one is a request that could be obeyed."""
    verb = f"{number}-{'x' * 1000}" if number % 3 else "call"
    return Piece(f"{VICTIM}/{verb}", _request(number, number=f"7{number:06}"), retain=True)


def large_correlation(number: int) -> Piece:
    """What a reply would have to carry is large."""
    correlation = number.to_bytes(4) * (LARGE // 4)
    return Piece(
        f"{VICTIM}/call", _request(number, number=f"7{number:06}"), response=REPLIES, correlation=correlation
    )


def _deep_response(levels: int, number: int) -> Piece:
    """The reply is to go to a topic that is too deep for anybody, or to one that is deep but allowed."""
    response = "/".join("a" * levels) if number % 2 else f"{REPLIES}/{'/'.join(str(number))}"
    return Piece(f"{VICTIM}/clear", _request(number), response=response, correlation=b"x")


@asynccontextmanager
async def deep_responses(made: Bench) -> AsyncIterator[Weapon]:
    """Topics that end the session of whoever replies there, where the broker lets a request name them."""
    asked = Client(
        made.broker.port, lambda _: Piece(f"{VICTIM}/clear", b"{", response="/".join("a" * TOO_DEEP))
    )
    async with asked.connected():
        asked.send(0)
        await eventually(lambda: asked.taken or asked.cut, "the broker takes it, or ends that session")
    async with by_mqtt(partial(_deep_response, TOO_DEEP if asked.taken else DEEPEST))(made) as weapon:
        yield weapon


def unknown_verbs(number: int) -> Piece:
    """Words that are no verbs, near to one and far from all."""
    word = f"clear{number}" if number % 2 else f"{number:x}" * 10
    return Piece(f"{VICTIM}/{word}", _request(number))


def long_names(number: int) -> Piece:
    """Long names that nobody has and many nearly have."""
    return Piece(f"{HQ}/command/presence", _request(number, user=f"{ALIKE[:120]}{number}"))


@asynccontextmanager
async def among_many(made: Bench) -> AsyncIterator[Weapon]:
    """Long names at a PBX that has many like them."""
    guests = [
        SimUser(f"{ALIKE[:120]}x{number}", f"{ALIKE[:120]}y{number}", groups=MEMBER)
        for number in range(CROWD)
    ]
    with present(made.pbx, guests):
        async with by_mqtt(long_names)(made) as weapon:
            yield weapon


class HalfOpen:
    """Opens connections, sends half a request, then a byte every few seconds; the oldest is reset."""

    def __init__(self, port: int) -> None:
        self.taken = 0
        self._port = port
        self._open: deque[socket.socket] = deque()

    def room(self) -> bool:
        """See Weapon: it never waits."""
        return True

    def send(self, number: int) -> None:
        """See Weapon: one more connection; one of the others gets its byte."""
        fresh = socket.socket()
        fresh.settimeout(0)
        if fresh.connect_ex(("127.0.0.1", self._port)) in {0, errno.EINPROGRESS}:
            self.taken += _sent(fresh, b"GET /healthz HTTP/1.1\r\nX-Name: ")
        self._open.append(fresh)
        _sent(self._open[number % len(self._open)], b"x")
        while len(self._open) > HALF_OPEN:
            _reset(self._open.popleft())

    def close(self) -> None:
        """Reset all."""
        while self._open:
            _reset(self._open.popleft())


def _sent(connection: socket.socket, data: bytes) -> bool:
    """Send what goes at once. A connection that was closed at the other end had been taken."""
    try:
        connection.send(data)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    connection.close()


@asynccontextmanager
async def half_open(made: Bench) -> AsyncIterator[Weapon]:
    """A neighbour at the web port."""
    with contextlib.closing(HalfOpen(made.web_port)) as weapon:
        yield weapon


MEMBER = (("all", False),)


class Endless:
    """A PBX that has always something new to say. `taken` counts what it has said."""

    def __init__(self, pbx: SimPbx, say: Callable[[int], object]) -> None:
        self.taken = 0
        self._say = say
        self._sessions = pbx.sessions
        self._heard = pbx.sessions.mark()
        self._unheard = 0

    def room(self) -> bool:
        """See Weapon: the bridge has come back for more, or little waits for it."""
        if self._heard():
            self._heard, self._unheard = self._sessions.mark(), 0
        return self._unheard < UNHEARD

    def send(self, number: int) -> None:
        """See Weapon."""
        self._say(number)
        self._unheard += 1
        self.taken += 1


@contextlib.contextmanager
def present(pbx: SimPbx, guests: list[SimUser]) -> Iterator[None]:
    """Users who are there for a while; who is added to the list leaves at the end too."""
    for guest in guests:
        pbx.add_user(guest)
    try:
        yield
    finally:
        for guest in guests:
            pbx.remove_user(guest.cn)


@asynccontextmanager
async def new_users(made: Bench) -> AsyncIterator[Weapon]:
    """The PBX names users that nobody has heard of; in the end they leave."""
    guests: list[SimUser] = []

    def say(number: int) -> None:
        guests.append(SimUser(f"Guest {number}", f"guest{number}", f"5{number:06}", groups=MEMBER))
        made.pbx.add_user(guests[-1])

    with present(made.pbx, guests):
        yield Endless(made.pbx, say)


@asynccontextmanager
async def new_legs(made: Bench) -> AsyncIterator[Weapon]:
    """The PBX names legs of a few users, none of which ends; in the end all hang up."""
    calls = []

    def say(number: int) -> None:
        calls.append(made.pbx.ring(f"Person {number % 4}", f"05{number:06}"))

    yield Endless(made.pbx, say)
    for call in calls:
        if call.legs:
            call.hang_up()
