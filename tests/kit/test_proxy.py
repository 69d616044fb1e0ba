"""The proxy's own faults, seen by plain sockets on both sides of it, and by Mosquitto."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bridge.core.message import Message, Subscription
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from tests.bus import Mosquitto, eventually, free_port
from tests.kit.network import CLEAR, HOLDING, SWALLOWING, Conditions, Flow
from tests.kit.proxy import Proxy
from tests.kit.tcp_ends import Target, descriptors, has


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    """A server with a proxy before it."""
    async with Target() as running:
        yield running


async def test_carries_both_ways_and_a_fin_alone(target: Target) -> None:
    """A side that has said all can still listen."""
    client, server = await target.pair()
    client.writer.write(b"up")
    client.writer.write_eof()
    await eventually(lambda: server.ended, "the FIN went through")
    server.writer.write(b"down" * 100_000)
    await has(client, b"down" * 100_000)
    assert (server.got, client.ended, target.proxy.open) == (b"up", False, 1)
    server.writer.close()
    await eventually(lambda: client.ended and not target.proxy.open, "both have ended")
    assert (client.end, server.end) == (None, None)


async def test_latency_delays_and_does_not_slow_down(target: Target) -> None:
    """Each way takes so long, however many messages are under way."""
    client, server = await target.pair()
    target.proxy.conditions = Conditions(latency_s=0.2)
    started = time.monotonic()
    for _ in range(20):
        client.writer.write(b"x")
        await asyncio.sleep(0.005)
    await has(server, b"x" * 20)
    assert 0.2 < time.monotonic() - started < 20 * 0.2
    server.writer.write(b"y")
    await has(client, b"y")
    assert time.monotonic() - started > 0.4


async def test_one_byte_at_a_time(target: Target) -> None:
    """A reader on the other side sees hardly two at once."""
    client, server = await target.pair()
    target.proxy.conditions = Conditions(slice_bytes=1)
    client.writer.write(bytes(range(256)))
    await has(server, bytes(range(256)))
    assert len(server.pieces) >= 128


async def test_a_rate(target: Target) -> None:
    """20,000 bytes at 50,000 bytes per second, and the next at once."""
    client, server = await target.pair()
    target.proxy.conditions = Conditions(bytes_per_s=50_000)
    started = time.monotonic()
    client.writer.write(b"x" * 20_000)
    await has(server, b"x" * 20_000)
    assert 0.37 < time.monotonic() - started < 4
    target.proxy.conditions = CLEAR
    client.writer.write(b"y" * 1_000_000)
    await has(server, b"x" * 20_000 + b"y" * 1_000_000)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("up", [True, False])
async def test_one_direction_is_held(target: Target, *, up: bool) -> None:
    """The other one works; when it passes again, nothing is missing."""
    client, server = await target.pair()
    sender, receiver = (client, server) if up else (server, client)
    target.proxy.conditions = Conditions(up=Flow.HELD) if up else Conditions(down=Flow.HELD)
    for number in range(20):
        sender.writer.write(b"held")
        receiver.writer.write(b"x")
        await has(sender, b"x" * (number + 1))
    assert receiver.got == b""
    target.proxy.conditions = CLEAR
    await has(receiver, b"held" * 20)


async def test_it_knows_when_bytes_came_that_it_reads_late(target: Target) -> None:
    """The kernel says so, also of a connection that was not accepted yet."""
    heard: list[tuple[float, bytes]] = []
    target.proxy.heard = lambda at, data: heard.append((at, data))
    client, server = await target.pair()
    target.proxy.conditions = HOLDING
    client.writer.write(b"early")
    written = time.monotonic()
    await eventually(lambda: time.monotonic() > written + 0.2, "it is read late")
    target.proxy.conditions = CLEAR
    await has(server, b"early")
    assert heard[0][1] == b"early"
    assert written - 0.05 < heard[0][0] < written + 0.1


async def test_a_pause_within_a_message(target: Target) -> None:
    """The conditions may change while bytes are on their way."""
    client, server = await target.pair()
    target.proxy.conditions = Conditions(bytes_per_s=10_000)
    client.writer.write(b"x" * 5_000)
    await eventually(lambda: server.got, "some have come")
    target.proxy.conditions = SWALLOWING
    for side in (client, server):
        side.writer.write(b"lost")
    await eventually(
        lambda: target.proxy.swallowed + len(server.got) == 5_000 + 4 + 4, "the rest is swallowed"
    )
    target.proxy.conditions = CLEAR
    for side in (client, server):
        side.writer.write(b"end")
    await eventually(lambda: server.got.endswith(b"end"), "later bytes come again")
    await has(client, b"end")
    assert 1 <= server.got.count(b"x") < 5_000
    assert set(server.got) == set(b"xend")


@pytest.mark.parametrize("hole", [HOLDING, SWALLOWING])
async def test_a_black_hole_accepts_and_is_silent(target: Target, hole: Conditions) -> None:
    """New connections as well as old ones; whose peers may be gone without the other side knowing."""
    client, server = await target.pair()
    target.proxy.conditions = hole
    late, _ = await target.pair()
    late.writer.write(b"anybody?")
    client.close_with_rst()
    if hole is SWALLOWING:
        await eventually(lambda: target.proxy.swallowed == len(b"anybody?"), "they are swallowed")
    target.proxy.conditions = replace(hole, down=Flow.PASSES)
    target.servers[-1].writer.write(b"down only")
    await has(late, b"down only")
    assert (server.ended, target.servers[-1].got, target.proxy.open) == (False, b"", 2)


async def test_a_black_hole_without_anybody_behind_it() -> None:
    """The target is not there at all: that, too, is seen only when the bytes pass again."""
    async with Proxy(free_port()) as proxy:
        proxy.conditions = HOLDING
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"anybody?")
        await eventually(lambda: proxy.accepted, "it is accepted")
        for _ in range(50):
            await asyncio.sleep(0)
        assert not reader.at_eof()
        proxy.conditions = CLEAR
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("conditions", [CLEAR, HOLDING])
async def test_a_cut_is_a_fin_for_both(target: Target, conditions: Conditions) -> None:
    """Even with bytes on the way that nobody will read: no RST."""
    client, server = await target.pair()
    client.writer.write(b"hello")
    await has(server, b"hello")
    target.proxy.conditions = conditions
    client.writer.write(b"x" * 100_000)
    server.writer.write(b"x" * 100_000)
    target.proxy.cut()
    await eventually(lambda: client.ended and server.ended, "both have ended")
    assert (client.end, server.end, target.proxy.open) == (None, None, 1)
    client.writer.close()
    server.writer.close()
    await eventually(lambda: not target.proxy.open, "the proxy has let go")


async def test_a_reset_is_a_rst_for_both(target: Target) -> None:
    """Later connections are not concerned."""
    client, server = await target.pair()
    target.proxy.reset()
    await eventually(lambda: client.ended and server.ended, "both have ended")
    assert (client.end, server.end) == (ConnectionResetError, ConnectionResetError)
    client, server = await target.pair()
    client.writer.write(b"x")
    await has(server, b"x")


async def test_a_rst_goes_through(target: Target) -> None:
    """What happens to one side is told to the other as it was."""
    client, server = await target.pair()
    client.close_with_rst()
    await eventually(lambda: server.ended, "the server knows")
    assert server.end is ConnectionResetError
    assert not target.proxy.open


async def test_refuses_and_listens_again(target: Target) -> None:
    """On the same port, twice; old connections are not concerned."""
    client, server = await target.pair()
    port = target.proxy.port
    for _ in range(2):
        target.proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await target.dial()
        target.proxy.listen()
        await target.pair()
    client.writer.write(b"x")
    await has(server, b"x")
    assert (target.proxy.port, target.proxy.accepted) == (port, 3)


@pytest.mark.parametrize("conditions", [CLEAR, HOLDING, SWALLOWING, Conditions(latency_s=60, bytes_per_s=1)])
async def test_nothing_stays_open(conditions: Conditions) -> None:
    """Whatever is on its way when the proxy ends: no task and no descriptor is left."""
    before_open, before_running = descriptors(), len(asyncio.all_tasks())
    async with Target() as target:
        target.proxy.conditions = conditions
        for _ in range(3):
            client, server = await target.pair()
            for side in (client, server):
                side.writer.write(b"x" * 10_000_000)
        target.proxy.cut()
        await target.dial()
    await eventually(lambda: descriptors() <= before_open, "all sockets are closed")
    assert len(asyncio.all_tasks()) <= before_running


@pytest.mark.parametrize("turns", range(6))
async def test_nothing_stays_open_of_what_has_just_come(turns: int) -> None:
    """The proxy ends after so many turns of the loop since somebody connected to it."""
    before = descriptors()
    async with Proxy(free_port()) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port)):
            for _ in range(turns):
                await asyncio.sleep(0)
    assert descriptors() <= before


@asynccontextmanager
async def mqtt(port: int) -> AsyncIterator[None]:
    """The bridge's client sends itself a message through the proxy."""
    will = Message("t/state", "offline")
    async with connect(BrokerSettings("127.0.0.1", port, "test", connect_timeout_s=5), will) as connection:
        await connection.subscribe([Subscription("t/a")])
        await connection.publish(Message("t/a", "x" * 1000))
        assert (await connection.incoming.get()).payload == b"x" * 1000
        yield


@pytest.mark.broker
async def test_mqtt_over_a_poor_network(broker: Mosquitto) -> None:
    """Single bytes, slowly, late: it is MQTT all the same."""
    async with Proxy(broker.port) as proxy:
        for conditions in (
            Conditions(slice_bytes=1),
            Conditions(slice_bytes=7, bytes_per_s=20_000),
            Conditions(latency_s=0.05),
        ):
            proxy.conditions = conditions
            async with mqtt(proxy.port):
                assert proxy.open == 1
            await eventually(lambda: not proxy.open, "the connection has ended")
