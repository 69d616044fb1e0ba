"""Many messages in one turn of the event loop: one write, in order, over each transport."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from bridge.core.message import Message, Subscription
from bridge.errors import ProtocolError, SessionLost
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.paho_client import GATHERED_BYTES
from bridge.mqtt.settings import BrokerSettings
from tests.bus import Mosquitto, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer

WILL = Message("t/state", "offline", retain=True)
SMALL, LARGE = "x" * 1000, "y" * 100_000


def settings(port: int) -> BrokerSettings:
    """A broker on loopback."""
    return BrokerSettings("127.0.0.1", port, "t")


@pytest.fixture(params=["tcp", "tls", "websockets"])
async def ways(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[BrokerSettings, BrokerSettings]]:
    """The way to a broker, and that of an observer, who uses no WebSocket: Mosquitto's is slow at sending."""
    ca = trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = (("certfile", "cert.pem"), ("keyfile", "key.pem"))
    extra = [f"{key} {tmp_path / file}" for key, file in files] if request.param == "tls" else []
    context = ssl.create_default_context()
    ca.configure_trust(context)
    broker = Mosquitto(tmp_path, *extra)
    web = broker.add_websocket()
    async with broker:
        plain = BrokerSettings("127.0.0.1", broker.port, "o", tls=context if request.param == "tls" else None)
        mine = replace(plain, client_id="test")
        yield (
            (replace(mine, port=web, transport="websockets") if request.param == "websockets" else mine),
            plain,
        )


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_all_arrive_in_order(ways: tuple[BrokerSettings, BrokerSettings], protocol: str) -> None:
    """Small and large ones, of both QoS, more at once than the system takes: writes are cut anywhere."""
    mine, observers = ways
    sizes = [SMALL, LARGE, SMALL, SMALL] * 6
    async with (
        connect(replace(mine, protocol=protocol), WILL) as connection,
        connect(observers, WILL) as other,
    ):
        await other.subscribe([Subscription("t/+")])
        assert connection._client.raw is not None
        connection._client.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
        for _ in range(2):
            sent = [
                connection.publish(Message("t/a", f"{number} {text}", qos=int(number % 7 > 0)))
                for number, text in enumerate(sizes)
            ]
            await asyncio.wait_for(asyncio.gather(*sent), 20)
            got = [await asyncio.wait_for(other.incoming.get(), 10) for _ in sizes]
            assert [each.payload.decode()[:40] for each in got] == [
                f"{number} {text}"[:40] for number, text in enumerate(sizes)
            ]
            await connection.subscribe([Subscription("u/+")])


async def writes(connection: Connection, sizes: list[int]) -> list[int]:
    """The sizes of the packets that wait to be written after publishing these in one turn."""
    for size in sizes:
        connection.publish(Message("t/a", "x" * size))
    return [len(packet["packet"]) for packet in connection._client._out_packet]


async def test_one_write_for_a_turn() -> None:
    """But not for a flood: the rest of a write is copied as often as the network takes a part of it."""
    async with (
        Peer(Habits(puback_s=None)) as peer,
        connect(settings(peer.port), WILL) as connection,
    ):
        assert len(await writes(connection, [100] * 50)) == 1
        await eventually(lambda: len(peer.publishes) == 50, "all have come")
        sizes = await writes(connection, [GATHERED_BYTES // 4] * 12)
        assert len(sizes) == 3
        assert max(sizes) < 2 * GATHERED_BYTES
        await eventually(lambda: len(peer.publishes) == 62, "all have come")


async def test_other_packets_keep_their_place() -> None:
    """What we subscribe to between two messages is heard from there on."""
    async with Peer() as peer, connect(settings(peer.port), WILL) as connection:
        connection.publish(Message("t/a", "1"))
        subscribed = asyncio.create_task(connection.subscribe([Subscription("t/a")]))
        await asyncio.sleep(0)
        await asyncio.gather(*(connection.publish(Message("t/a", word)) for word in "23"), subscribed)
        assert [(await connection.incoming.get()).payload for _ in "23"] == [b"2", b"3"]
        assert connection.incoming.empty()


async def test_an_identifier_that_is_never_acknowledged() -> None:
    """After 65,535 others the series begins again: a message that still waits keeps its own."""
    async with (
        Peer(Habits(puback_s=None)) as peer,
        connect(settings(peer.port), WILL) as connection,
    ):
        first = connection.publish(Message("t/a", "first"))
        await eventually(lambda: len(peer.publishes) == 1, "it has come")
        client = connection._client
        taken = client._last_mid
        client._last_mid = taken - 1
        second = connection.publish(Message("t/a", "second"))
        assert client._last_mid == taken + 1
        peer.habits = Habits()
        await asyncio.wait_for(asyncio.gather(first, second), 5)


async def test_what_is_gathered_leaves_at_once() -> None:
    """In one write, before the loop turns; also when nothing, or what is refused, was sent."""
    async with (
        Peer(Habits(maximum_packet_bytes=1000)) as peer,
        connect(settings(peer.port), WILL) as connection,
    ):
        with connection.gathering:
            sent = [connection.publish(Message("t/a", word)) for word in "ab"]
            waits = connection.writing
        assert (waits, connection.writing) == (True, False)
        await asyncio.wait_for(asyncio.gather(*sent), 5)
        with connection.gathering:
            refused = connection.publish(Message("t/a", "x" * 1000))
        assert isinstance(refused.exception(), ProtocolError)
        assert [each.payload for each in peer.publishes] == [b"a", b"b"]


async def test_what_is_gathered_when_the_broker_has_gone() -> None:
    """It is lost, as whatever was on its way."""
    async with Peer() as peer, connect(settings(peer.port), WILL) as connection:
        peer.disconnect(0x8B)
        with connection.gathering:
            sent = connection.publish(Message("t/a", "x"))
        await asyncio.wait_for(connection.lost, 5)
        assert isinstance(sent.exception(), SessionLost)
