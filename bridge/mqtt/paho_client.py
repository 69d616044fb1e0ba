"""A paho client for asyncio: the one file that touches paho's private parts. Knows nothing of our messages.

paho is synchronous, slow, and trusts its broker. The overrides here close sockets that paho would leave open,
bound what a broker can make us keep, read WebSocket frames without buffering them, and lead PUBLISH and
PUBACK past paho (framing.py, received.py). `test_paho_client.py` pins every private name that is used, so
that an upgrade of paho that changes one fails there.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.exception import MalformedPacket

from bridge.core.message import Incoming, Message
from bridge.errors import ProtocolError
from bridge.mqtt.encode import encode
from bridge.mqtt.framing import INBOUND_BYTES, PUBACK, PUBLISH, Packet, PacketReader, acknowledgement, puback
from bridge.mqtt.received import message
from bridge.mqtt.settings import MQTT_5, BrokerSettings
from bridge.mqtt.websocket import PONG, FrameReader

CHUNK_BYTES = 4096
"""What is read at once: more packets than that would hold the event loop for too long."""
GATHERED_BYTES = 65_536
"""Publishes of one turn of the loop leave in writes of about this size."""
UNREAD_AT_MOST = 1000
"""Our packets that the broker leaves unread while it sends: many times what may be unacknowledged."""
HEAD_BYTES = 16_384
"""Of the answer to the WebSocket handshake: more than any broker or proxy sends."""
UNSENT_BYTES = 2**20
"""More than one of our frames. Beyond it pings get no pong, so that pings cannot fill the memory."""
_NO_LIMIT = 65_535


class Client(paho.Client):
    """A paho client that leaks no socket and keeps no large packet.

    Raises ProtocolError when a broker sends what no broker needs to send. `answered`: any byte has come.
    `acknowledged` is called with the packet identifier and the reason code of each PUBACK; `received` with
    each message, and whether it was too large to be kept whole.
    """

    def __init__(self, settings: BrokerSettings, protocol: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            protocol=paho.MQTTv5 if protocol == MQTT_5 else paho.MQTTv311,
            clean_session=None if protocol == MQTT_5 else True,
            transport="websockets" if settings.transport == "websockets" else "tcp",
            reconnect_on_failure=False,
        )
        self.raw: socket.socket | None = None
        self.connecting = False
        self.answered = False
        self.acknowledged: Callable[[int, int], None] = _ignore
        self.received: Callable[[Incoming, bool], None] = _ignore
        self._settings = settings
        self._spoken = protocol
        self._reader = PacketReader(settings.place)
        self._gathering: Any = None
        self._last_bytes_received = paho.time_func()

    def close_raw(self) -> None:
        """Close the TCP socket, whatever paho still thinks of it.

        While the connecting thread uses the socket, it is only shut down: that wakes the thread, which then
        closes it. If we closed it here, the kernel could give its number to another link's connection, and
        the thread would go on with its handshake there.
        """
        if self.raw is None:
            return
        with contextlib.suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)
        if not self.connecting:
            self.raw.close()

    def next_mid(self) -> int:
        """Another packet identifier; paho uses the same series."""
        return self._mid_generate()

    def send_publish(self, packet: bytes, mid: int, *, asks: bool) -> bool:
        """Queue a PUBLISH behind what waits; False if the connection has ended.

        Those that ask for a PUBACK are gathered: one write for all of a turn of the loop. Without (QoS 0),
        `on_publish` is called when the last byte is written.
        """
        if self._sock is None:
            return False
        if not asks:
            self._packet_queue(PUBLISH, packet, mid, 0, paho.MQTTMessageInfo(mid))
        elif self._gathering is None or self._gathering is not self._out_packet[-1]:
            self._packet_queue(PUBLISH, bytearray(packet), mid, 1)
            self._gathering = self._out_packet[-1]
        else:
            self._gathering["packet"] += packet
            self._gathering["to_process"] += len(packet)
        if self._gathering is not None and self._gathering["to_process"] > GATHERED_BYTES:
            self._gathering = None
        return True

    def write(self) -> None:
        """Write what waits, as far as there is room."""
        self._gathering = None  # TLS and WebSocket may have begun with a packet: it must not grow
        self.loop_write()

    def read(self) -> None:
        """Read once, and handle the packets that are complete."""
        try:
            data = self._sock_recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop_rc_handle(paho.MQTT_ERR_CONN_LOST)
            return
        self.answered = True
        self._last_bytes_received = paho.time_func()
        for packet in self._reader.feed(data):
            if packet.command == PUBACK:
                self.acknowledged(*acknowledgement(packet.body, self._spoken))
            else:
                self._take(packet)
            if self._sock is None:
                return

    def _take(self, packet: Packet) -> None:
        """A message, or what paho handles: it may make us answer."""
        if len(self._out_packet) > UNREAD_AT_MOST:
            place = self._settings.place
            raise ProtocolError(f"the broker {place} sends messages but reads no acknowledgements")
        if packet.command & 0xF0 != PUBLISH:
            self._hand_to_paho(packet)
            return
        incoming, mid = message(packet, self._spoken, self._settings.sender_property)
        self.received(incoming, packet.size > INBOUND_BYTES)
        if mid and self._sock is not None:
            self._packet_queue(PUBACK, puback(mid), mid, 1)

    def _hand_to_paho(self, packet: Packet) -> None:
        incoming: Any = self._in_packet
        incoming["command"], incoming["packet"] = packet.command, packet.body
        incoming["remaining_length"] = packet.size
        try:
            code = self._packet_handle()
        except MalformedPacket:
            code = paho.MQTT_ERR_PROTOCOL
        if code > 0:
            self._loop_rc_handle(code)

    def _create_socket_connection(self) -> socket.socket:
        self.raw = super()._create_socket_connection()
        return self.raw

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        # paho wraps first and shakes hands later; if that fails, nobody closes the wrapped socket.
        # With the handshake inside wrap_socket, the standard library closes it.
        context = self._settings.tls
        if context is None:
            raise ValueError("no TLS context")
        wrapped = context.wrap_socket(tcp_sock, server_hostname=self.host)
        self.raw = wrapped
        return wrapped

    def _create_socket(self) -> Any:
        if self._settings.transport != "websockets":
            return super()._create_socket()
        sock: Any = self._create_socket_connection()
        encrypted = self._settings.tls is not None
        if encrypted:
            sock = self._ssl_wrap_socket(sock)
        sock.settimeout(self.connect_timeout)
        return WebSocket(sock, self.host, self.port, encrypted, self._settings.path, None)


def _ignore(*_: object) -> None:
    """Nobody is there yet."""


class WebSocket(paho._WebsocketWrapper):  # noqa: SLF001  (paho has no other place for it)
    """The WebSocket below MQTT: paho makes the handshake and our frames, FrameReader reads the broker's."""

    _socket: socket.socket | ssl.SSLSocket

    def __init__(self, *arguments: Any) -> None:
        # Before paho's __init__, which makes the handshake.
        self._frames = FrameReader(self._receive, self._send_pong)
        super().__init__(*arguments)

    def _do_handshake(self, extra_headers: object) -> None:
        whole = self._socket
        self._socket = HandshakeSocket(whole)  # type: ignore[assignment]  # it has what the handshake uses
        super()._do_handshake(extra_headers)  # type: ignore[arg-type]  # there are none
        self._socket = whole

    def _recv_impl(self, length: int) -> bytes:
        """Up to `length` bytes of the stream; none at its end. Raises BlockingIOError if none have come."""
        try:
            return self._frames.read(length)
        except ConnectionError:
            self.connected = False
            return b""

    def _send_impl(self, data: bytes | bytearray) -> int:
        """Send a frame, or the rest of it. Raises BlockingIOError until the whole frame has left.

        paho's version returns 0 then, and paho takes that for "sent": it forgets the packet.
        """
        if size := super()._send_impl(data):
            return size
        raise BlockingIOError

    def _send_pong(self, payload: bytearray) -> None:
        """Send a pong, but never inside a frame of ours that has left only in part.

        Then the pong is queued behind the rest of that frame, and paho sends both. If nothing is queued, we
        send at once; what the socket does not take goes out with our next frame.
        """
        behind = bool(self._sendbuffer)
        if len(self._sendbuffer) < UNSENT_BYTES:
            self._sendbuffer += self._create_frame(PONG, payload)
        if not behind:
            self._requested_size = 0
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                del self._sendbuffer[: self._socket.send(self._sendbuffer)]

    def _receive(self, most: int) -> bytes:
        return self._socket.recv(most)


class HandshakeSocket:
    """The socket during the handshake. paho reads the answer byte by byte without a limit: this sets one."""

    def __init__(self, whole: socket.socket | ssl.SSLSocket) -> None:
        self._whole = whole
        self._left = HEAD_BYTES

    def send(self, data: bytes) -> int:
        """Send the request."""
        return self._whole.send(data)

    def recv(self, size: int) -> bytes:
        """Receive a part of the answer. Raises WebsocketConnectionError when it is too long."""
        self._left -= size
        if self._left < 0:
            raise paho.WebsocketConnectionError("the answer is too long")
        return self._whole.recv(size)


def new_client(settings: BrokerSettings, will: Message, protocol: str) -> Client:
    """A paho client that connects once, retries nothing and holds nothing back: the caller does."""
    client = Client(settings, protocol)
    client.connect_timeout = settings.connect_timeout_s
    client.max_inflight_messages_set(_NO_LIMIT)
    client.will_set(will.topic, encode(will), will.qos, will.retain)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if settings.tls is not None:
        client.tls_set_context(settings.tls)
    return client
