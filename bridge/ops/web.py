"""Serves pages over HTTP from its own thread and event loop, so that it answers while the main loop hangs.

Never harms a link: a port in use, too many connections or a bug in a page cost pages only. Threads,
connections, the size of a request and its duration are bounded. No library: it reads the head of a GET,
responds and closes, and the standard library's http.server takes one thread for each connection.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog

from bridge.ops.bugs import Bugs
from bridge.ops.connections import Connection, Connections, Served, TurnedAway

AGAIN_S, LOOK_S = 2.0, 1.0
BACKLOG = 128


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
        self._connections = Connections(self._loop, served, bugs, turned_away)
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
        connection = partial(Connection, self._connections)
        serving = await self._loop.create_server(connection, sock=self._socket, backlog=BACKLOG)
        await self._over.wait()
        serving.close()
        self._connections.close()
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
