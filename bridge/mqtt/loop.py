"""Runs paho's socket on the asyncio loop, without a thread of paho's. Knows sockets, not messages."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt import client as paho

from bridge.errors import LinkError
from bridge.mqtt.paho_client import Client
from bridge.net.keepalive import options as tcp_options

MISC_S, MISC_A_KEEPALIVE = 1.0, 10
"""How often paho looks whether a ping is due: so often in a keepalive, but not more often than this."""
TROUBLE = (LinkError, OSError, ValueError, LookupError, TypeError, RuntimeError, struct.error, MQTTException)
"""Errors that paho may raise when it reads bytes of a broken or hostile broker."""


class LoopDriver:
    """Reads, writes and keeps alive one connected paho client until it is detached.

    `broken` is called once, if paho fails at what the broker sent.
    """

    def __init__(self, client: Client, broken: Callable[[Exception], None]) -> None:
        self._client = client
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._blocked = self._gathering = False
        self._timer: asyncio.TimerHandle | None = None
        self.heard_s = self._loop.time()
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._enough_written
        client.on_socket_close = self._closing

    def attach(self) -> None:
        """Take over the socket that paho has connected in another thread."""
        self._socket = self._client.socket()
        if self._socket is None:
            self._broken(ConnectionError("closed while connecting"))
            return
        tune(self._client.raw)
        self._loop.add_reader(self._socket, self._read)
        # paho has already asked for a writer, from the connecting thread, where it was ignored; it does not
        # ask twice. Without a call now CONNECT would stay in paho's queue.
        self._loop.call_soon(self._write)
        self._timer = self._loop.call_later(MISC_S, self._misc)

    def __enter__(self) -> None:
        """Publishes within this context leave together when it ends, not at the end of the loop's turn."""
        self._gathering = True

    def __exit__(self, *_: object) -> None:
        self._gathering = False
        if not self._blocked and self._client.want_write():
            self._write()

    def detach(self) -> None:
        """Remove the socket from the loop and close it, in any state of the connection."""
        held = self._socket
        self._let_go()
        if held is not None:
            with contextlib.suppress(OSError):
                held.close()

    def _read(self) -> None:
        """Read until nothing is buffered: the loop sees the TCP socket only, TLS and WebSocket read ahead."""
        self.heard_s = self._loop.time()
        if not self._guarded(self._client.read):
            return
        while self._socket is not None and getattr(self._socket, "pending", int)() > 0:
            if not self._guarded(self._client.read):
                return

    def _write(self) -> None:
        """Write at the end of the turn in which paho got something to write, and then when there is room."""
        if self._socket is None or not self._guarded(self._client.write):
            return
        if self._socket is not None and self._client.want_write() and not self._blocked:
            self._blocked = True
            self._loop.add_writer(self._socket, self._write)

    def _misc(self) -> None:
        self._timer = self._loop.call_later(
            max(MISC_S, self._client.keepalive / MISC_A_KEEPALIVE), self._misc
        )
        self._guarded(self._client.loop_misc)

    def _guarded(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except TROUBLE as error:
            self._let_go()
            self._broken(error)
            return False
        except Exception as bug:
            self._let_go()
            self._broken(bug)
            raise  # to the event loop's exception handler, which knows whose it is
        return True

    def _want_write(self, _client: paho.Client, _userdata: object, sock: Any) -> None:
        """Write soon. From the connecting thread paho asks too early: attach() does it."""
        if self._socket is sock and not self._gathering:
            self._loop.call_soon(self._write)

    def _enough_written(self, _client: paho.Client, _userdata: object, sock: Any) -> None:
        if self._socket is sock and self._blocked:
            self._blocked = False
            self._loop.remove_writer(sock)

    def _closing(self, _client: paho.Client, _userdata: object, sock: Any) -> None:
        if self._socket is sock:
            self._let_go()

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None


def tune(raw: socket.socket | None) -> None:
    """Set our TCP options. An option that the system rejects is left out."""
    for option in tcp_options():
        with contextlib.suppress(OSError):
            if raw is not None:
                raw.setsockopt(*option)
