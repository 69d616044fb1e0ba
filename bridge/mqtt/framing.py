"""PUBLISH as bytes, bytes as packets, and PUBACK: what every message needs. No I/O, no paho.

paho makes and reads all other packets but PUBLISH (received.py). It takes 50 µs a message for these; this
takes 5.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.core.message import Message
from bridge.errors import ProtocolError
from bridge.mqtt.settings import MQTT_5

INBOUND_BYTES = 262_144
KEPT_BYTES = 2 * 65_536 + 16
"""Of a packet that is too large: the longest topic, and more payload than a command may have."""
LONGEST_TEXT = 65_535
"""In bytes: of a topic, and of a property."""
LARGEST_PACKET = 268_435_455
PUBLISH, PUBACK = 0x30, 0x40
_MORE = 0x80
_LENGTH_BYTES = 4
_RESPONSE_TOPIC, _CORRELATION = b"\x08", b"\x09"
_MID, _CODE_AT = struct.Struct("!H"), 2
TOO_LARGE = 0x95
PUBACK_CODES = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, TOO_LARGE, 0x97, 0x99})
"""All that MQTT 5 has, and TOO_LARGE: Mosquitto answers so to a message above its `message_size_limit`."""


def publish(message: Message, payload: bytes, mid: int, *, qos: int, retain: bool, protocol: str) -> bytes:
    """The PUBLISH packet. `mid` is not sent with QoS 0. Raises ValueError if MQTT cannot carry it."""
    topic = message.topic.encode()
    if not topic or len(topic) > LONGEST_TEXT or b"+" in topic or b"#" in topic:
        raise ValueError("a topic that nobody can publish to")
    head = _MID.pack(len(topic)) + topic
    if qos:
        head += _MID.pack(mid)
    if protocol == MQTT_5:
        head += _properties(message)
    return bytes((PUBLISH | qos << 1 | retain,)) + _length(len(head) + len(payload)) + head + payload


def _properties(message: Message) -> bytes:
    """The properties of MQTT 5, after their length."""
    if message.correlation is None and message.response_topic is None:
        return b"\0"
    packed = b""
    if message.response_topic is not None:
        packed += _RESPONSE_TOPIC + _counted(message.response_topic.encode())
    if message.correlation is not None:
        packed += _CORRELATION + _counted(message.correlation)
    return _length(len(packed)) + packed


def _counted(data: bytes) -> bytes:
    if len(data) > LONGEST_TEXT:
        raise ValueError("a property that is too long")
    return _MID.pack(len(data)) + data


def _length(size: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte have the highest bit set."""
    if size > LARGEST_PACKET:
        raise ValueError("a packet that is too large")
    packed = bytearray()
    while size >= _MORE:
        packed.append(size & 0x7F | _MORE)
        size >>= 7
    packed.append(size)
    return bytes(packed)


def puback(mid: int) -> bytes:
    """The PUBACK packet: the message has been accepted."""
    return bytes((PUBACK, _MID.size)) + _MID.pack(mid)


def acknowledgement(body: bytes, protocol: str) -> tuple[int, int]:
    """The packet identifier and the reason code of a PUBACK. Raises ProtocolError.

    What may follow the code (a sentence of the broker) is not read.
    """
    least, most = (2, len(body)) if protocol == MQTT_5 else (2, 2)
    code = body[_CODE_AT] if len(body) > _CODE_AT else 0
    if not least <= len(body) <= most or code not in PUBACK_CODES:
        raise ProtocolError("the broker sends an acknowledgement that is none")
    return _MID.unpack_from(body)[0], code


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet: its first byte, what follows its length, and how long it says that is."""

    command: int
    body: bytes
    size: int


class PacketReader:
    """Cuts a stream into packets, wherever its pieces begin and end. `place`: the broker, for messages.

    Of a message that is too large it keeps the beginning and skips the rest: MQTT 3.1.1 has no way to
    announce our limit, and the broker would send the message again on the next connection. Whatever else no
    broker needs to send raises ProtocolError, before the rest of it is read.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._head = bytearray()
        self._body = bytearray()
        self._size = 0
        self._missing: int | None = None
        """Of the body; None while the head is incomplete."""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that this piece completes."""
        at, end = 0, len(data)
        while at < end:
            if self._missing is None and not self._head and at + 2 <= end:
                size = data[at + 1]
                after = at + 2 + size
                if size < _MORE and after <= end:  # nearly every packet is short, and comes in one piece
                    self._check(data[at], size)
                    yield Packet(data[at], data[at + 2 : after], size)
                    at = after
                    continue
            at += self._take(data, at)
            if self._missing == 0:
                packet = Packet(self._head[0], bytes(self._body), self._size)
                self._head, self._body, self._missing = bytearray(), bytearray(), None
                yield packet

    def _take(self, data: bytes, at: int) -> int:
        """Take a byte of the head, or all there is of the body. Returns how much."""
        if self._missing is None:
            self._head.append(data[at])
            if len(self._head) > 1:
                self._measure()
            return 1
        taken = min(self._missing, len(data) - at)
        self._missing -= taken
        keep = taken if self._size <= INBOUND_BYTES else min(taken, KEPT_BYTES - len(self._body))
        self._body += data[at : at + keep]
        return taken

    def _measure(self) -> None:
        """The head has one more byte of the length; maybe the last one."""
        length = self._head[1:]
        if length[-1] < _MORE:
            self._size = self._missing = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(length))
            self._check(self._head[0], self._size)
        elif len(length) == _LENGTH_BYTES:
            raise ProtocolError(f"the broker {self._place} sends a packet whose length has no end")

    def _check(self, command: int, size: int) -> None:
        is_publish, qos = command & 0xF0 == PUBLISH, command >> 1 & 0x03
        if is_publish and qos > 1:
            raise ProtocolError(f"the broker {self._place} sends a message with QoS {qos}, we asked for 1")
        if not is_publish and size > INBOUND_BYTES:
            raise ProtocolError(f"the broker {self._place} sends a packet too large for its kind")
