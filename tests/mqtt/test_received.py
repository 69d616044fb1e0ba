"""A message of the broker is what paho reads in it, and what breaks the rules of MQTT is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt import client as paho
from paho.mqtt.exception import MalformedPacket, MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from bridge.core.message import Incoming
from bridge.errors import ProtocolError
from bridge.mqtt import received
from bridge.mqtt.framing import Packet

PAHOS = {"5": paho.MQTTv5, "3.1.1": paho.MQTTv311}
TEXTS = st.text(st.characters(blacklist_characters="\0\ufeff", blacklist_categories=["Cs"]), max_size=40)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "PayloadFormatIndicator": st.integers(0, 1),
    "MessageExpiryInterval": st.integers(0, 2**32 - 1),
    "ContentType": TEXTS,
    "ResponseTopic": TEXTS,
    "CorrelationData": st.binary(max_size=40),
    "SubscriptionIdentifier": st.integers(1, 268_435_455),
    "TopicAlias": st.integers(1, 65_535),
    "UserProperty": st.lists(st.tuples(st.sampled_from(["client", "x"]), TEXTS), min_size=1, max_size=40),
}


def packed(properties: dict[str, Any]) -> bytes:
    """Properties as paho writes them."""
    made: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    for name, value in properties.items():
        setattr(made, name, value)
    return bytes(made.pack())


@given(
    TEXTS,
    st.integers(0, 65_535),
    st.fixed_dictionaries({}, optional=OPTIONAL),
    st.binary(max_size=300),
    st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x3B]),
)
def test_every_field_of_a_message(
    topic: str, mid: int, properties: dict[str, Any], payload: bytes, command: int
) -> None:
    """Each property in any company, none of them with 3.1.1."""
    qos = command >> 1 & 1
    head = len(topic.encode()).to_bytes(2) + topic.encode() + (mid.to_bytes(2) if qos else b"")
    senders = [value[:128] for key, value in properties.get("UserProperty", ()) if key == "client"]
    wanted = Incoming(topic, payload, bool(command & 1), qos)
    full = Incoming(
        topic,
        payload,
        bool(command & 1),
        qos,
        properties.get("ResponseTopic"),
        properties.get("CorrelationData"),
        properties.get("MessageExpiryInterval"),
        ", ".join(dict.fromkeys([*senders[:1], *senders[-1:]])),
    )

    for protocol, body, expected in (
        ("5", head + packed(properties) + payload, full),
        ("3.1.1", head + payload, wanted),
    ):
        packet = Packet(command, body, len(body))
        assert received.message(packet, protocol, "client") == (expected, mid if qos else 0)


@given(
    st.binary(max_size=60)
    | st.binary(max_size=40).map(lambda end: b"\0\1t" + end)
    | st.lists(
        st.sampled_from([b"\1", b"\2", b"\x26", b"\0\1", b"\x0b", b"\x80", b"\x08", b"\0"]), max_size=12
    )
    .map(b"".join)
    .map(lambda some: b"\0\1t" + bytes([len(some)]) + some),
    st.sampled_from(sorted(PAHOS)),
    st.sampled_from([0x30, 0x33]),
)
def test_any_bytes(body: bytes, protocol: str, command: int) -> None:
    """What paho sees as a message is the same one for us, unless its topic has a zero."""
    try:
        theirs = _packet.decode_publish(command, body, PAHOS[protocol])
        topic: str | None = theirs.topic.decode()
    except (MalformedPacket, UnicodeDecodeError):
        topic = None
    try:
        ours, mid = received.message(Packet(command, body, len(body)), protocol, "")
    except ProtocolError:
        assert topic is None or "\0" in topic
        return
    if topic is not None:
        assert (ours.topic, ours.payload, ours.qos, mid) == (topic, theirs.payload, theirs.qos, theirs.mid)
        assert ours.response_topic == getattr(theirs.properties, "ResponseTopic", None)
        assert ours.expires_in_s == getattr(theirs.properties, "MessageExpiryInterval", None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\0\2t",
        b"\0\1\xff\0",
        b"\0\1\0\0",
        b"\0\1t",
        b"\0\1t\x05\x02\0\0\0",
        b"\0\1t\x02\x7f\0",
        b"\0\1t\x02\x08\0\5texts",
        b"\0\1t\x0a\x02\0\0\0\1\x02\0\0\0\2",
        b"\0\1t\xff\xff\xff\xff",
        b"\0\1t\x04\x08\0\1\0",
        b"\0\1t\x05\x26\0\0\0\1x",
        b"\0\1t\x01\x0b",
    ],
)
def test_what_is_no_message(body: bytes) -> None:
    """Cut off, not Unicode, with a zero, an unknown property, or one that comes twice."""
    with pytest.raises(ProtocolError, match="breaks the rules"):
        received.message(Packet(0x30, body, len(body)), "5", "")


def test_a_property_that_does_not_belong_to_a_message() -> None:
    """Paho thinks so, too: the receive maximum is one of CONNECT."""
    body = b"\0\1t\x03\x21\0\1"
    with pytest.raises(MQTTException):
        _packet.decode_publish(0x30, body, paho.MQTTv5)
    with pytest.raises(ProtocolError):
        received.message(Packet(0x30, body, len(body)), "5", "")
