"""Serves the pages over HTTP from threads of its own: they answer when the loop does not.

A side job: a port that is taken, a crowd of connections or a bug in a page costs pages, never a link.
Bounded: connections, the size of a request, and the time that one may take.
"""

import asyncio
import contextlib
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BufferedIOBase
from socketserver import TCPServer, ThreadingMixIn
from types import TracebackType
from typing import Any, Self

import structlog

from bridge.bugs import REASON, Bugs
from bridge.ops.pages import TEXT, Answer, Pages

AGAIN_S = 2.0
AT_ONCE = 16
REQUEST_S = 5.0
HEAD_BYTES = 4096
LOOK_S = 0.25
POOR_S = 0.1
TOO_LONG = Answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TEXT, b"too long\n")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


async def serve(address: tuple[str, int], pages: Pages, bugs: Bugs) -> None:
    """Serve until cancelled. An address that cannot be had now is tried again, after one warning."""
    log, said = structlog.get_logger(), False
    host, port = address
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    while True:
        try:
            web = Web(await _resolved(address), pages, bugs)
        except OSError as error:
            if not said:
                reason = error.strerror or str(error)
                log.warning(
                    "pages not served", listen=listen, reason=reason, hint="tried again until it works"
                )
            said = True
            await asyncio.sleep(AGAIN_S)
            continue
        with web:
            log.info("pages served", url=f"http://{listen}")
            await asyncio.Event().wait()


class Web:
    """The HTTP server on one address of the system; a context manager. Raises OSError."""

    def __init__(self, address: tuple[socket.AddressFamily, Any], pages: Pages, bugs: Bugs) -> None:
        self._server = _Server(address, _handler(pages, bugs), bugs)
        self._bugs = bugs
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        port: int = self._server.server_address[1]
        return port

    def _run(self) -> None:
        """Serve at least once, however late the thread begins: `shutdown` waits for an end of serving."""
        while True:
            try:
                self._server.serve_forever(LOOK_S)
            except Exception as bug:  # noqa: BLE001  (the pages come back)
                self._bugs.report(bug, "web")
                time.sleep(POOR_S)
            if self._closing:
                return

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError as error:
            self._server.server_close()
            raise OSError(str(error)) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """A thread for each connection; at most AT_ONCE of them, each for REQUEST_S."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[socket.AddressFamily, Any],
        handler: type[BaseHTTPRequestHandler],
        bugs: Bugs,
    ) -> None:
        self.address_family, where = address
        self._bugs = bugs
        self._lock = threading.Lock()
        self._open: dict[socket.socket, float] = {}
        super().__init__(where, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept. Without a descriptor to spare the connection stays in the queue: do not spin meanwhile."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(POOR_S)
            raise

    def verify_request(self, request: Any, _address: Any) -> bool:
        """Take it, unless there are too many."""
        with self._lock:
            room = len(self._open) < AT_ONCE
            if room:
                self._open[request] = time.monotonic()
        return room

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer it in a thread; where none can be made, close it."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.shutdown_request(request)

    def service_actions(self) -> None:
        """End what takes too long, whatever it is waiting for."""
        with self._lock:
            late = [each for each, since in self._open.items() if time.monotonic() - since > REQUEST_S]
        for each in late:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _address: Any) -> None:
        """A client that resets or is silent is nothing to log; the rest is a bug."""
        bug = sys.exc_info()[1]
        if bug is not None and not isinstance(bug, OSError):
            self._bugs.report(bug, "web")


class _Head:
    """The reading end of a connection, as far as a request may be long."""

    def __init__(self, source: BufferedIOBase) -> None:
        self._source = source
        self._left = HEAD_BYTES

    @property
    def cut(self) -> bool:
        """The request was longer than it may be."""
        return self._left == 0

    def readline(self, size: int = -1) -> bytes:
        """A line, cut at the end of what may be read; then nothing."""
        line = self._source.readline(self._left if size < 0 else min(size, self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        """Close it."""
        self._source.close()


def _handler(pages: Pages, bugs: Bugs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S
        server_version, sys_version = "innovaphone-mqtt", ""

        def setup(self) -> None:
            """Read no more than a request may be long."""
            super().setup()
            self.rfile: Any = _Head(self.rfile)

        def do_GET(self) -> None:
            """Answer one of the pages."""
            try:
                answer = TOO_LONG if self.rfile.cut else pages.answer(self.path)
            except Exception as bug:  # noqa: BLE001  (it costs this answer)
                bugs.report(bug, "web")
                answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, REASON.encode())
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Requests are not logged."""

    return Handler


async def _resolved(address: tuple[str, int]) -> tuple[socket.AddressFamily, Any]:
    """The first address that a name means. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(
        *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, where = found[0]
    return family, where
