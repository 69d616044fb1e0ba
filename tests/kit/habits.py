"""How an MQTT peer answers, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Habits:
    """How a peer answers; times in seconds, None is never. The default: at once, and no limits."""

    connack_code: int = 0
    connack_s: float | None = 0.0
    receive_maximum: int | None = None
    maximum_qos: int | None = None
    maximum_packet_bytes: int | None = None
    retain_available: bool | None = None
    """The limits are announced, if given, and not enforced: see what came."""
    puback_code: int = 0
    puback_s: float | None = 0.0
    suback_codes: tuple[int, ...] = ()
    """For the first filters of each SUBSCRIBE; the rest are granted as they are asked for."""
    pingresp: bool = True

    @property
    def limits(self) -> bytes:
        """The properties of the CONNACK."""
        announced = (
            (0x21, self.receive_maximum, 2),
            (0x24, self.maximum_qos, 1),
            (0x25, self.retain_available, 1),
            (0x27, self.maximum_packet_bytes, 4),
        )
        return b"".join(
            bytes([name]) + int(value).to_bytes(size, "big")
            for name, value, size in announced
            if value is not None
        )
