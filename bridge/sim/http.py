"""A small HTTP/1.1 server for simulated PBXs: keep-alive, exact bodies, resets on demand. No SOAP here."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

HEAD_CAP, BODY_CAP = 16_384, 1_048_576
BODY_S = 30.0
_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Server Error",
}


class _RefusedError(Exception):
    """The request is answered with a status, and the connection closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; `connection` tells the TCP connections apart."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def last(self) -> bool:
        """The client wants the connection closed after this one."""
        return self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response. `break_after`: send so many bytes of the body, then close. `drip_s`: between bytes."""

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
    """Serves one handler on one address; can be told to refuse and to come back on the same port."""

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
        """Accept connections. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(
            self._accept, self._host, self.port, ssl=self._tls, limit=HEAD_CAP
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def refuse(self, *, reset: bool) -> None:
        """Accept no more, and end all connections, with a reset if wanted."""
        self.stop_listening()
        tasks = list(self._tasks.items())
        for task, writer in tasks:
            if reset:
                _reset(writer)
            task.cancel()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Known from the first moment on, so that `refuse` misses no connection."""
        if self._server is None:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer, next(self._numbers)))
        self._tasks[task] = writer
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        try:
            await self._converse(reader, writer, number)
        except _RefusedError as refused:
            with contextlib.suppress(OSError):
                await _write(writer, HttpResponse(refused.status))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
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
        rest = b""
        while (request := await _read(reader, rest, number)) is not None:
            answering = asyncio.ensure_future(self._handle(request))
            listening = asyncio.ensure_future(reader.read(1))
            try:
                await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and not listening.result():
                    return
                response = await answering
                if not await _write(writer, response) or request.last:
                    return
                rest = await listening
            finally:
                answering.cancel()
                listening.cancel()
                await asyncio.gather(answering, listening, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, rest: bytes, number: int) -> HttpRequest | None:
    """The next request; None at the end of the connection. Raises _RefusedError."""
    try:
        head = rest + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise _RefusedError(431) from None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    words = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if len(words) != 3:  # noqa: PLR2004  (method, path, version)
        raise _RefusedError(400)
    length = _length(headers)
    async with asyncio.timeout(BODY_S):
        return HttpRequest(words[0], words[1], headers, await reader.readexactly(length), number)


def _length(headers: dict[str, str]) -> int:
    """How long the body is. Raises _RefusedError."""
    if "transfer-encoding" in headers:
        raise _RefusedError(411)
    text = headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise _RefusedError(400)
    if len(text) > len(str(BODY_CAP)) or int(text) > BODY_CAP:
        raise _RefusedError(413)
    return int(text)


async def _write(writer: asyncio.StreamWriter, response: HttpResponse) -> bool:
    """Send a response; False when the connection is to be closed."""
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
    """Close with RST instead of FIN, as a box does that loses its power."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
