"""Run by the Python of a program: CPU of a SOAP request with its answer, beside the same bytes and no more.

Arguments: the address of a PBX. Writes the median of the ratios of rounds. The other side is a bare
stream of asyncio with a digest of its own, on which the bytes of a finished request are written.
"""

import asyncio
import statistics
import sys
import time
from hashlib import md5
from urllib.parse import urlsplit

from bridge.pbx.client import Client
from bridge.pbx.soap import Soap

try:
    from bridge.pbx.endpoint import Endpoint
except ImportError:  # 0.1.0
    from bridge.pbx.http import Endpoint  # type: ignore[attr-defined]

ROUNDS, TIMES = 10, 60
DEADLINE_S = 10.0


class Bare:
    """The least that works, on a stream of asyncio: a digest, a deadline, the head line by line, the body."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._count = 0

    async def exchange(self, request: bytes) -> bytes:
        """One request, the finished bytes of which are the same each time."""
        self._digest()
        async with asyncio.timeout(DEADLINE_S):
            self._writer.write(request)
            await self._writer.drain()
            length, line = 0, await self._reader.readline()
            while line != b"\r\n":
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                line = await self._reader.readline()
            return await self._reader.readexactly(length)

    def _digest(self) -> str:
        """What the header of the request would need."""
        self._count += 1
        first, second = _md5("admin:bench:secret"), _md5("POST:/PBX0/user.soap")
        return _md5(f"{first}:nonce:{self._count:08x}:cnonce:auth:{second}")


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


async def recorded(host: str, port: int) -> bytes:
    """A request as the bridge sends it."""
    seen: list[bytes] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        while data := await reader.read(65_536):
            seen.append(data)
            back.write(data)
            writer.write(await there.read(65_536))
        back.close()
        writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    async with Client(
        Soap(), endpoint(f"http://127.0.0.1:{own}/PBX0/user.soap"), poll_s=9, request_s=9
    ) as client:
        session = await client.initialize("API")
        await client.echo(session)
        seen.clear()
        await client.echo(session)
    server.close()
    return b"".join(seen)


def endpoint(url: str) -> Endpoint:
    """An account at an address."""
    return Endpoint(url, "admin", "secret")


async def main(url: str) -> None:
    """Turn and turn about."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    request = await recorded(host, port)
    bare = Bare(*await asyncio.open_connection(host, port))
    ratios, each_us = [], []
    async with Client(Soap(), endpoint(url), poll_s=9, request_s=9) as client:
        session = await client.initialize("API")
        for _ in range(ROUNDS):
            start_s = time.process_time()
            for _ in range(TIMES):
                await client.echo(session)
            ours_s = time.process_time() - start_s
            start_s = time.process_time()
            for _ in range(TIMES):
                await bare.exchange(request)
            ratios.append(ours_s / (time.process_time() - start_s))
            each_us.append(ours_s / TIMES * 1e6)
    print(f"[{statistics.median(ratios)}, {statistics.median(each_us)}]")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
