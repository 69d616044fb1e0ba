"""Conversions between our values and paho's: properties, subscribe options, limits, messages. No I/O."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.mqtt.framing import INBOUND_BYTES
from bridge.mqtt.settings import MQTT_5

RECEIVE_MAXIMUM = 50
LONGEST_SENDER = 128


def connect_properties(protocol: str) -> Properties | None:
    """The limits that we announce in CONNECT."""
    if protocol != MQTT_5:
        return None
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = INBOUND_BYTES
    return properties


def options(subscription: Subscription, protocol: str) -> SubscribeOptions | int:
    """How to subscribe: MQTT 5 options, or just the QoS."""
    if protocol != MQTT_5:
        return subscription.qos
    return SubscribeOptions(
        qos=subscription.qos,
        noLocal=subscription.no_local,
        retainAsPublished=subscription.retain_as_published,
        retainHandling=subscription.retain_handling,
    )


def limits(properties: Any, will: Message, protocol: str) -> BrokerLimits:
    """The limits that the broker announced in CONNACK.

    MQTT 3.1.1 announces nothing, but the broker accepted this will: it can do at least that.
    """
    known = BrokerLimits()
    if protocol != MQTT_5:
        return replace(known, maximum_qos=known.maximum_qos if will.qos else 0, retain_available=will.retain)
    return BrokerLimits(
        getattr(properties, "ReceiveMaximum", known.receive_maximum),
        getattr(properties, "MaximumQoS", known.maximum_qos),
        getattr(properties, "MaximumPacketSize", known.maximum_packet_bytes),
        bool(getattr(properties, "RetainAvailable", known.retain_available)),
    )


def incoming(message: paho.MQTTMessage, sender_property: str) -> Incoming:
    """A received message with the properties that concern commands."""
    properties = message.properties
    return Incoming(
        message.topic,
        bytes(message.payload),
        message.retain,
        message.qos,
        getattr(properties, "ResponseTopic", None),
        getattr(properties, "CorrelationData", None),
        getattr(properties, "MessageExpiryInterval", None),
        _sender(getattr(properties, "UserProperty", ()), sender_property),
    )


def _sender(properties: Sequence[tuple[str, str]], name: str) -> str:
    """The value of the user property of this name.

    A client can add one of its own. If the broker adds another, before or after it, both are told.
    """
    values = [value[:LONGEST_SENDER] for key, value in properties if name and key == name]
    return ", ".join(dict.fromkeys((*values[:1], *values[-1:])))
