"""A broker for the demo without setup: Mosquitto if installed, otherwise amqtt. Loopback only."""

import asyncio
import contextlib
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

START_S = 10.0
_ELSEWHERE = "/usr/sbin:/usr/local/sbin"


class NoBrokerError(Exception):
    """No broker is installed; the message says what to install."""


def find_mosquitto() -> str | None:
    """The path of Mosquitto, which Debian keeps outside the PATH of ordinary users."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_ELSEWHERE)


@asynccontextmanager
async def broker() -> AsyncIterator[tuple[str, int]]:
    """Run a broker; yields its name and its port on 127.0.0.1. Raises NoBrokerError, TimeoutError."""
    port = _free_port()
    path = find_mosquitto()
    if path is not None:
        async with _mosquitto(path, port):
            yield "Mosquitto", port
    else:
        async with _amqtt(port):
            yield "amqtt", port


@asynccontextmanager
async def _mosquitto(path: str, port: int) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mosquitto.conf"
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        nowhere = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(path, "-c", str(file), stdout=nowhere, stderr=nowhere)
        try:
            await _accepting(port)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


@asynccontextmanager
async def _amqtt(port: int) -> AsyncIterator[None]:
    try:
        from amqtt.broker import Broker  # noqa: PLC0415  (an optional extra)
    except ImportError:
        raise NoBrokerError("the demo needs a broker: install Mosquitto, or innovaphone-mqtt[demo]") from None

    settings = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    running = Broker(settings)
    await running.start()
    try:
        await _accepting(port)
        yield
    finally:
        await running.shutdown()


async def _accepting(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
