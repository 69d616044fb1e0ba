"""Encodes payloads and estimates packet sizes: the one encoder of the hot path. No I/O."""

import orjson

from bridge.core.message import Message

PACKET_OVERHEAD = 64


def encode(message: Message) -> bytes:
    """The bytes of a payload: JSON for a mapping, UTF-8 for text, none to erase a topic."""
    payload = message.payload
    if payload is None:
        return b""
    return payload.encode() if isinstance(payload, str) else orjson.dumps(payload)


def packet_size(message: Message, payload: bytes) -> int:
    """An upper bound of the size of the PUBLISH packet, in bytes."""
    properties = (message.correlation or b"") + (message.response_topic or "").encode()
    return len(message.topic.encode()) + len(payload) + len(properties) + PACKET_OVERHEAD
