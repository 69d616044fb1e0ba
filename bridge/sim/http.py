"""A small HTTP/1.1 server for simulated PBXs: keep-alive, exact bodies, resets on demand. No SOAP here.

request.py parses with a library. The responses are written here because a PBX in trouble breaks them off,
drips them or never ends them, which no server library does on purpose.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bridge.sim.request import HttpRequest, RefusedError, RequestReader

BODY_S = 30.0
BACKLOG = 4096
"""A whole fleet may connect at once."""
_CHUNK = 65_536
_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Server Error",
}


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response. `break_after`: close after this many bytes of the body. `drip_s`: pause between bytes."""

    status: int = 200
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    break_after: int | None = None
    drip_s: float = 0.0
    endless: bool = False
    reset: bool = False
    content_type: str = "text/xml; charset=utf-8"


Handle = Callable[[HttpRequest], Awaitable[HttpResponse]]


class HttpServer:
    """Serves one handler on one address; it can refuse connections and return on the same port."""

    def __init__(
        self,
        handle: Handle,
        closed: Callable[[int], None],
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._handle = handle
        self._closed = closed
        self._host = host
        self.port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._numbers = itertools.count(1)

    async def listen(self) -> None:
        """Accept connections. Raises OSError if the port is in use."""
        self._server = await asyncio.start_server(
            self._accept, self._host, self.port, ssl=self._tls, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def refuse(self, *, reset: bool) -> None:
        """Refuse new connections and end all open ones, optionally with a reset."""
        self.stop_listening()
        tasks = list(self._tasks.items())
        for task, writer in tasks:
            if reset:
                _reset(writer)
            task.cancel()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Register the connection at once, so that `refuse` does not miss it."""
        if self._server is None:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer, next(self._numbers)))
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            await self._converse(reader, writer, number)
        except RefusedError as refused:
            with contextlib.suppress(OSError):
                await _write(writer, HttpResponse(refused.status))
        except OSError:
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._closed(number)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        requests = RequestReader(number)
        while (request := await _next(reader, requests)) is not None:
            answering = asyncio.ensure_future(self._handle(request))
            listening = asyncio.ensure_future(reader.read(_CHUNK))  # a client that leaves ends its Poll
            try:
                await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and not listening.result():
                    return
                response = await answering
                if not await _write(writer, response) or request.last:
                    return
                if listening.done() or not requests.waiting:
                    requests.feed(await listening)
            finally:
                answering.cancel()
                listening.cancel()
                await asyncio.gather(answering, listening, return_exceptions=True)


async def _next(reader: asyncio.StreamReader, requests: RequestReader) -> HttpRequest | None:
    """The next request; None at the end. Raises RefusedError; TimeoutError when a body stops coming."""
    async with asyncio.timeout(None) as limit:
        while (request := requests.take()) is None:
            if requests.in_body and limit.when() is None:
                limit.reschedule(asyncio.get_running_loop().time() + BODY_S)
            data = await reader.read(_CHUNK)
            if not data:
                return None
            requests.feed(data)
    return request


async def _write(writer: asyncio.StreamWriter, response: HttpResponse) -> bool:
    """Send a response; returns False if the connection must be closed."""
    if response.reset:
        _reset(writer)
        return False
    length = 1 << 40 if response.endless else len(response.body)
    head = f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Trouble')}\r\n"
    fields = [("Content-Type", response.content_type), *response.headers, ("Content-Length", str(length))]
    writer.write((head + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode())
    body = response.body if response.break_after is None else response.body[: response.break_after]
    if response.drip_s:
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(response.drip_s)
    else:
        writer.write(body)
    await writer.drain()
    while response.endless:
        writer.write(b" " * 65_536)
        await writer.drain()
    return response.break_after is None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, as when an appliance loses power."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
