"""Detects parts of a link without progress: each gives signs of life and has a deadline. Reads no clock.

A PBX or a broker that is down is no hang, because every failed attempt is a sign of life too. A part that is
silent beyond its deadline is stuck through a fault of the bridge, and only a restart helps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

POLL, MQTT, OUTBOX = "poll", "mqtt", "outbox"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each part may be silent.

    The PBX holds a Poll for up to 75 s, and a rejected login is retried every 60 s. The broker sends at least
    one packet per keepalive. The outbox makes progress, or its session is replaced after one keepalive.
    """

    poll_s: float = 240.0
    mqtt_s: float = 240.0
    outbox_s: float = 120.0

    def limits(self) -> Mapping[str, float]:
        """The deadlines by part."""
        return {POLL: self.poll_s, MQTT: self.mqtt_s, OUTBOX: self.outbox_s}


class Liveness:
    """The latest sign of life of each part of one link, in monotonic seconds."""

    def __init__(self, deadlines: Deadlines, now_s: float) -> None:
        self._limits = deadlines.limits()
        self._last_s = dict.fromkeys(self._limits, now_s)

    def alive(self, part: str, now_s: float) -> None:
        """A part has made progress."""
        self._last_s[part] = now_s

    def stuck(self, now_s: float) -> tuple[str, ...]:
        """The parts that have been silent beyond their deadline."""
        return tuple(part for part, last_s in self._last_s.items() if now_s - last_s > self._limits[part])
