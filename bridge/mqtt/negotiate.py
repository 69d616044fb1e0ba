"""Finds the protocol and the will that a broker accepts, and opens a connection with them. Keeps none."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge.core.message import Message
from bridge.core.value import evolve
from bridge.errors import Rejected
from bridge.mqtt.client import Connection
from bridge.mqtt.errors import NotForThisBroker, NotThisWill, Silent
from bridge.mqtt.settings import MQTT_3, MQTT_5, BrokerSettings


@asynccontextmanager
async def connect(settings: BrokerSettings, will: Message) -> AsyncIterator[Connection]:
    """A connection that the broker has accepted, and that ends with DISCONNECT if the will is not needed.

    With protocol auto, MQTT 3.1.1 is tried where the broker does not understand 5. Raises Unreachable or
    Rejected.
    """
    connection = await _connected(settings, will)
    try:
        yield connection
    finally:
        await connection.close()


async def _connected(settings: BrokerSettings, will: Message) -> Connection:
    first = MQTT_5 if settings.protocol == "auto" else settings.protocol
    try:
        return await _with_some_will(settings, will, first)
    except NotForThisBroker as refusal:
        if settings.protocol != "auto":
            raise Rejected(refusal.reason) from None
        silent = isinstance(refusal, Silent)
    connection = await _with_some_will(settings, will, MQTT_3)
    connection.after_silence = silent
    return connection


async def _with_some_will(settings: BrokerSettings, will: Message, protocol: str) -> Connection:
    """Lower QoS and retain of the will until the broker accepts it.

    The will is part of CONNECT: it is sent before the broker has announced what it supports.
    """
    forms = [(will.qos, will.retain), (0, will.retain), (will.qos, False), (0, False)]
    refusals: list[NotThisWill] = []
    for qos, retain in dict.fromkeys(forms):
        try:
            return await _open(settings, evolve(will, qos=qos, retain=retain), protocol)
        except NotThisWill as refusal:
            refusals.append(refusal)
    raise refusals[0]


async def _open(settings: BrokerSettings, will: Message, protocol: str) -> Connection:
    connection = Connection(settings, will, protocol)
    try:
        await connection.open()
    except BaseException:
        connection.drop()
        raise
    return connection
