"""Asks the bus whether another bridge serves a PBX, by a `ping` that each would answer. Decides nothing."""

import asyncio
import secrets

import orjson

from bridge.core.message import Message, Subscription
from bridge.core.topics import Topics
from bridge.errors import LinkError
from bridge.mqtt.client import Connection, connect
from bridge.mqtt.settings import BrokerSettings

ANSWER_S = 1.0
VERB = "ping"


async def rival_answers(settings: BrokerSettings, topics: Topics) -> bool:
    """Tell whether some bridge answers for this PBX, within a second.

    Under a client id of its own, so that nobody is thrown out. Raises what `connect` raises.
    """
    name = f"probe-{secrets.token_hex(8)}"
    will = Message(topics.response(VERB), {"id": name, "status": "gone"})
    async with connect(settings.with_client_id(f"{settings.client_id}-{name}"), will) as connection:
        try:
            async with asyncio.timeout(ANSWER_S):
                await connection.subscribe([Subscription(topics.response(VERB))])
                await connection.publish(Message(f"{topics.root}/command/{VERB}", {"id": name}))
                await _answer(connection, name)
        except (TimeoutError, LinkError):
            return False
    return True


async def _answer(connection: Connection, name: str) -> None:
    """Return when a reply to our question comes."""
    while True:
        incoming = await connection.incoming.get()
        try:
            reply = orjson.loads(incoming.payload)
        except orjson.JSONDecodeError:
            continue
        if isinstance(reply, dict) and reply.get("id") == name and "verb" in reply:
            return
