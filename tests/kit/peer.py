"""An MQTT broker's side with habits that a test chooses. No broker: it distributes nothing.

Shares no code with the bridge or paho. What a client publishes goes back to its own subscriptions only.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import Self

from tests.kit import packets
from tests.kit.habits import Habits
from tests.kit.observable import Observable
from tests.kit.packets import Connect, Filter, Kind, Malformed, Packet, Publish

MIDS = 0x10000


@dataclass(frozen=True, slots=True)
class Received:
    """A publish of the client, and when it came (time.monotonic)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    at: float


class Peer:
    """Listens on `port` of 127.0.0.1 inside `async with`. The fields tell what all clients have sent."""

    def __init__(self, habits: Habits | None = None) -> None:
        self.port = 0
        self.connects: list[Connect] = []
        self.publishes: list[Received] = []
        self.subscribed: list[Filter] = []
        self.unsubscribed: list[str] = []
        self.pubacks: list[int] = []
        self.kept: dict[str, bytes] = {}
        """Retained messages, if they are kept."""
        self.poisoned: list[str] = []
        """The topics of publishes that ended their connection."""
        self.pings = 0
        self.goodbyes = 0
        self.cuts = 0
        self.most_unacknowledged = 0
        """The greatest number of QoS 1 publishes of one connection that waited for their PUBACK at once."""
        self.largest_packet = 0
        """Of all but CONNECT, in bytes."""
        self.current = Observable(habits or Habits())
        self._clients: list[_Client] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.abort()
        await self._server.wait_closed()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def habits(self) -> Habits:
        """How the peer answers; set it at any time. An answer that is owed goes by the new ones."""
        return self.current.value

    @habits.setter
    def habits(self, habits: Habits) -> None:
        self.current.change(habits)

    @property
    def unacknowledged(self) -> int:
        """How many QoS 1 publishes of the latest client wait for their PUBACK."""
        return self._latest.unacknowledged

    def payloads(self, topic: str) -> list[bytes]:
        """What was published on a topic."""
        return [each.payload for each in self.publishes if each.topic == topic]

    def send_publish(
        self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, response: str = ""
    ) -> None:
        """Send a message to the latest client, whether it subscribed or not."""
        self._latest.send_publish(Publish(topic, payload, qos, retain, response=response))

    def disconnect(self, reason_code: int) -> None:
        """Send the latest client away with an MQTT 5 DISCONNECT, and close."""
        self._latest.end(packets.write(Kind.DISCONNECT, bytes([reason_code, 0])))

    def break_packet(self) -> None:
        """Send the latest client the first half of a PUBLISH, and close."""
        whole = packets.write_publish(self._latest.level, Publish("half/of/a/packet", b"x" * 100))
        self._latest.end(whole[: len(whole) // 2])

    def garbage(self, data: bytes) -> None:
        """Send the latest client any bytes."""
        self._latest.send(data)

    @property
    def _latest(self) -> "_Client":
        return self._clients[-1]

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self, reader, writer)
        self._clients.append(client)
        self._tasks.append(asyncio.create_task(client.serve()))


class _Client:
    """One connection. Answers that may have to wait do so in a queue: PUBACKs keep their order."""

    def __init__(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.unacknowledged = 0
        self._left = False
        self._peer = peer
        self._reader = reader
        self._writer = writer
        self.level = packets.MQTT_5
        self._filters: dict[str, Filter] = {}
        self._mid = 0
        self._connected: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._owed: asyncio.Queue[tuple[float, int]] = asyncio.Queue()

    async def serve(self) -> None:
        """Serve until the client or the peer ends it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                answering = tasks.create_task(self._answer())
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    self._introduce(packets.read_connect(await packets.read_packet(self._reader)))
                    while True:
                        self._take(await packets.read_packet(self._reader))
                answering.cancel()
        finally:
            self._peer.cuts += not self._left
            await self.abort()

    async def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def send(self, data: bytes) -> None:
        """Send bytes, unless the connection is closing."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def end(self, data: bytes) -> None:
        """Send last bytes, and close."""
        self.send(data)
        self._writer.close()

    def send_publish(self, publish: Publish) -> None:
        """Send a message under a packet identifier of our own."""
        if self._peer.habits.dots_become_slashes:
            publish = replace(publish, topic=publish.topic.replace(".", "/"))
        if publish.qos:
            self._mid = self._mid % (MIDS - 1) + 1
            publish = replace(publish, mid=self._mid)
        self.send(packets.write_publish(self.level, publish))

    def _introduce(self, connect: Connect) -> None:
        self.level = connect.level
        self._peer.connects.append(connect)
        self._connected.set_result(time.monotonic())

    async def _answer(self) -> None:
        current = self._peer.current
        habits = await current.elapsed(await self._connected, lambda habits: habits.connack_s)
        will = self._peer.connects[-1]
        code = habits.refusal_of_will(will.will_qos, retain=will.will_retain)
        if self.level == packets.MQTT_5 or not code:
            code = code or habits.connack_code
            self.send(packets.write_connack(self.level, code, habits.limits))
        if code:
            self._writer.close()
        while True:
            since_s, mid = await self._owed.get()
            habits = await current.elapsed(since_s, lambda habits: habits.puback_s)
            self.unacknowledged -= 1
            self.send(packets.write_puback(self.level, mid, habits.puback_code))

    def _take(self, packet: Packet) -> None:
        peer = self._peer
        peer.largest_packet = max(peer.largest_packet, packet.size)
        match packet.kind:
            case Kind.PUBLISH:
                self._published(packets.read_publish(packet, self.level), packet.size)
            case Kind.SUBSCRIBE:
                self._subscribe(*packets.read_subscribe(packet, self.level))
            case Kind.UNSUBSCRIBE:
                self._unsubscribe(*packets.read_unsubscribe(packet, self.level))
            case Kind.PUBACK:
                peer.pubacks.append(packets.Body(packet.body).number(2))
            case Kind.PINGREQ:
                peer.pings += 1
                self.send(packets.write(Kind.PINGRESP) if peer.habits.pingresp else b"")
            case Kind.DISCONNECT:
                peer.goodbyes += 1
                self._left = True
                self._writer.close()
            case _:
                raise Malformed(f"a client sends no {packet.kind.name} here")

    def _published(self, publish: Publish, size: int) -> None:
        now = time.monotonic()
        peer = self._peer
        if peer.habits.closes_for(publish.topic, size):
            peer.poisoned.append(publish.topic)
            self._send_away(peer.habits.closes_with)
            return
        peer.publishes.append(Received(publish.topic, publish.payload, publish.qos, publish.retain, now))
        if publish.retain and peer.habits.keeps:
            peer.kept[publish.topic] = publish.payload
        if publish.qos:
            self.unacknowledged += 1
            peer.most_unacknowledged = max(peer.most_unacknowledged, self.unacknowledged)
            self._owed.put_nowait((now, publish.mid))
        if publish.topic not in peer.habits.swallows:
            self._forward(publish)

    def _send_away(self, reason_code: int | None) -> None:
        if reason_code is None:
            self._writer.transport.abort()
        else:
            self.end(packets.write(Kind.DISCONNECT, bytes([reason_code, 0])))

    def _forward(self, publish: Publish) -> None:
        """Give it back to the first subscription that wants it."""
        for each in self._filters.values():
            if each.matches(publish.topic) and not each.no_local:
                retain = publish.retain and each.retain_as_published
                self.send_publish(replace(publish, qos=min(publish.qos, each.qos), retain=retain, mid=0))
                return

    def _subscribe(self, mid: int, filters: list[Filter]) -> None:
        refuses = self._peer.habits.refuses
        codes = [packets.REFUSED if each.topic_filter in refuses else each.qos for each in filters]
        chosen = self._peer.habits.suback_codes[: len(codes)]
        codes[: len(chosen)] = chosen
        granted = [each for each, code in zip(filters, codes, strict=True) if code < packets.REFUSED]
        self._filters |= {each.topic_filter: each for each in granted}
        self._peer.subscribed += granted
        self.send(packets.write_suback(self.level, mid, codes) if self._peer.habits.suback else b"")
        if len(granted) < len(filters) and self._peer.habits.closes_after_refusal:
            self._writer.close()
            return
        self._send_kept(granted)

    def _send_kept(self, granted: list[Filter]) -> None:
        """What is retained for new subscriptions, at once or later."""
        habits = self._peer.habits
        chosen = [each for each in granted if habits.keeps_for_wildcards or "+" not in each.topic_filter]
        for topic, payload in self._peer.kept.items():
            if payload and any(each.matches(topic) for each in chosen):
                publish = Publish(topic, payload, 0, retain=True)
                if habits.retained_s:
                    asyncio.get_running_loop().call_later(habits.retained_s, self.send_publish, publish)
                else:
                    self.send_publish(publish)

    def _unsubscribe(self, mid: int, topic_filters: list[str]) -> None:
        self._peer.unsubscribed += topic_filters
        for each in topic_filters:
            self._filters.pop(each, None)
        self.send(packets.write_unsuback(self.level, mid, len(topic_filters)))
