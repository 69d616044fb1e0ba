"""What a network does to one connection: cuts, silence, a proxy alone, cancellation at bad moments."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.core.message import Message
from bridge.core.value import evolve
from bridge.errors import SessionLost, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.dialer import Dialer
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from tests.bus import Mosquitto, eventually
from tests.kit.network import CLEAR, HOLDING
from tests.kit.proxy import Proxy

WILL = Message("t/state", "offline", retain=True)
LARGE = Message("t/a", "x" * 100_000)
pytestmark = pytest.mark.broker


def settings(port: int, keepalive_s: int = 30, transport: str = "tcp") -> BrokerSettings:
    """A broker on loopback that has half a second for each step of a connection."""
    return BrokerSettings(
        "127.0.0.1", port, "test", transport, keepalive_s=keepalive_s, connect_timeout_s=0.5
    )


@asynccontextmanager
async def _closed(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def proxy(broker: Mosquitto) -> AsyncIterator[Proxy]:
    """A proxy in front of the broker."""
    async with Proxy(broker.port) as running:
        yield running


def sockets() -> int:
    """How many sockets this process has open."""
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(str(descriptor.readlink()))
    return sum("socket:" in target for target in targets)


async def test_a_proxy_without_its_broker_heals(broker: Mosquitto, proxy: Proxy) -> None:
    """A balancer accepts and closes while the broker restarts: no reason to wait for a human."""
    dialer = Dialer(settings(proxy.port))
    async with dialer.open(WILL) as connection:
        assert connection.protocol == "5"
    await broker.kill()
    for _ in range(2):
        with pytest.raises(Unreachable, match="closed the connection at once"):
            async with dialer.open(WILL):
                pass
    await broker.start()
    async with dialer.open(WILL) as connection:
        assert connection.protocol == "5"


async def test_a_silent_cut_is_noticed(proxy: Proxy) -> None:
    """Within two keepalives, and what was on its way fails."""
    async with connect(settings(proxy.port, keepalive_s=1), WILL) as connection:
        proxy.conditions = HOLDING
        sent = connection.publish(Message("t/a", "x"))
        lost = await asyncio.wait_for(connection.lost, 4)
        with pytest.raises(SessionLost):
            await sent
    assert "Keep alive timeout" in lost.reason


async def test_a_goodbye_nobody_hears_is_short(proxy: Proxy) -> None:
    """The buffers are full of what nobody reads: half a second at most."""
    async with connect(settings(proxy.port), WILL) as connection:
        proxy.conditions = HOLDING
        sent = [connection.publish(LARGE) for _ in range(100)]
        started = time.monotonic()
    assert time.monotonic() - started < 0.6
    errors = await asyncio.gather(*sent, return_exceptions=True)
    assert {type(error) for error in errors if error is not None} == {SessionLost}


async def test_cancelled_while_saying_goodbye(proxy: Proxy) -> None:
    """The socket is closed all the same."""
    up: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def hold() -> None:
        async with connect(settings(proxy.port), WILL) as connection:
            proxy.conditions = HOLDING
            for _ in range(100):
                connection.publish(LARGE)
            up.set_result(connection)
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    connection = await up
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.lost.done()


async def test_qos_0_counts_until_it_is_written(proxy: Proxy) -> None:
    """The network takes nothing: what paho holds is not done, however it was sent."""
    async with connect(settings(proxy.port), WILL) as connection:
        proxy.conditions = HOLDING
        sent = [connection.publish(evolve(LARGE, qos=0)) for _ in range(200)]
        await eventually(sent[0].done, "the first ones are in the buffers of the system")
        assert not sent[-1].done()
        proxy.conditions = CLEAR
        await eventually(lambda: all(each.done() for each in sent), "all is written")
        assert [each.exception() for each in sent] == [None] * len(sent)


async def test_qos_0_that_was_not_written_is_lost_with_the_connection(proxy: Proxy) -> None:
    """Whoever sent it hears so, and can send it again."""
    async with connect(settings(proxy.port), WILL) as connection:
        proxy.conditions = HOLDING
        sent = [connection.publish(evolve(LARGE, qos=0)) for _ in range(200)]
        proxy.cut()
        await connection.lost
        assert isinstance(sent[-1].exception(), SessionLost)


async def test_cancelled_at_any_moment_of_connecting(broker: Mosquitto) -> None:
    """After so many turns of the loop: no socket stays open."""
    before = sockets()
    for turns in range(0, 60, 3):
        task = asyncio.create_task(connect(settings(broker.port), WILL).__aenter__())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).close()
    await eventually(lambda: sockets() <= before, "all sockets are closed")


async def test_a_handshake_in_drops_ends() -> None:
    """Each byte comes in time, the answer never: the whole has a limit."""

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closed(writer):
            with contextlib.suppress(OSError, asyncio.CancelledError):  # the test may end first
                while True:
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    started = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer in time"):
        async with connect(settings(port, transport="websockets"), WILL):
            pass
    assert time.monotonic() - started < 2.5
    server.close()
    await server.wait_closed()


PROGRAM = """
import asyncio, socket
from bridge.net.executor import DaemonExecutor
async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonExecutor())
    loop.run_in_executor(None, socket.create_server(("127.0.0.1", 0)).accept)
asyncio.run(main())
"""


async def test_a_blocked_thread_does_not_hold_the_process() -> None:
    """A connect into a black hole still blocks when the loop ends: the process ends too."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM)
    assert await asyncio.wait_for(process.wait(), 5) == 0
