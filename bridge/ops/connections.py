"""The connections of HTTP clients: one request, one response, closed. Bounds their number, size and time.

Opens no listening socket and renders no page.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from http import HTTPStatus
from typing import Any

from bridge.net.executor import DaemonExecutor
from bridge.ops.bugs import REASON, Bugs
from bridge.ops.pages import TEXT, Answer, Make
from bridge.ops.request import END, Request, read

AT_ONCE = 16
REQUEST_S, ANSWER_S = 5.0, 10.0
HEAD_BYTES = 4096
PIECE = 65_536
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


class Connections:
    """The open connections, at most AT_ONCE."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, served: Served, bugs: Bugs, turned_away: TurnedAway
    ) -> None:
        self.loop = loop
        self.maker: Executor = DaemonExecutor(threads=1, names=0)
        self._served = served
        self._bugs = bugs
        self._turned_away = turned_away
        self._open: dict[Connection, None] = {}

    def enter(self, connection: "Connection") -> None:
        """Add one. Beyond the limit, close the oldest connection of the client address with most of them."""
        self._open[connection] = None
        if len(self._open) > AT_ONCE:
            count = Counter(each.peer for each in self._open)
            most = max(count.values())
            self.turn_away(next(each for each in self._open if count[each.peer] == most), CROWD)

    def leave(self, connection: "Connection") -> None:
        """Remove one."""
        self._open.pop(connection, None)

    def turn_away(self, connection: "Connection", why: str) -> None:
        """Close a connection without a response."""
        self.leave(connection)
        self._turned_away(why)
        connection.end()

    def late_after(self, seconds: float, connection: "Connection") -> asyncio.TimerHandle:
        """Close a connection after this time, unless the handle is cancelled before."""
        return self.loop.call_later(seconds, self.turn_away, connection, LATE)

    def close(self) -> None:
        """Close all connections."""
        self.maker.shutdown(wait=False)
        for connection in tuple(self._open):
            connection.end()

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


class Connection(asyncio.Protocol):
    """One connection: one request, one response, then closed."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._head = b""
        self._left = memoryview(b"")
        self._full = False
        self._made: asyncio.Future[Answer] | None = None
        self.peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected (asyncio.Protocol)."""
        self._transport: Any = transport
        self.peer = (transport.get_extra_info("peername") or ("",))[0]
        self._deadline = self._connections.late_after(REQUEST_S, self)
        self._connections.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        """The connection has ended, for any reason (asyncio.Protocol)."""
        self._deadline.cancel()
        self._connections.leave(self)
        if self._made is not None:
            self._made.cancel()

    def end(self) -> None:
        """Close the connection at once."""
        self._deadline.cancel()
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
            answer = self._connections.answer(head, self.peer)
        except Exception as bug:  # noqa: BLE001  (a bug costs this response only)
            answer = self._connections.failed(bug)
        if isinstance(answer, Answer):
            self._send(answer)
        else:
            self._deadline.cancel()
            self._deadline = self._connections.late_after(ANSWER_S, self)
            self._made = self._connections.loop.run_in_executor(self._connections.maker, answer)
            self._made.add_done_callback(self._is_made)

    def _is_made(self, made: asyncio.Future[Answer]) -> None:
        if made.cancelled() or self._transport.is_closing():
            return
        bug = made.exception()
        if isinstance(bug, OSError):
            self.end()
        else:
            self._send(self._connections.failed(bug) if isinstance(bug, Exception) else made.result())

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
            self._connections.loop.call_soon(self._transport.close)
