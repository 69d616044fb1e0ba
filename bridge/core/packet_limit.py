"""The largest packet that a broker takes, learned from sessions that it ended. No clock and no I/O here.

An MQTT 3.1.1 broker announces no limit; it closes the connection when a packet is too large for it.
"""

from bridge.core.blame import SET_ASIDE_S
from bridge.core.message import BrokerLimits

SMALL_BYTES = 1024
"""Every broker takes a packet of this size: one that ends sessions is on a topic that is forbidden."""


class PacketLimit:
    """The size that one broker accepts. A learned limit is forgotten after an hour."""

    def __init__(self) -> None:
        self._largest_taken = 0
        self._most: int | None = None
        self._until_s = 0.0

    def taken(self, size: int) -> None:
        """The broker has acknowledged a packet of this size."""
        self._largest_taken = max(self._largest_taken, size)

    def blame(self, size: int, now_s: float) -> bool:
        """The broker ended sessions at a packet of this size. False if the size cannot be the reason."""
        if size <= max(self._largest_taken, SMALL_BYTES):
            return False
        self._most, self._until_s = size - 1, now_s + SET_ASIDE_S
        return True

    def lower(self, announced: BrokerLimits, now_s: float) -> BrokerLimits:
        """The announced limits, lowered to the learned one."""
        if self._most is None or now_s >= self._until_s:
            return announced
        return announced.lowered(self._most)

    def has_expired(self, now_s: float) -> bool:
        """Whether there was a learned limit whose hour is over. It is forgotten then: True comes once."""
        if self._most is None or now_s < self._until_s:
            return False
        self._most = None
        return True
