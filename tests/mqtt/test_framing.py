"""The packets of every message: byte for byte as paho makes and reads them, wherever a piece ends."""

import socket
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.core.message import Message
from bridge.errors import ProtocolError
from bridge.mqtt import framing
from bridge.mqtt.framing import INBOUND_BYTES, KEPT_BYTES, PUBACK, Packet, PacketReader, acknowledgement

PAHOS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}
PROTOCOLS = st.sampled_from(sorted(PAHOS))
TOPICS = st.text(st.characters(blacklist_characters="+#", blacklist_categories=["Cs"]), min_size=1)
MESSAGES = st.builds(
    Message,
    TOPICS,
    st.none(),
    correlation=st.none() | st.binary(max_size=300),
    response_topic=st.none() | TOPICS,
)
PAYLOADS = st.binary(max_size=300) | st.sampled_from([100, 127, 16_000, 16_383, 2_097_160]).map(bytes)
BODIES = st.binary(max_size=200) | st.integers(120, 140).map(bytes) | st.integers(16_370, 16_390).map(bytes)
COMMANDS = st.sampled_from([0x20, 0x30, 0x31, 0x32, 0x3B, 0x40, 0x90, 0xB0, 0xD0, 0xE0])


class Paho(paho.Client):
    """paho's client as it is, but it notes the packets instead of sending or handling them."""

    def __init__(self, protocol: str = "5") -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=PAHOS[protocol])
        self.packets: list[tuple[int, bytes]] = []

    def _packet_queue(self, command: int, packet: bytes | bytearray, *_: Any) -> MQTTErrorCode:
        self.packets.append((command, bytes(packet)))
        return paho.MQTT_ERR_SUCCESS

    def _packet_handle(self) -> MQTTErrorCode:
        self.packets.append((self._in_packet["command"], bytes(self._in_packet["packet"])))
        return paho.MQTT_ERR_SUCCESS


def pahos_publish(message: Message, payload: bytes, mid: int, qos: int, retain: bool, protocol: str) -> bytes:  # noqa: FBT001  (one call)
    """The bytes that paho would send."""
    properties: Any = None
    if (message.correlation, message.response_topic) != (None, None):
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        if message.response_topic is not None:
            properties.ResponseTopic = message.response_topic
        if message.correlation is not None:
            properties.CorrelationData = message.correlation
    client = Paho(protocol)
    with socket.socket() as client._sock:
        client._send_publish(mid, message.topic.encode(), payload, qos, retain, properties=properties)
    client._sock = None
    return client.packets[0][1]


@given(MESSAGES, PAYLOADS, st.integers(1, 65_535), st.integers(0, 2), st.booleans(), PROTOCOLS)
def test_a_publish_is_the_one_of_paho(
    message: Message,
    payload: bytes,
    mid: int,
    qos: int,
    retain: bool,  # noqa: FBT001  (Hypothesis gives it)
    protocol: str,
) -> None:
    """The length in one to four bytes, the properties of MQTT 5 in paho's order, none with 3.1.1."""
    ours = framing.publish(message, payload, mid, qos=qos, retain=retain, protocol=protocol)

    assert ours == pahos_publish(message, payload, mid, qos, retain, protocol)


@pytest.mark.parametrize(
    ("message", "size"),
    [
        (Message("", None), 0),
        (Message("a/+", None), 0),
        (Message("a/#", None), 0),
        (Message("x" * 65_536, None), 0),
        (Message("\ud800", None), 0),
        (Message("a", None, response_topic="x" * 65_536), 0),
        (Message("a", None, correlation=bytes(65_536)), 0),
        (Message("a", None), 268_435_450),
    ],
    ids=[
        "no topic",
        "+",
        "#",
        "long topic",
        "no Unicode",
        "long response topic",
        "long correlation",
        "large",
    ],
)
def test_what_mqtt_cannot_carry(message: Message, size: int) -> None:
    """It is refused here; the broker would end the session."""
    with pytest.raises(ValueError, match=r"."):
        framing.publish(message, bytes(size), 1, qos=1, retain=False, protocol="5")


def encoded(packets: list[tuple[int, bytes]]) -> bytes:
    """A stream of packets."""
    return b"".join(bytes([command]) + length(len(body)) + body for command, body in packets)


def length(size: int) -> bytes:
    """As the standard describes it, with a loop of its own."""
    more = bytes([size % 128])
    return more if size < 128 else bytes([size % 128 | 128]) + length(size // 128)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream cut at these places."""
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(places)]


def pahos_packets(parts: list[bytes]) -> list[tuple[int, bytes]]:
    """What paho reads from a socket on which these pieces arrive."""
    client = Paho()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        client._sock = ours
        for part in parts:
            theirs.sendall(part)
            while client._packet_read() == paho.MQTT_ERR_SUCCESS:
                pass
        client._sock = None
    return client.packets


@given(st.lists(st.tuples(COMMANDS, BODIES), max_size=6), st.lists(st.integers(0, 40_000), max_size=12))
def test_packets_are_the_ones_that_paho_reads(packets: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """Each of them whole and in order, wherever the stream is cut."""
    parts = pieces(encoded(packets), cuts)
    reader = PacketReader("here")

    ours = [packet for part in parts for packet in reader.feed(part)]

    assert [(packet.command, packet.body) for packet in ours] == packets == pahos_packets(parts)
    assert all(packet.size == len(packet.body) for packet in ours)


@given(st.integers(-2, 2), st.lists(st.integers(0, 3 * INBOUND_BYTES), max_size=5), st.booleans())
def test_of_a_message_that_is_too_large_the_beginning_stays(more: int, cuts: list[int], twice: bool) -> None:  # noqa: FBT001  (Hypothesis gives it)
    """Its size is known, and the next packet is read as ever."""
    body = bytes(range(256)) * ((INBOUND_BYTES + more) // 256 + 1)
    body = body[: INBOUND_BYTES + more + (INBOUND_BYTES if twice else 0)]
    reader = PacketReader("here")
    parts = pieces(encoded([(0x30, body), (0xD0, b"")]), cuts)

    first, second = [packet for part in parts for packet in reader.feed(part)]

    kept = body if len(body) <= INBOUND_BYTES else body[:KEPT_BYTES]
    assert (first.size, first.body) == (len(body), kept)
    assert second == Packet(0xD0, b"", 0)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x34\x05", "QoS 2"),
        (b"\x36\x80\x01", "QoS 3"),
        (b"\x40" + length(INBOUND_BYTES + 1), "too large for its kind"),
        (b"\x30\xff\xff\xff\xff", "no end"),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_what_no_broker_needs_to_send(data: bytes, words: str, *, apart: bool) -> None:
    """It is refused by its head, before the rest of it comes. Up to there it may be as large as we allow."""
    reader = PacketReader("here")
    parts = [data[:1], data[1:]] if apart else [data]
    with pytest.raises(ProtocolError, match=words):
        [packet for part in parts for packet in reader.feed(part)]
    assert list(PacketReader("here").feed(b"\x40" + length(INBOUND_BYTES))) == []


@given(
    st.binary(max_size=3).filter(lambda body: body[2:] != b"\x95")
    | st.sampled_from([b"\0\1\x87\0", b"\0\1\0\5\x1f\0\2no"]),
    PROTOCOLS,
)
def test_an_acknowledgement_is_read_as_paho_reads_it(body: bytes, protocol: str) -> None:
    """The same identifier and the same code, or no acknowledgement for either of us."""
    try:
        paho_says = _packet.decode_puback(PUBACK, body, PAHOS[protocol])
    except MalformedPacket:
        with pytest.raises(ProtocolError):
            acknowledgement(body, protocol)
    else:
        assert acknowledgement(body, protocol) == (paho_says.mid, paho_says.reason.value)


def test_every_code_of_an_acknowledgement_has_a_name() -> None:
    """All 256 tried: we know those that paho knows, and that of Mosquitto."""
    known = set()
    for code in range(256):
        try:
            _packet.decode_puback(PUBACK, bytes([0, 1, code]), paho.MQTTv5)
        except MalformedPacket:
            continue
        known.add(code)

    assert known | {framing.TOO_LARGE} == framing.PUBACK_CODES
