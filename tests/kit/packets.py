"""MQTT 3.1.1 and 5 on the wire, as much as a broker's side needs in tests; written from the standards."""

import asyncio
from dataclasses import dataclass
from enum import IntEnum

MQTT_3, MQTT_5 = 4, 5
"""Protocol levels as CONNECT has them."""
OLD_CONNACK = {0x00: 0, 0x84: 1, 0x85: 2, 0x86: 4, 0x87: 5, 0x88: 3}
REFUSED = 0x80


class Malformed(Exception):  # noqa: N818  (a state of a packet)
    """The client sent what the standard forbids."""


class Kind(IntEnum):
    """Control packet types."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet; `size` counts all its bytes."""

    kind: Kind
    flags: int
    body: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Connect:
    """A client's introduction."""

    level: int
    client_id: str
    clean: bool
    keepalive_s: int
    will_qos: int
    will_retain: bool


@dataclass(frozen=True, slots=True)
class Publish:
    """A message; `mid` is 0 with QoS 0; `response` is the response topic of MQTT 5, if there is one."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    mid: int = 0
    response: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """One topic filter of a SUBSCRIBE with its options."""

    topic_filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False

    def matches(self, topic: str) -> bool:
        """Tell whether a topic fits, level by level; + stands for any one level."""
        mine, theirs = self.topic_filter.split("/"), topic.split("/")
        pairs = zip(mine, theirs, strict=False)
        return len(mine) == len(theirs) and all(level in {"+", other} for level, other in pairs)


class Body:
    """Reads the fields of a packet one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __bool__(self) -> bool:
        return bool(self._data)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if len(self._data) < count:
            raise Malformed("a field is longer than its packet")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self, count: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(count), "big")

    def text(self) -> str:
        """A UTF-8 string."""
        return self.take(self.number(2)).decode()

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def skip_properties(self, level: int) -> None:
        """Pass over the properties, which only MQTT 5 has."""
        if level == MQTT_5:
            length, shift, more = 0, 0, True
            while more:
                byte = self.number(1)
                length, shift, more = length | (byte & 0x7F) << shift, shift + 7, bool(byte & 0x80)
            self.take(length)


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """Read the next packet. Raises IncompleteReadError at the end of the stream."""
    first = (await reader.readexactly(1))[0]
    head = b""
    while not head or head[-1] & 0x80:
        head += await reader.readexactly(1)
    length = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head))
    body = await reader.readexactly(length)
    return Packet(Kind(first >> 4), first & 0x0F, body, 1 + len(head) + length)


def read_connect(packet: Packet) -> Connect:
    """Read a CONNECT up to the client id; the rest of the will, user name and password are left unread."""
    body = Body(packet.body)
    if packet.kind is not Kind.CONNECT or body.text() != "MQTT":
        raise Malformed("the first packet is no CONNECT")
    level, flags, keepalive_s = body.number(1), body.number(1), body.number(2)
    body.skip_properties(level)
    return Connect(level, body.text(), bool(flags & 0x02), keepalive_s, flags >> 3 & 0x03, bool(flags & 0x20))


def read_publish(packet: Packet, level: int) -> Publish:
    """Read a PUBLISH."""
    body, qos = Body(packet.body), packet.flags >> 1 & 0x03
    topic = body.text()
    if qos not in {0, 1} or not topic or set("+#\0") & set(topic):
        raise Malformed(f"QoS {qos}, topic {topic!r}")
    mid = body.number(2) if qos else 0
    body.skip_properties(level)
    return Publish(topic, body.rest(), qos, bool(packet.flags & 0x01), mid)


def read_subscribe(packet: Packet, level: int) -> tuple[int, list[Filter]]:
    """Read a SUBSCRIBE: its packet identifier and the filters."""
    body, filters = Body(packet.body), []
    mid = body.number(2)
    body.skip_properties(level)
    while body:
        topic_filter, options = body.text(), body.number(1)
        filters.append(Filter(topic_filter, options & 0x03, bool(options & 0x04), bool(options & 0x08)))
    return mid, filters


def read_unsubscribe(packet: Packet, level: int) -> tuple[int, list[str]]:
    """Read an UNSUBSCRIBE: its packet identifier and the filters."""
    body, filters = Body(packet.body), []
    mid = body.number(2)
    body.skip_properties(level)
    while body:
        filters.append(body.text())
    return mid, filters


def write(kind: Kind, body: bytes = b"", flags: int = 0) -> bytes:
    """Write a packet: fixed header and body."""
    return bytes([kind << 4 | flags]) + _varint(len(body)) + body


def write_connack(level: int, code: int, properties: bytes) -> bytes:
    """Write a CONNACK without an earlier session; MQTT 3.1.1 gets its own code and no properties."""
    if level == MQTT_5:
        return write(Kind.CONNACK, bytes([0, code]) + _varint(len(properties)) + properties)
    return write(Kind.CONNACK, bytes([0, OLD_CONNACK.get(code, 3)]))


def write_puback(level: int, mid: int, code: int) -> bytes:
    """Write a PUBACK; MQTT 3.1.1 knows no codes."""
    return write(Kind.PUBACK, _number(mid) + (bytes([code, 0]) if level == MQTT_5 and code else b""))


def write_suback(level: int, mid: int, codes: list[int]) -> bytes:
    """Write a SUBACK; MQTT 3.1.1 has one code for all refusals."""
    if level != MQTT_5:
        return write(Kind.SUBACK, _number(mid) + bytes(min(code, REFUSED) for code in codes))
    return write(Kind.SUBACK, _number(mid) + b"\0" + bytes(codes))


def write_unsuback(level: int, mid: int, count: int) -> bytes:
    """Write an UNSUBACK for so many filters."""
    return write(Kind.UNSUBACK, _number(mid) + (bytes(1 + count) if level == MQTT_5 else b""))


def write_publish(level: int, publish: Publish) -> bytes:
    """Write a PUBLISH."""
    response = publish.response.encode()
    properties = b"\x08" + _number(len(response)) + response if response else b""
    topic = publish.topic.encode()
    body = _number(len(topic)) + topic + (_number(publish.mid) if publish.qos else b"")
    body += (_varint(len(properties)) + properties if level == MQTT_5 else b"") + publish.payload
    return write(Kind.PUBLISH, body, publish.qos << 1 | publish.retain)


def _number(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _varint(value: int) -> bytes:
    digits = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)
