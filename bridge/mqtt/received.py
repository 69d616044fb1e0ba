"""A PUBLISH of the broker → Incoming. No I/O, no paho.

Commands come this way, and at the start each state that the broker has retained: paho takes 40 µs for one.
"""

from collections.abc import Sequence
from typing import Any

from bridge.core.message import Incoming
from bridge.errors import ProtocolError
from bridge.mqtt.framing import Packet
from bridge.mqtt.settings import MQTT_5

LONGEST_SENDER = 128
_EXPIRY, _RESPONSE_TOPIC, _CORRELATION, _SUBSCRIPTION, _USER = 0x02, 0x08, 0x09, 0x0B, 0x26
_SEVEN_BITS = 0x7F
_NUMBERS = {0x01: 1, _EXPIRY: 4, 0x23: 2}
"""Properties that are a number of so many bytes: payload format, expiry, topic alias."""
_TEXTS = frozenset({0x03, _RESPONSE_TOPIC})
"""Properties that are a text: content type, response topic."""


def message(packet: Packet, protocol: str, sender_property: str) -> tuple[Incoming, int]:
    """The message and its packet identifier, 0 with QoS 0. Raises ProtocolError.

    `sender_property`: the user property by which the broker tells who sent it; "" for none.
    """
    retain, qos = bool(packet.command & 0x01), packet.command >> 1 & 0x03
    try:
        fields = _Fields(packet.body)
        topic = fields.text()
        mid = fields.number(2) if qos else 0
        found = fields.properties() if protocol == MQTT_5 else {}
        payload = fields.rest()
    except (ValueError, IndexError):
        raise ProtocolError("the broker sends a message that breaks the rules of MQTT") from None
    if not found:
        return Incoming(topic, payload, retain, qos), mid
    response, correlation, expiry = (found.get(each) for each in (_RESPONSE_TOPIC, _CORRELATION, _EXPIRY))
    sender = _sender(found.get(_USER, ()), sender_property)
    return Incoming(topic, payload, retain, qos, response, correlation, expiry, sender), mid


class _Fields:
    """Takes one field after another from bytes. Raises ValueError or IndexError where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def rest(self) -> bytes:
        """All that has not been taken."""
        return self._data[self._at :]

    def number(self, size: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self._taken(size))

    def binary(self) -> bytes:
        """Bytes behind their number."""
        return self._taken(self.number(2))

    def text(self) -> str:
        """Text behind its number of bytes."""
        text = self.binary().decode()
        if "\0" in text:
            raise ValueError("MQTT allows no zero in a text")
        return text

    def length(self) -> int:
        """Seven bits a byte, the lowest first; at most four bytes."""
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & _SEVEN_BITS) << shift
            if byte <= _SEVEN_BITS:
                return value
        raise ValueError("a length without end")

    def properties(self) -> dict[int, Any]:
        """The properties by identifier; of the user properties, which may be many, a list of pairs."""
        found: dict[int, Any] = {}
        end = self.length() + self._at
        while self._at < end:
            identifier = self.length()
            if identifier == _USER:
                found.setdefault(_USER, []).append((self.text(), self.text()))
            elif identifier == _SUBSCRIPTION:
                self.length()
            elif identifier in found:
                raise ValueError("a property that comes twice")
            else:
                found[identifier] = self._property(identifier)
        if self._at != end:
            raise ValueError("a property beyond the end of all")
        return found

    def _property(self, identifier: int) -> object:
        if identifier in _NUMBERS:
            return self.number(_NUMBERS[identifier])
        if identifier in _TEXTS:
            return self.text()
        if identifier == _CORRELATION:
            return self.binary()
        raise ValueError("no property of a message")

    def _taken(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("cut off")
        taken, self._at = self._data[self._at : end], end
        return taken


def _sender(properties: Sequence[tuple[str, str]], name: str) -> str:
    """The value of the user property of this name.

    A client can add one of its own. If the broker adds another, before or after it, both are told.
    """
    values = [value[:LONGEST_SENDER] for key, value in properties if name and key == name]
    return ", ".join(dict.fromkeys((*values[:1], *values[-1:])))
