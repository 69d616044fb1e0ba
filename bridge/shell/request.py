"""One request to a bridge over MQTT, and the reply to it. Prints nothing, and knows no verb."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bridge.core.message import Incoming, Json, Message, Subscription
from bridge.core.topics import Topics, encode
from bridge.core.value import evolve
from bridge.errors import LinkError, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import MQTT_5, BrokerSettings


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of which bridge. `on_user_topic`: on the topic of the user that the fields name."""

    topics: Topics
    verb: str
    fields: Json
    on_user_topic: bool = False
    dots: bool = False


async def ask(brokers: Sequence[BrokerSettings], asked: Asked, *, within_s: float) -> Json:
    """Send a request at the first broker that lets us in, and wait for its reply there.

    Raises a LinkError, also when no reply comes.

    With MQTT 5 the reply comes to a topic of its own, below that of the user's name, as config/examples has
    the rights; with 3.1.1 to the topic that all replies of the verb have.
    """
    identity = secrets.token_hex(12)
    request = _message(asked, identity)
    user = brokers[0].username
    own = user if user and not set("+#/") & set(user) else "shell"
    private = f"{asked.topics.replies}{own}/{identity}"
    mine = [each.with_client_id(f"{each.client_id}-{identity}") for each in brokers]
    # The will is never needed, and goes where this client is about to publish anyway.
    async with _let_in(mine, Message(request.topic, None)) as connection:
        connection.needs_no_will()
        place = private if connection.protocol == MQTT_5 else asked.topics.response(asked.verb)
        await connection.subscribe([Subscription(place)])
        try:
            async with asyncio.timeout(within_s):
                await connection.publish(evolve(request, response_topic=place))
                return await _reply(connection, identity)
        except TimeoutError:
            raise Unreachable(
                f"no reply on {place} within {within_s:g} s: does the bridge run, and may this client "
                f"publish on {request.topic} and read the reply?"
            ) from None


@asynccontextmanager
async def _let_in(brokers: Sequence[BrokerSettings], will: Message) -> AsyncIterator[Connection]:
    """A connection to the first of these brokers that lets us in. Raises what the primary says otherwise."""
    refusals: list[LinkError] = []
    async with AsyncExitStack() as stack:
        for settings in brokers:
            try:
                connection = await stack.enter_async_context(connect(settings, will))
            except LinkError as error:
                refusals.append(error)
            else:
                yield connection
                return
        raise refusals[0]


def _message(asked: Asked, identity: str) -> Message:
    fields, place = dict(asked.fields), ""
    if asked.on_user_topic:
        place = f"user/{encode(str(fields.pop('user')), dots=asked.dots)}/"
    return Message(f"{asked.topics.root}/{place}command/{asked.verb}", {**fields, "id": identity})


async def _reply(connection: Connection, identity: str) -> Json:
    """The reply with our id; raises what ended the connection instead."""
    while True:
        waiting = asyncio.ensure_future(connection.incoming.get())
        ends: list[asyncio.Future[Any]] = [waiting, connection.lost]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if not waiting.done():
            raise connection.lost.result()
        body = _read(waiting.result())
        if isinstance(body, dict) and body.get("id") == identity and "status" in body:
            return body


def _read(incoming: Incoming) -> object:
    try:
        return json.loads(incoming.payload)
    except (ValueError, RecursionError):
        return None
