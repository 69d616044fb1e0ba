"""Messages to and from the broker, as values. Must not encode anything or know a client library."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from bridge.core.value import Value

Json = Mapping[str, object]
Payload = Json | str | bytes | None


class Message(Value, frozen=True):
    """A message to publish.

    `payload` None erases a retained topic; a mapping is sent as JSON; bytes are such JSON, encoded before.
    `response_topic`, `correlation`: properties of MQTT 5, not sent with 3.1.1. `age_ms`: of an event that
    waited, and says so when it is sent.
    """

    topic: str
    payload: Payload
    retain: bool = False
    qos: int = 1
    correlation: bytes | None = None
    response_topic: str | None = None
    age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message from the broker, with its MQTT 5 properties if it has any.

    `expires_in_s`: seconds left of the message expiry interval when the message arrived. `sender`: who sent
    it, if the broker adds that as a user property.
    """

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1
    response_topic: str | None = None
    correlation: bytes | None = None
    expires_in_s: int | None = None
    sender: str = ""


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The limits in the CONNACK of the broker. The defaults are those of the MQTT 5 standard."""

    receive_maximum: int = 65535
    maximum_qos: int = 2
    maximum_packet_bytes: int | None = None
    retain_available: bool = True

    def lowered(self, most: int) -> Self:
        """The same limits, with no packet larger than this."""
        known = self.maximum_packet_bytes
        return replace(self, maximum_packet_bytes=most if known is None else min(known, most))

    @property
    def lacks(self) -> tuple[str, ...]:
        """Sentences for people: the features that the broker lacks, and the consequences."""
        retain = (
            "it keeps no retained messages: a new subscriber sees a state only when it changes next, and "
            "without state_dir calls that end while the bridge restarts get no `ended`"
        )
        qos = "it takes QoS 0 only: messages in flight when a connection breaks are lost"
        return (*([] if self.retain_available else [retain]), *([] if self.maximum_qos else [qos]))


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter with its subscription options, which need MQTT 5; with 3.1.1 they are not sent."""

    topic_filter: str
    qos: int = 1
    retain_handling: int = field(default=0)
    no_local: bool = False
    retain_as_published: bool = False
