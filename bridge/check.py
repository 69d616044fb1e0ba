"""`check --connect`: log in at PBX and broker once and say what is there. Changes nothing."""

import asyncio
from collections.abc import Iterator

from bridge.build import Builder
from bridge.config import Config, Pbx
from bridge.core.message import Message
from bridge.errors import LinkError
from bridge.mqtt.client import connect
from bridge.pbx.wire import decode_poll

LIST_S = 20.0


async def check(config: Config) -> list[tuple[bool, str]]:
    """One line for each PBX and its broker: whether it works, and what was seen."""
    builder = Builder(config)
    checks = [work for pbx in config.pbxs for work in _checks(builder, pbx, config)]
    return list(await asyncio.gather(*checks))


def _checks(builder: Builder, pbx: Pbx, config: Config) -> Iterator["asyncio.Future[tuple[bool, str]]"]:
    yield asyncio.ensure_future(_check_pbx(builder, pbx))
    yield asyncio.ensure_future(_check_broker(builder, pbx, config))


async def _check_pbx(builder: Builder, pbx: Pbx) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(LIST_S), builder.client(pbx) as client:
            about = await client.version()
            ticket = await client.initialize(pbx.session_user)
            if ticket.session <= 0:
                return (
                    False,
                    f"{pbx.name}: PBX: no session for '{pbx.session_user}': no such user, or no right",
                )
            users, complete = 0, False
            while not complete:
                for batch in decode_poll(await client.poll(ticket)):
                    users += len(batch.users)
                    complete = complete or batch.list_complete
            await client.end(ticket)
    except LinkError as error:
        return False, f"{pbx.name}: PBX: {error.reason}"
    except TimeoutError:
        return False, f"{pbx.name}: PBX: the list of users did not come within {LIST_S:g} s"
    return True, f"{pbx.name}: PBX: firmware {about.firmware or 'unknown'}, {users} visible users"


async def _check_broker(builder: Builder, pbx: Pbx, config: Config) -> tuple[bool, str]:
    """With a client id of its own: a bridge that runs must not be thrown out."""
    settings = builder.broker(pbx)
    will = Message(f"{config.mqtt.base_topic}/{pbx.name}/response/check", "gone")
    try:
        async with connect(settings.with_client_id(f"{settings.client_id}-check"), will) as connection:
            return True, f"{pbx.name}: broker {settings.place}: MQTT {connection.protocol}"
    except LinkError as error:
        return False, f"{pbx.name}: {error.reason}"
