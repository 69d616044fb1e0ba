"""Brokers that send what no broker has to: they are left with a reason, and take little memory."""

import asyncio
import base64
import hashlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bridge.core.message import Incoming, Message, Subscription
from bridge.errors import LinkError, ProtocolError, Unreachable
from bridge.mqtt.inbox import BYTES_AT_MOST, MESSAGES_AT_MOST, Inbox
from bridge.mqtt.negotiate import connect
from bridge.mqtt.paho_client import UNREAD_AT_MOST
from bridge.mqtt.settings import BrokerSettings
from tests.bus import eventually
from tests.kit import packets
from tests.kit.habits import Habits
from tests.kit.packets import MQTT_3, MQTT_5, Publish
from tests.kit.peer import Peer

WILL = Message("t/state", "offline", retain=True)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BINARY, TEXT, CONTINUATION, CLOSE, PING = 0x82, 0x81, 0x80, 0x88, 0x89
MIB = 1_048_576
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def settings(port: int, protocol: str = "5", transport: str = "tcp") -> BrokerSettings:
    """A broker on loopback."""
    return BrokerSettings("127.0.0.1", port, "test", transport, protocol=protocol, connect_timeout_s=5)


def memory() -> int:
    """What this process holds now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_message_with_qos_2_is_not_kept(protocol: str) -> None:
    """We subscribe with QoS 1; 600 of 200 kB without release took 120 MiB. The first one ends it."""
    async with Peer() as peer, connect(settings(peer.port, protocol), WILL) as connection:
        before = memory()
        for _ in range(100):
            peer.send_publish("t/a", b"x" * 200_000, qos=2)
        lost = await asyncio.wait_for(connection.lost, 5)
        assert memory() - before < 10 * MIB + 100 * 200_000  # the peer's own buffer
        assert connection.incoming.empty()
    assert isinstance(lost, ProtocolError)
    assert f"127.0.0.1:{peer.port} sends a message with QoS 2" in lost.reason


async def test_a_qos_that_does_not_exist() -> None:
    """QoS 3 ends it, too."""
    async with Peer() as peer, connect(settings(peer.port), WILL) as connection:
        peer.garbage(bytes([0x36, 4]) + b"\0\1t\0")
        assert isinstance(await asyncio.wait_for(connection.lost, 5), ProtocolError)


async def test_a_broker_that_sends_and_never_reads() -> None:
    """What we acknowledge waits in our memory: not more than a thousand of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await packets.read_packet(reader)
        writer.write(packets.write_connack(MQTT_3, 0, b""))
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = 0
        while not writer.is_closing():
            sent += 1
            publish = Publish("t", b"", 1, mid=sent % 65_535 + 1)
            writer.write(packets.write_publish(MQTT_3, publish) * 100)
            await writer.drain()

    async with _server(serve) as port, connect(settings(port, "3.1.1"), WILL) as connection:
        raw = connection._client.raw
        assert raw is not None
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # else megabytes wait in the system
        lost = await asyncio.wait_for(connection.lost, 60)
        assert len(connection._client._out_packet) <= UNREAD_AT_MOST + 2
    assert isinstance(lost, ProtocolError)
    assert "reads no acknowledgements" in lost.reason


async def test_many_messages_before_anybody_reads() -> None:
    """As many as a queue of 4 MiB takes; the rest is counted."""
    async with Peer() as peer, connect(settings(peer.port), WILL) as connection:
        for _ in range(100):
            peer.send_publish("t/a", b"x" * 200_000)
        await eventually(
            lambda: connection.incoming.qsize() + connection.dropped == 100, "all have come", within=30
        )
        assert connection.incoming.qsize() == 1 + BYTES_AT_MOST // 200_500
        for _ in range(connection.incoming.qsize()):
            await connection.incoming.get()
        peer.send_publish("t/a", b"last")
        assert (await asyncio.wait_for(connection.incoming.get(), 5)).payload == b"last"


def test_the_inbox_counts_all_parts() -> None:
    """Number, topics and correlation data."""
    for incoming in (
        Incoming("t" * MIB, b""),
        Incoming("t", b"x" * MIB),
        Incoming("t", b"", response_topic="t" * MIB),
        Incoming("t", b"", correlation=b"x" * MIB),
    ):
        inbox = Inbox()
        for _ in range(4):
            inbox.put_nowait(incoming)
        assert inbox.full()
    inbox = Inbox()
    for _ in range(MESSAGES_AT_MOST):
        inbox.put_nowait(Incoming("t", b""))
    with pytest.raises(asyncio.QueueFull):
        inbox.put_nowait(Incoming("t", b""))


@asynccontextmanager
async def _server(script: Script) -> AsyncIterator[int]:
    """A server that follows a script with each client; its port."""
    tasks: list[asyncio.Task[None]] = []

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(reader, writer)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(follow(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Shake hands, and read the CONNECT in its frame."""
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key"))
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())  # noqa: S324  (RFC 6455)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    )
    await read_frame(reader)


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One short frame of a client: its opcode, and its payload without the mask."""
    first, second = await reader.readexactly(2)
    assert second & 0x80, "clients mask"
    size = second & 0x7F
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def frame(payload: bytes, first: int = BINARY) -> bytes:
    """A frame of a server."""
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65_536:
        return bytes([first, 126]) + struct.pack("!H", size) + payload
    return bytes([first, 127]) + struct.pack("!Q", size) + payload


CONNACK = packets.write_connack(MQTT_5, 0, b"")


def message(payload: bytes) -> bytes:
    """A PUBLISH with it."""
    return packets.write_publish(MQTT_5, Publish("t/a", payload))


async def test_a_frame_without_end() -> None:
    """Its bytes are a stream as any other: 40 MB of messages come, in little memory and time."""
    count, size = 200, 200_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(bytes([BINARY, 127]) + struct.pack("!Q", 1 << 62) + CONNACK)
        for number in range(count):
            writer.write(message(b"%06d" % number + b"x" * size))
            await writer.drain()
        await reader.read()

    async with (
        _server(serve) as port,
        connect(settings(port, transport="websockets"), WILL) as connection,
    ):
        before = memory()
        async with asyncio.timeout(60):
            for number in range(count):
                assert (await connection.incoming.get()).payload[:6] == b"%06d" % number
        assert memory() - before < 10 * MIB


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
async def test_messages_in_pieces(cut: int) -> None:
    """Frames of any size, empty ones, pings between them, and bytes that come a few at a time."""
    content = CONNACK + b"".join(message(b"x" * size) for size in (0, 1, 100, 70_000))
    frames = [frame(content[:3]), frame(b""), frame(b"?", PING), frame(content[3:200], CONTINUATION)]
    data = b"".join([*frames, frame(content[200:]), frame(b"", PING)])
    pongs: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        for start in range(0, 400, cut):
            writer.write(data[start : start + cut])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(data[start + cut :])
        while True:
            first, payload = await read_frame(reader)
            if first == 0x8A:
                pongs.append(payload)

    async with (
        _server(serve) as port,
        connect(settings(port, transport="websockets"), WILL) as connection,
    ):
        sizes = [len((await asyncio.wait_for(connection.incoming.get(), 5)).payload) for _ in range(4)]
        assert sizes == [0, 1, 100, 70_000]
        await eventually(lambda: len(pongs) == 2, "pings are answered")
        assert pongs == [b"?", b""]


async def test_a_ping_while_we_send() -> None:
    """What we send fills the way: pongs come behind a frame of ours, not within it, and cost none of them."""
    pings = b"one", b"two"
    heard = asyncio.Event()
    got: list[tuple[int, int]] = []
    pongs: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(frame(CONNACK) + b"".join(frame(each, PING) for each in pings) + frame(message(b"")))
        await heard.wait()
        writer.write(b"".join(frame(each, PING) for each in pings) + frame(message(b"")))
        await heard.wait()
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size >= 126:
                size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
            mask, payload = await reader.readexactly(4), await reader.readexactly(size)
            got.append((first, size))
            if first == 0x8A:
                pongs.append(bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload)))

    async with (
        _server(serve) as port,
        connect(settings(port, transport="websockets"), WILL) as connection,
    ):
        await connection.incoming.get()
        for number in range(60):
            connection.publish(Message("t/large", "x" * (200_000 + number), qos=0))
        await eventually(lambda: connection.writing, "it cannot send all")
        heard.set()
        await connection.incoming.get()
        await eventually(lambda: len(pongs) == 4, "all pings are answered")
        connection.publish(Message("t/last", "last", qos=0))
        await eventually(lambda: any(first == 0x82 and size < 100 for first, size in got), "all came")
    assert pongs == [*pings, *pings]
    assert {first for first, _ in got} == {0x82, 0x8A}
    sizes = [size for first, size in got if first == 0x82]
    assert [size - sizes[0] for size in sizes[:-1]] == list(range(60)), "each packet is there, in order"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(b"x" * 126, PING), "control frame of over 125 bytes"),
        (bytes([PING, 127]) + struct.pack("!Q", 1 << 62), "control frame of over 125 bytes"),
        (frame(message(b""), TEXT), "begins with 81"),
        (frame(message(b""), BINARY | 0x40), "begins with c2"),
        (bytes([BINARY, 0x85]) + b"mask" + b"x" * 5, "begins with 8285"),
    ],
)
async def test_frames_that_nobody_may_send(data: bytes, words: str) -> None:
    """They end the connection with the reason."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(frame(CONNACK) + data)
        await reader.read()

    async with (
        _server(serve) as port,
        connect(settings(port, transport="websockets"), WILL) as connection,
    ):
        lost = await asyncio.wait_for(connection.lost, 5)
    assert isinstance(lost, ProtocolError)
    assert words in lost.reason


@pytest.mark.parametrize("last", [frame(b"", CLOSE), frame(b"\x03\xe8bye", CLOSE), b""])
async def test_the_end_of_a_websocket(last: bytes) -> None:
    """Said or not: the connection is lost."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(frame(CONNACK) + last)
        if last:
            await reader.read()

    async with _server(serve) as port:
        with suppress(LinkError):  # the end may come before the rest is done
            async with connect(settings(port, transport="websockets"), WILL) as connection:
                await asyncio.wait_for(connection.lost, 5)


async def test_empty_frames_without_end() -> None:
    """They mean nothing and leave time for others."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgraded(reader, writer)
        writer.write(frame(CONNACK))
        for _ in range(100):
            writer.write(frame(b"") * 1000)
            await writer.drain()
        writer.write(frame(message(b"after")))
        await reader.read()

    async with (
        _server(serve) as port,
        connect(settings(port, transport="websockets"), WILL) as connection,
    ):
        assert (await asyncio.wait_for(connection.incoming.get(), 20)).payload == b"after"


async def test_an_answer_to_the_handshake_without_end() -> None:
    """Its first line does not end: the attempt does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 101 " + b"x" * 1000)
            await writer.drain()

    async with _server(serve) as port:
        with pytest.raises(Unreachable, match="no MQTT over WebSocket"):
            async with connect(settings(port, transport="websockets"), WILL):
                pass


async def test_habits_of_an_honest_broker_are_no_offence() -> None:
    """Messages with QoS 1, more than it may leave unacknowledged in all."""
    async with Peer(Habits()) as peer, connect(settings(peer.port), WILL) as connection:
        await connection.subscribe([Subscription("t/#")])
        for number in range(3 * UNREAD_AT_MOST // 2):
            peer.send_publish("t/a", b"%d" % number, qos=1)
        await eventually(lambda: len(peer.pubacks) == 3 * UNREAD_AT_MOST // 2, "all are acknowledged")
        assert not connection.lost.done()
