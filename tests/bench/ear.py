"""Hears what a broker delivers, at little cost: MQTT 3.1.1, only counts and times. Judges nothing."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

from tests.bus import eventually

_CONNACK, _PUBLISH, _SUBACK = 2, 3, 9
MORE = 0x80
PATIENCE_S = 60.0
TIMED = frozenset(("event", "presence"))
"""Last levels of topics whose messages are noted with their time."""


class Ear(asyncio.Protocol):
    """A subscriber; counts messages below `bench/` by the name of the PBX and the last level."""

    def __init__(self, topics: str, client_id: str) -> None:
        self._topics = topics.encode()
        self._client_id = client_id.encode()
        self.on_message: Callable[[str, bytes], object] = self._message
        self.counts: Counter[tuple[str, str]] = Counter()
        self.times: dict[tuple[str, str], list[float]] = {}
        self.bytes: Counter[tuple[str, str]] = Counter()
        self._wanted: dict[tuple[str, str], asyncio.Future[None]] = {}
        self._last: dict[str, bytes] = {}
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._subscribed = False

    @classmethod
    async def open(cls, port: int, topics: str = "bench/#", client_id: str = "bench-ear") -> Self:
        """Connect and subscribe."""
        loop = asyncio.get_running_loop()
        _, ear = await loop.create_connection(lambda: cls(topics, client_id), "127.0.0.1", port)
        await eventually(lambda: ear._subscribed, "the ear is subscribed")
        return ear

    def close(self) -> None:
        """Hear no more."""
        if self._transport is not None:
            self._transport.abort()

    def count(self, pbx: str, kind: str) -> int:
        """How many messages of a kind: `event`, `state` of users, `info`."""
        return self.counts[pbx, kind]

    def last(self, topic: str) -> bytes:
        """The last payload of a topic of a PBX itself."""
        return self._last.get(topic, b"")

    async def heard(self, pbx: str, kind: str, count: int) -> None:
        """Wait until so many have come."""
        await eventually(
            lambda: self.count(pbx, kind) >= count,
            f"{count} messages ({kind}) of {pbx}",
            within=PATIENCE_S,
            moves=lambda: self.count(pbx, kind),
        )

    def next(self, pbx: str, kind: str) -> asyncio.Future[None]:
        """Done when the next one comes."""
        came = self._wanted[pbx, kind] = asyncio.get_running_loop().create_future()
        return came

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 1; nobody waits for the acknowledgement, so any packet id will do."""
        assert self._transport is not None
        self._transport.write(_packet(0x32, _text(topic.encode()) + b"\0\1" + payload))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves (asyncio.Protocol)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_packet(0x10, b"\0\4MQTT\4\2\0\0" + _text(self._client_id)))

    def data_received(self, data: bytes) -> None:
        """Take all packets that are complete (asyncio.Protocol)."""
        self._data += data
        start = 0
        while (found := _length(self._data, start)) is not None and len(self._data) >= sum(found):
            begin, length = found
            self._packet(self._data[start], bytes(self._data[begin : begin + length]))
            start = begin + length
        del self._data[:start]

    def _packet(self, first: int, body: bytes) -> None:
        assert self._transport is not None
        if first >> 4 == _CONNACK:
            self._transport.write(_packet(0x82, b"\0\1" + _text(self._topics) + b"\1"))
        elif first >> 4 == _SUBACK:
            self._subscribed = True
        elif first >> 4 == _PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            if first & 0x06:
                self._transport.write(b"\x40\2" + body[end : end + 2])
                self.on_message(body[2:end].decode(), body[end + 2 :])
            else:
                self.on_message(body[2:end].decode(), body[end:])

    def _message(self, topic: str, payload: bytes) -> None:
        levels = topic.split("/")
        if "command" in levels:  # we hear our own requests as well
            return
        key = (levels[1], levels[-1] if len(levels) > 3 else f"link {levels[-1]}")
        self.counts[key] += 1
        self.bytes[key] += len(payload)
        if key[1] in TIMED:
            self.times.setdefault(key, []).append(time.monotonic())
            wanted = self._wanted.pop(key, None)
            if wanted is not None:
                wanted.set_result(None)
        elif len(levels) == 3:
            self._last[topic] = payload


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _number(len(body)) + body


def _number(value: int) -> bytes:
    coded = bytearray()
    while True:
        value, rest = divmod(value, MORE)
        coded.append(rest | MORE if value else rest)
        if not value:
            return bytes(coded)


def _length(data: bytearray, start: int) -> tuple[int, int] | None:
    """Where the body of the packet at `start` begins, and how long it is; None while that is not known."""
    value = 0
    for place, byte in enumerate(data[start + 1 : start + 5]):
        value |= (byte & 0x7F) << 7 * place
        if not byte & MORE:
            return start + 2 + place, value
    return None
