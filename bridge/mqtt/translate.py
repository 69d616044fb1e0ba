"""Conversions between our values and paho's: properties, subscribe options, limits. No I/O."""

from dataclasses import replace
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from bridge.core.message import BrokerLimits, Message, Subscription
from bridge.mqtt.framing import INBOUND_BYTES
from bridge.mqtt.settings import MQTT_5

RECEIVE_MAXIMUM = 50


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
