"""Our values ↔ paho's: set-up, properties, options, messages; and connecting, which blocks, in a thread."""

import asyncio
import contextlib
import socket
import ssl
import threading
from dataclasses import replace
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.errors import ProtocolError
from bridge.mqtt.encode import encode
from bridge.mqtt.settings import MQTT_5, BrokerSettings
from bridge.mqtt.websocket import Frames
from bridge.net.tls import look

RECEIVE_MAXIMUM = 50
INBOUND_BYTES = 262_144
KEPT_BYTES = 2 * 65_536 + 16
"""Of a larger packet: its longest topic, and more of its payload than a command may have."""
CHUNK_BYTES = 65_536
UNREAD_AT_MOST = 1000
"""Packets of ours that the broker leaves unread while it sends: many times what may be unacknowledged."""
PUBLISH = 0x30
_NO_LIMIT = 65_535


class Client(paho.Client):
    """Closes its socket when TLS or WebSocket fail on top of it, which paho forgets; keeps no huge packet.

    Leaves a broker that makes it keep more than it has to: raises ProtocolError.
    """

    raw: socket.socket | None = None
    connecting = False
    answered = False
    context: ssl.SSLContext | None = None

    def _create_socket_connection(self) -> socket.socket:
        self.raw = super()._create_socket_connection()
        return self.raw

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Shake hands while wrapping: the socket closes itself when that fails."""
        if self.context is None:
            raise ValueError("no TLS context")
        wrapped = self.context.wrap_socket(tcp_sock, server_hostname=self.host)
        self.raw = wrapped
        return wrapped

    def _create_socket(self) -> Any:
        """Read frames of WebSockets without keeping them."""
        if self._transport != "websockets":
            return super()._create_socket()
        sock: Any = self._create_socket_connection()
        if self._ssl:
            sock = self._ssl_wrap_socket(sock)
        sock.settimeout(self._connect_timeout)
        return Frames(sock, self._host, self._port, self._ssl, self._websocket_path, None)

    def _sock_recv(self, bufsize: int) -> bytes:
        """Read past what is too large: MQTT 3.1.1 cannot tell a broker our limit.

        The message comes again with each connection, so that leaving is no help: its beginning is kept, the
        rest is thrown away as it comes, and paho acknowledges it.
        """
        self._check_broker()
        if self.reads_too_much:
            del self._in_packet["packet"][KEPT_BYTES:]
            bufsize = min(bufsize, CHUNK_BYTES)
        received = super()._sock_recv(bufsize)
        self.answered = self.answered or bool(received)
        return received

    def _check_broker(self) -> None:
        """Refuse what no broker needs to send and paho would keep: before the rest of the packet is read."""
        kind, qos = self._in_packet["command"] & 0xF0, self._in_packet["command"] >> 1 & 0x03
        if kind == PUBLISH and qos > 1:
            raise ProtocolError(f"the broker {self._place} sends a message with QoS {qos}, we asked for 1")
        if kind != PUBLISH and self.reads_too_much:
            raise ProtocolError(f"the broker {self._place} sends a packet too large for its kind")
        if len(self._out_packet) > UNREAD_AT_MOST:
            raise ProtocolError(f"the broker {self._place} sends messages but reads no acknowledgements")

    @property
    def _place(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def reads_too_much(self) -> bool:
        """The packet that is being read is larger than we take."""
        packet = self._in_packet
        return bool(packet["have_remaining"]) and packet["remaining_length"] > INBOUND_BYTES

    def close_raw(self) -> None:
        """Close what paho left open.

        A thread that still shakes hands on it is woken and closes it itself: closed under it, the
        descriptor's number could be another link's by the time it reads.
        """
        if self.raw is None:
            return
        with contextlib.suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)
        if not self.connecting:
            self.raw.close()


def new_client(settings: BrokerSettings, will: Message, protocol: str) -> Client:
    """A paho client that connects once, retries nothing and holds nothing back: the caller does."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.client_id,
        protocol=paho.MQTTv5 if protocol == MQTT_5 else paho.MQTTv311,
        clean_session=None if protocol == MQTT_5 else True,
        transport="websockets" if settings.transport == "websockets" else "tcp",
        reconnect_on_failure=False,
    )
    client.connect_timeout = settings.connect_timeout_s
    client.max_inflight_messages_set(_NO_LIMIT)
    client.will_set(will.topic, encode(will), will.qos, will.retain)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if settings.tls is not None:
        client.tls_set_context(settings.tls)
        client.context = settings.tls
    if settings.transport == "websockets":
        client.ws_set_options(path=settings.path)
    return client


def connect_blocking(client: Client, settings: BrokerSettings, protocol: str, abandoned: "Handover") -> None:
    """Name, TCP, TLS and WebSocket: for a thread. Closes the socket when nobody waits for it any more."""
    properties = None
    if protocol == MQTT_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = INBOUND_BYTES
    client.connecting = True
    try:
        client.connect(
            settings.host,
            settings.port,
            settings.keepalive_s,
            clean_start=protocol == MQTT_5 or paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
    except BaseException:
        client.connecting = False
        client.close_raw()
        raise
    client.connecting = False
    sock = client.socket()
    if sock is not None and not abandoned.hand_over():
        sock.close()


class Handover:
    """Decides who closes a socket that was opened for another: its receiver, or the opener if that left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handed = False
        self._left = False

    def hand_over(self) -> bool:
        """The opener is done; False when the receiver has left."""
        with self._lock:
            self._handed = not self._left
            return self._handed

    def leave(self) -> None:
        """The receiver does not wait any more."""
        with self._lock:
            self._left = True


async def connect_in_thread(client: Client, settings: BrokerSettings, protocol: str) -> None:
    """Connect without holding the loop; who is cancelled meanwhile leaves no socket behind."""
    handover = Handover()
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(None, connect_blocking, client, settings, protocol, handover)
    except asyncio.CancelledError:
        handover.leave()
        raise


async def refused(error: ssl.SSLCertVerificationError, settings: BrokerSettings) -> str:
    """The digest of the certificate that was refused, for people; empty where our pin has named it."""
    if getattr(error, "verify_code", 0) == 0:
        return ""
    address = settings.host, settings.port
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, look, address, settings.connect_timeout_s)


def publish_properties(message: Message, protocol: str) -> Properties | None:
    """The MQTT 5 properties of a publish, if it needs any."""
    if protocol != MQTT_5 or message.correlation is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)
    properties.CorrelationData = message.correlation
    return properties


def options(subscription: Subscription, protocol: str) -> SubscribeOptions | int:
    """How to subscribe: MQTT 5 options, or just the QoS."""
    if protocol != MQTT_5:
        return subscription.qos
    return SubscribeOptions(
        qos=subscription.qos,
        noLocal=subscription.no_local,
        retainAsPublished=subscription.retain_as_published,
        retainHandling=subscription.retain_handling,
    )


def limits(properties: Any, will: Message, protocol: str) -> BrokerLimits:
    """What the broker announced in its CONNACK; MQTT 3.1.1 announces nothing, but it took this will."""
    known = BrokerLimits()
    if protocol != MQTT_5:
        return replace(known, maximum_qos=known.maximum_qos if will.qos else 0, retain_available=will.retain)
    return BrokerLimits(
        getattr(properties, "ReceiveMaximum", known.receive_maximum),
        getattr(properties, "MaximumQoS", known.maximum_qos),
        getattr(properties, "MaximumPacketSize", known.maximum_packet_bytes),
        bool(getattr(properties, "RetainAvailable", known.retain_available)),
    )


def incoming(message: paho.MQTTMessage) -> Incoming:
    """A received message with the properties that concern commands."""
    properties = message.properties
    return Incoming(
        message.topic,
        bytes(message.payload),
        message.retain,
        message.qos,
        getattr(properties, "ResponseTopic", None),
        getattr(properties, "CorrelationData", None),
        getattr(properties, "MessageExpiryInterval", None),
    )
