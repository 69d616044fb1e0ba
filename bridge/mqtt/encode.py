"""Encodes payloads and estimates packet sizes: the one encoder of the hot path. No I/O."""

from collections.abc import Mapping

import orjson

from bridge.core.message import Message, Payload

PACKET_OVERHEAD = 64


def packed(message: Message) -> Message:
    """The message with its JSON encoded: broker and journal get the same bytes, and they need less memory."""
    if not isinstance(message.payload, Mapping):
        return message
    return Message(
        message.topic,
        orjson.dumps(message.payload),
        message.retain,
        message.qos,
        message.correlation,
        message.response_topic,
    )


def encode(message: Message) -> bytes:
    """The bytes of a payload: JSON for a mapping, UTF-8 for text, none to erase a topic."""
    return body(message.payload if message.age_ms is None else _late(message.payload, message.age_ms))


def body(payload: Payload) -> bytes:
    """The bytes of a payload that did not wait."""
    match payload:
        case bytes():
            return payload
        case None:
            return b""
        case str():
            return payload.encode()
        case _:
            return orjson.dumps(payload)


def _late(payload: Payload, age_ms: int) -> Payload:
    """The payload of an event that waited. One that is no JSON object cannot say so."""
    told = orjson.loads(payload) if isinstance(payload, bytes) else payload
    return {**told, "queued": True, "age_ms": age_ms} if isinstance(told, Mapping) else payload


def packet_size(message: Message, payload: bytes) -> int:
    """An upper bound of the size of the PUBLISH packet, in bytes."""
    properties = (message.correlation or b"") + (message.response_topic or "").encode()
    return len(message.topic.encode()) + len(payload) + len(properties) + PACKET_OVERHEAD
