"""WebSocket frames as a stream of bytes. Buffers no payload, opens no connection, knows no paho.

paho's own reader keeps a frame until its end and copies it at each read: a frame without end would fill the
memory and use all the CPU. A WebSocket library would bring its own handshake and its own buffers for whole
messages; MQTT needs neither.
"""

from collections.abc import Callable

from bridge.errors import ProtocolError

CONTROL_BYTES = 125
FRAMES_AT_ONCE = 100
CONTINUATION, BINARY, CLOSE, PING, PONG = 0x0, 0x2, 0x8, 0x9, 0xA
STREAM, CONTROL = frozenset({CONTINUATION, BINARY}), frozenset({CLOSE, PING, PONG})
LONGER = {126: 2, 127: 8}
"""How many bytes the length of a longer frame takes."""


class FrameReader:
    """Reads frames of any length with `receive`; `pong` answers a ping.

    Raises ProtocolError for a frame that RFC 6455 forbids, and ConnectionError at the end of the stream.
    """

    def __init__(self, receive: Callable[[int], bytes], pong: Callable[[bytearray], None]) -> None:
        self._receive = receive
        self._pong = pong
        self._opcode = CONTINUATION
        self._left = 0
        self._head = bytearray()
        self._control = bytearray()

    def read(self, length: int) -> bytes:
        """At least one and at most `length` bytes. Raises BlockingIOError if none have come.

        The socket may fail between any two bytes, so progress is kept in `_head`, `_left` and `_control`.
        """
        for _ in range(FRAMES_AT_ONCE):
            if not self._left:
                self._begin_frame()
            if self._opcode in CONTROL:
                self._obey()
            elif self._left:
                return self._take(length)
        raise BlockingIOError  # a flood of empty or control frames must not hold the event loop

    def _begin_frame(self) -> None:
        self._fill_head(2)
        first, second = self._head[:2]
        opcode, size = first & 0x0F, second & 0x7F
        if first & 0x70 or second & 0x80 or opcode not in STREAM | CONTROL:
            raise ProtocolError(
                f"the broker sends a WebSocket frame that begins with {first:02x}{second:02x}"
            )
        if opcode in CONTROL and size > CONTROL_BYTES:
            raise ProtocolError(f"the broker sends a WebSocket control frame of over {CONTROL_BYTES} bytes")
        more = LONGER.get(size, 0)
        self._fill_head(2 + more)
        self._opcode, self._left = opcode, int.from_bytes(self._head[2:], "big") if more else size
        self._head.clear()

    def _obey(self) -> None:
        """Read a control frame to its end, then act on it."""
        while self._left:
            self._control += self._take(self._left)
        payload, self._control = self._control, bytearray()
        if self._opcode == PING:
            self._pong(payload)
        if self._opcode == CLOSE:
            raise ConnectionAbortedError

    def _fill_head(self, size: int) -> None:
        while len(self._head) < size:
            self._head += self._received(size - len(self._head))

    def _take(self, most: int) -> bytes:
        data = self._received(min(most, self._left))
        self._left -= len(data)
        return data

    def _received(self, most: int) -> bytes:
        data = self._receive(most)
        if not data:
            raise ConnectionAbortedError
        return data
