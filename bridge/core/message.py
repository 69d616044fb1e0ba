"""What goes to the broker and what comes from it, as values. No encoding, no client library here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """One publish. `payload` None clears a retained topic; a mapping becomes JSON at the edge."""

    topic: str
    payload: Json | str | None
    retain: bool = False
    qos: int = 1
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message from the broker, its MQTT 5 properties included when there were any.

    `expires_in_s` is what is left of the message expiry interval, in seconds, at receipt.
    """

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1
    response_topic: str | None = None
    correlation: bytes | None = None
    expires_in_s: int | None = None


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What the broker announced when it accepted us; the defaults are those of the MQTT 5 standard."""

    receive_maximum: int = 65535
    maximum_qos: int = 2
    maximum_packet_bytes: int | None = None
    retain_available: bool = True

    def lowered(self, most: int) -> Self:
        """The same broker that takes no packet larger than this."""
        known = self.maximum_packet_bytes
        return replace(self, maximum_packet_bytes=most if known is None else min(known, most))

    @property
    def lacks(self) -> tuple[str, ...]:
        """What the broker cannot do, and what that means: sentences for people."""
        retain = (
            "it keeps no retained messages: who subscribes later sees a state when it changes next, "
            "and after a restart of the bridge calls that ended meanwhile get no `ended` without a state_dir"
        )
        qos = "it takes QoS 0 only: what is on its way when a connection breaks is lost"
        return (*([] if self.retain_available else [retain]), *([] if self.maximum_qos else [qos]))


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter and how to subscribe to it (MQTT 5 options; 3.1.1 brokers ignore them)."""

    topic_filter: str
    qos: int = 1
    retain_handling: int = field(default=0)
    no_local: bool = False
    retain_as_published: bool = False
