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
    refuses: frozenset[str] = frozenset()
    """Filters that are refused, whatever else is asked for beside them."""
    closes_after_refusal: bool = False
    """A refused subscription is answered and ends the connection, as with RabbitMQ."""
    suback: bool = True
    pingresp: bool = True
    takes_retained_will: bool = True
    takes_qos_of_will: bool = True
    """A CONNECT with another will is refused with a code of MQTT 5; with 3.1.1 the connection is closed."""

    closes_at: frozenset[str] = frozenset()
    closes_above_bytes: int | None = None
    closes_above_levels: int | None = None
    closes_with: int | None = None
    """A publish on such a topic, or of a larger packet, or on a deeper topic, ends the connection: without a
    word, or with this reason code of MQTT 5."""

    keeps: bool = False
    keeps_for_wildcards: bool = True
    retained_s: float = 0.0
    """Whether retained messages are kept, are delivered to filters with a +, and how long after SUBACK."""

    swallows: frozenset[str] = frozenset()
    """A publish on such a topic is acknowledged and delivered to nobody, as by an access list."""

    dots_become_slashes: bool = False
    """In the topics of what is delivered, as with RabbitMQ."""

    def closes_for(self, topic: str, size: int) -> bool:
        """Whether a publish ends the connection."""
        most, deepest = self.closes_above_bytes, self.closes_above_levels
        too_large = most is not None and size > most
        return topic in self.closes_at or too_large or (deepest is not None and topic.count("/") >= deepest)

    def refusal_of_will(self, qos: int, *, retain: bool) -> int:
        """The reason code for a CONNECT with such a will; 0: it is taken."""
        if retain and not self.takes_retained_will:
            return 0x9A
        return 0x9B if qos and not self.takes_qos_of_will else 0

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
