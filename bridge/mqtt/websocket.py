"""WebSocket frames as a stream of bytes, for paho. Keeps nothing of a frame that was read.

paho's own reader keeps a frame until its end and copies it at each read: one without end fills the memory and
takes all the time.
"""

import socket
import ssl
from contextlib import suppress

from paho.mqtt import client as paho

from bridge.errors import ProtocolError

HEAD_BYTES = 16_384
"""Of the answer to the handshake: more than any broker or proxy sends."""
CONTROL_BYTES = 125
FRAMES_AT_ONCE = 100
UNSENT_BYTES = 2**20
"""More than a frame of ours: beyond it pings get no answer, so that they fill no memory."""
CONTINUATION, BINARY, CLOSE, PING, PONG = 0x0, 0x2, 0x8, 0x9, 0xA
STREAM, CONTROL = frozenset({CONTINUATION, BINARY}), frozenset({CLOSE, PING, PONG})
LONGER = {126: 2, 127: 8}
"""How many bytes the length of a longer frame takes."""


class Frames(paho._WebsocketWrapper):  # noqa: SLF001  (paho has no other place for it)
    """A WebSocket whose frames may have any length. Raises ProtocolError for what the standard forbids."""

    _socket: socket.socket | ssl.SSLSocket

    def _do_handshake(self, extra_headers: object) -> None:
        self._opcode, self._left = CONTINUATION, 0
        self._head, self._control = bytearray(), bytearray()
        whole = self._socket
        self._socket = _Head(whole)  # type: ignore[assignment]  # it has what the handshake uses
        super()._do_handshake(extra_headers)  # type: ignore[arg-type]  # there are none
        self._socket = whole

    def _recv_impl(self, length: int) -> bytes:
        """Up to so many bytes of the stream; none at its end. Raises BlockingIOError if none have come."""
        with suppress(ConnectionError):
            for _ in range(FRAMES_AT_ONCE):
                if not self._left:
                    self._begin_frame()
                if self._opcode in CONTROL:
                    self._obey()
                elif self._left:
                    return self._take(length)
            raise BlockingIOError  # the rest has its turn later
        self.connected = False
        return b""

    def _begin_frame(self) -> None:
        """Read the head of a frame; what has come of it is kept if the rest has not."""
        self._fill(self._head, 2)
        first, second = self._head[:2]
        opcode, size = first & 0x0F, second & 0x7F
        if first & 0x70 or second & 0x80 or opcode not in STREAM | CONTROL:
            raise ProtocolError(
                f"the broker sends a WebSocket frame that begins with {first:02x}{second:02x}"
            )
        if opcode in CONTROL and size > CONTROL_BYTES:
            raise ProtocolError(f"the broker sends a WebSocket control frame of over {CONTROL_BYTES} bytes")
        more = LONGER.get(size, 0)
        self._fill(self._head, 2 + more)
        self._opcode, self._left = opcode, int.from_bytes(self._head[2:], "big") if more else size
        self._head.clear()

    def _obey(self) -> None:
        """Read a control frame to its end, and answer it."""
        while self._left:
            self._control += self._take(self._left)
        said, self._control = self._control, bytearray()
        if self._opcode == PING:
            self._pong(said)
        if self._opcode == CLOSE:
            raise ConnectionAbortedError

    def _send_impl(self, data: bytes | bytearray) -> int:
        """Send a frame, or what is left of it. Raises BlockingIOError while it has not left whole.

        paho's own says 0 then, at which paho forgets the packet and takes the next one for sent.
        """
        if size := super()._send_impl(data):
            return size
        raise BlockingIOError

    def _pong(self, said: bytearray) -> None:
        """Behind what is left of a frame of ours; what cannot be sent now goes with our next frame.

        That rest is paho's to send: it sends the frame again if it has not seen all of it leave.
        """
        behind = bool(self._sendbuffer)
        if len(self._sendbuffer) < UNSENT_BYTES:
            self._sendbuffer += self._create_frame(PONG, said)
        if not behind:
            self._requested_size = 0
            with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                del self._sendbuffer[: self._socket.send(self._sendbuffer)]

    def _fill(self, buffer: bytearray, size: int) -> None:
        while len(buffer) < size:
            buffer += self._received(size - len(buffer))

    def _take(self, most: int) -> bytes:
        data = self._received(min(most, self._left))
        self._left -= len(data)
        return data

    def _received(self, most: int) -> bytes:
        data = self._socket.recv(most)
        if not data:
            raise ConnectionAbortedError
        return data


class _Head:
    """A socket for the handshake: paho reads its answer byte by byte, however long it is."""

    def __init__(self, whole: socket.socket | ssl.SSLSocket) -> None:
        self._whole = whole
        self._left = HEAD_BYTES

    def send(self, data: bytes) -> int:
        """Send the request."""
        return self._whole.send(data)

    def recv(self, size: int) -> bytes:
        """Receive a part of the answer."""
        self._left -= size
        if self._left < 0:
            raise paho.WebsocketConnectionError("the answer is too long")
        return self._whole.recv(size)
