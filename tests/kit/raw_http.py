"""An HTTP server of a few bytes, for tests: answers with what it was given, right or wrong, and counts."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Answer = Callable[[int, bytes], bytes | None]
"""The number of a request and the whole of it in, its answer out; None closes the connection instead."""


def answer(body: bytes = b"<ok/>", status: str = "200 OK", *headers: str) -> bytes:
    """A good answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@dataclass
class RawHttp:
    """What the server saw. `close_after`: answer, then close at once, whatever the answer says."""

    answers: Answer
    close_after: bool = False
    port: int = 0
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address for plain HTTP."""
        return f"http://127.0.0.1:{self.port}/PBX0/user.soap"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.open.add(writer)
        try:
            while True:
                request = await _request(reader)
                self.requests.append(request)
                reply = self.answers(len(self.requests), request)
                if reply is not None:
                    writer.write(reply)
                    await writer.drain()
                if reply is None or self.close_after:
                    writer.close()
                    await writer.wait_closed()
                    return
        finally:
            self.open.discard(writer)

    def close_connections(self) -> None:
        """End all connections that are open."""
        for writer in list(self.open):
            writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return head + await reader.readexactly(length)


@asynccontextmanager
async def raw_http(
    answers: Answer | bytes, *, close_after: bool = False, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawHttp]:
    """A server that runs."""
    known = answers if callable(answers) else lambda _number, _request: answers
    running = RawHttp(known, close_after)
    async with listening(running.serve, tls) as port:
        running.port = port
        yield running


@asynccontextmanager
async def listening(converse: Converse, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a port that it names; at the end all its connections are closed."""
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await converse(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks[asyncio.create_task(serve(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
        for result in results:
            if isinstance(result, Exception):
                raise result
