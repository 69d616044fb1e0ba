"""Finds out whether a broker gives all clients of a user one client id. Tests no right: see trial.py."""

import asyncio

from bridge.core.message import Message
from bridge.core.rights import CHECK
from bridge.core.topics import Topics
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings

END_S = 0.3
"""How long the broker may take to end the first connection."""
ONE_ID = (
    "the broker gives every client of this user the same client id, so that the links of several PBXs "
    "disconnect each other, and this check has disconnected a running bridge (it reconnects within a "
    "minute): see config/examples/mosquitto.conf"
)


async def one_id_for_all(settings: BrokerSettings, topics: Topics) -> bool:
    """Whether the broker uses the user name as client id, whatever id a client has chosen.

    If so, the second connection ends the first, and both have disconnected a running bridge.
    """
    will = Message(topics.user_state(CHECK), None)
    first, second = (settings.with_client_id(f"{settings.client_id}-check-{name}") for name in ("a", "b"))
    async with connect(first, will) as one:
        one.needs_no_will()
        async with connect(second, will) as other:
            other.needs_no_will()
            ended, _ = await asyncio.wait([one.lost], timeout=END_S)
            return bool(ended) and not other.lost.done()
