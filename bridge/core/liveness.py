"""Whether the parts of a link still move: each gives signs of life, each has its own limit. No clock here.

A PBX or a broker that is down is no hang: every failed attempt is a sign of life too. A part without
signs for longer than its limit is stuck by a fault of ours, and only a restart helps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

POLL, MQTT, OUTBOX = "poll", "mqtt", "outbox"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each part may be silent, in seconds.

    A Poll is held for up to 75 s and a human's error is retried every 60 s; the broker is heard at least
    once a keepalive; the outbox moves, or its session is replaced after one keepalive.
    """

    poll_s: float = 240.0
    mqtt_s: float = 240.0
    outbox_s: float = 120.0

    def limits(self) -> Mapping[str, float]:
        """The limits by part."""
        return {POLL: self.poll_s, MQTT: self.mqtt_s, OUTBOX: self.outbox_s}


class Liveness:
    """The latest sign of life of each part of one link, in monotonic seconds."""

    def __init__(self, deadlines: Deadlines, now_s: float) -> None:
        self._limits = deadlines.limits()
        self._last_s = dict.fromkeys(self._limits, now_s)

    def alive(self, part: str, now_s: float) -> None:
        """A part has moved."""
        self._last_s[part] = now_s

    def stuck(self, now_s: float) -> tuple[str, ...]:
        """The parts that have been silent for longer than they may."""
        return tuple(part for part, last_s in self._last_s.items() if now_s - last_s > self._limits[part])
