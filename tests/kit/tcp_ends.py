"""Plain TCP on both sides of a proxy, for the tests of the proxy."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Self

from tests.bus import eventually
from tests.kit.proxy import LINGER_0, Proxy


class Side:
    """One end of a TCP connection that reads all the time and keeps what it got, piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pieces: list[bytes] = []
        self.end: type[Exception] | None = None
        self.ended = False
        self.writer = writer
        self._reading = asyncio.create_task(self._read(reader))

    @property
    def got(self) -> bytes:
        """Everything so far."""
        return b"".join(self.pieces)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65_536):
                self.pieces.append(data)
        except OSError as error:
            self.end = type(error)
        self.ended = True

    async def close(self) -> None:
        """Close at once."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def close_with_rst(self) -> None:
        """Close as a crash does."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.writer.transport.abort()


class Target:
    """A server behind a proxy, and clients in front of it."""

    def __init__(self) -> None:
        self.servers: list[Side] = []
        self._clients: list[Side] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            lambda reader, writer: self.servers.append(Side(reader, writer)), "127.0.0.1", 0
        )
        self._proxy = Proxy(self._server.sockets[0].getsockname()[1])
        self.proxy = await self._proxy.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._proxy.__aexit__(*_)
        self._server.close()
        for side in (*self.servers, *self._clients):
            await side.close()
        await self._server.wait_closed()

    async def dial(self) -> Side:
        """Connect to the proxy."""
        client = Side(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self._clients.append(client)
        return client

    async def pair(self) -> tuple[Side, Side]:
        """A connection through the proxy: the client's side and the server's."""
        before = len(self.servers)
        client = await self.dial()
        await eventually(lambda: len(self.servers) > before, "the proxy is connected to its target")
        return client, self.servers[-1]


async def has(side: Side, data: bytes) -> None:
    """Wait until a side has got exactly this."""
    await eventually(lambda: len(side.got) >= len(data), f"{len(data)} bytes have come")
    assert side.got == data


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))
