"""Serves pages over HTTP from its own thread and event loop, so that it answers while the main loop hangs.

Never harms a link: a port in use, too many connections or a bug in a page cost pages only. Threads,
connections, the size of a request and its duration are bounded. No library: it reads the head of a GET,
responds and closes, and the standard library's http.server takes one thread for each connection.
"""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import structlog

from bridge.net.executor import DaemonExecutor
from bridge.ops.bugs import REASON, Bugs
from bridge.ops.pages import TEXT, Answer, Make
from bridge.ops.request import END, Request, read

AGAIN_S, LOOK_S = 2.0, 1.0
AT_ONCE = 16
REQUEST_S, ANSWER_S = 5.0, 10.0
HEAD_BYTES = 4096
PIECE = 65_536
BACKLOG = 128
CROWD, LATE = "crowd", "late"
Served = Callable[[Request], Answer | Make]
TurnedAway = Callable[[str], None]
TOO_LONG = Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TEXT, b"too long\n")
UNREADABLE = Answer(HTTPStatus.BAD_REQUEST, TEXT, b"not a request that can be read\n")
ONLY_GET = Answer(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"only GET\n")
FAILED = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, REASON.encode())
_HEADERS = (
    "Allow: GET",
    "Cache-Control: no-store",
    "Connection: close",
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy: same-origin",
    "X-Content-Type-Options: nosniff",
)


async def serve(
    name: str, address: tuple[str, int], served: Served, bugs: Bugs, turned_away: TurnedAway
) -> None:
    """Serve until cancelled. If the address is not available, warn once and retry."""
    log, said = structlog.get_logger(), False
    host, port = address
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    while True:
        try:
            with Web(await _resolved(address), served, bugs, turned_away) as web:
                log.info("pages served", kind=name, url=f"http://{listen}")
                while web.serves:  # noqa: ASYNC110  (a thread that ends cannot set an event of this loop)
                    await asyncio.sleep(LOOK_S)
        except OSError as error:
            if not said:
                reason = error.strerror or str(error)
                log.warning("pages not served", kind=name, listen=listen, reason=reason, hint="retrying")
            said = True
            await asyncio.sleep(AGAIN_S)


class Web:
    """The HTTP server on one socket address, as a context manager. Raises OSError."""

    def __init__(
        self,
        address: tuple[socket.AddressFamily, Any],
        served: Served,
        bugs: Bugs,
        turned_away: TurnedAway,
    ) -> None:
        self._bugs = bugs
        self._socket = _listening(*address)
        try:
            self._loop = asyncio.new_event_loop()
        except OSError:
            self._socket.close()
            raise
        self._over = asyncio.Event()
        self._loop.set_exception_handler(self._failed)
        self._house = _House(self._loop, served, bugs, turned_away)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def serves(self) -> bool:
        """Its thread is running; a bug may have ended it."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as bug:  # noqa: BLE001  (serve() starts the server again)
            self._bugs.report(bug, "web")
        finally:
            self._loop.close()
            self._socket.close()

    async def _serve(self) -> None:
        visit = partial(_Visit, self._house)
        serving = await self._loop.create_server(visit, sock=self._socket, backlog=BACKLOG)
        await self._over.wait()
        serving.close()
        self._house.close()
        await asyncio.sleep(0)  # lets the closed transports call connection_lost

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError as error:
            self._socket.close()
            self._loop.close()
            raise OSError(str(error)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(RuntimeError):  # a bug has closed the loop
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _failed(self, _loop: asyncio.AbstractEventLoop, failed: Mapping[str, Any]) -> None:
        """A connection that cannot be accepted is not logged; everything else is a bug."""
        bug = failed.get("exception")
        if not isinstance(bug, OSError):
            self._bugs.report(bug or RuntimeError(failed.get("message")), "web")


class _House:
    """The open connections, at most AT_ONCE."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, served: Served, bugs: Bugs, turned_away: TurnedAway
    ) -> None:
        self.loop = loop
        self.maker: Executor = DaemonExecutor(threads=1, names=0)
        self._served = served
        self._bugs = bugs
        self._turned_away = turned_away
        self._visits: dict[_Visit, None] = {}

    def enter(self, visit: "_Visit") -> None:
        """Add one. Beyond the limit, close the oldest connection of the client address with most of them."""
        self._visits[visit] = None
        if len(self._visits) > AT_ONCE:
            count = Counter(each.peer for each in self._visits)
            most = max(count.values())
            self.turn_away(next(each for each in self._visits if count[each.peer] == most), CROWD)

    def leave(self, visit: "_Visit") -> None:
        """Remove one."""
        self._visits.pop(visit, None)

    def turn_away(self, visit: "_Visit", why: str) -> None:
        """Close a connection without a response."""
        self.leave(visit)
        self._turned_away(why)
        visit.end()

    def close(self) -> None:
        """Close all connections."""
        self.maker.shutdown(wait=False)
        for visit in tuple(self._visits):
            visit.end()

    def answer(self, head: bytes, peer: str) -> Answer | Make:
        """The response to the head of a request, or what renders it."""
        if len(head) > HEAD_BYTES:
            return TOO_LONG
        request = read(head, peer)
        if request is None:
            return UNREADABLE
        return self._served(request) if request.method == "GET" else ONLY_GET

    def failed(self, bug: Exception) -> Answer:
        """Report a bug, which costs this response only."""
        self._bugs.report(bug, "web")
        return FAILED


class _Visit(asyncio.Protocol):
    """One connection: one request, one response, then closed."""

    def __init__(self, house: _House) -> None:
        self._house = house
        self._head = b""
        self._left = memoryview(b"")
        self._full = False
        self._made: asyncio.Future[Answer] | None = None
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected (asyncio.Protocol)."""
        self._transport: Any = transport
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        self._hurry = self._house.loop.call_later(REQUEST_S, self._house.turn_away, self, LATE)
        self._house.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """The connection has ended, for any reason (asyncio.Protocol)."""
        self._hurry.cancel()
        self._house.leave(self)
        if self._made is not None:
            self._made.cancel()

    def end(self) -> None:
        """Close the connection at once."""
        self._hurry.cancel()
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """A part of the request has arrived (asyncio.Protocol)."""
        self._head += data
        end = END.search(self._head)
        if end is None and len(self._head) <= HEAD_BYTES:
            return
        self._transport.pause_reading()
        head = self._head[: end.start()] if end else self._head
        try:
            answer = self._house.answer(head, self.peer)
        except Exception as bug:  # noqa: BLE001  (a bug costs this response only)
            answer = self._house.failed(bug)
        if isinstance(answer, Answer):
            self._send(answer)
        else:
            self._hurry.cancel()
            self._hurry = self._house.loop.call_later(ANSWER_S, self._house.turn_away, self, LATE)
            self._made = self._house.loop.run_in_executor(self._house.maker, answer)
            self._made.add_done_callback(self._is_made)

    def _is_made(self, made: asyncio.Future[Answer]) -> None:
        if made.cancelled() or self._transport.is_closing():
            return
        bug = made.exception()
        if isinstance(bug, OSError):
            self.end()
        else:
            self._send(self._house.failed(bug) if isinstance(bug, Exception) else made.result())

    def _send(self, answer: Answer) -> None:
        lines = (
            f"HTTP/1.1 {answer.status} {answer.status.phrase}",
            f"Content-Type: {answer.kind}",
            f"Content-Length: {len(answer.body)}",
            *_HEADERS,
        )
        self._transport.write("\r\n".join((*lines, "", "")).encode())
        self._left = memoryview(answer.body)
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client reads slowly (asyncio.Protocol)."""
        self._full = True

    def resume_writing(self) -> None:
        """Send the next piece (asyncio.Protocol). A slow client must not cost a copy of the whole page."""
        self._full = False
        while self._left and not self._full and not self._transport.is_closing():
            piece, self._left = self._left[:PIECE], self._left[PIECE:]
            self._transport.write(piece)
        if not self._left:
            # Closed within this callback, the transport of Python 3.11 calls connection_lost twice.
            self._house.loop.call_soon(self._transport.close)


def _listening(family: socket.AddressFamily, where: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


async def _resolved(address: tuple[str, int]) -> tuple[socket.AddressFamily, Any]:
    """The first address that a name resolves to. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, where = found[0]
    return family, where
