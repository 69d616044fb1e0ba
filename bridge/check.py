"""`check --connect`: log in at PBX and broker once and say what is there. Changes nothing that stays."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

from bridge.build import Builder
from bridge.config import Config, Pbx
from bridge.core.topics import Topics
from bridge.errors import LinkError
from bridge.mqtt.trial import try_out
from bridge.pbx.client import Client, Following, Ticket
from bridge.pbx.wire import decode_poll

LIST_S = 20.0
ASKED_FOR = 3


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
            try:
                seen = await _see(client, ticket, pbx.session_user)
            finally:
                with suppress(LinkError):  # the PBX ends the session by itself, too
                    await client.end(ticket)
    except LinkError as error:
        return False, f"{pbx.name}: PBX: {error.reason}"
    except TimeoutError:
        return False, f"{pbx.name}: PBX: the list of users did not come within {LIST_S:g} s"
    return True, f"{pbx.name}: PBX: firmware {about.firmware or 'unknown'}, {seen}"


async def _see(client: Client, ticket: Ticket, session_user: str) -> str:
    """Whom the session sees, and whether it may follow and control their calls: asked for a few of them."""
    names: list[str] = []
    complete = False
    while not complete:
        for batch in decode_poll(await client.poll(ticket)):
            names += (record.name for record in batch.users)
            complete = complete or batch.list_complete
    others = [name for name in names if name != session_user]
    if not others:
        return f"sees no user but itself: make '{session_user}' an active member of a group"
    for name in others[:ASKED_FOR]:
        if await _follows(client, ticket, name):
            return f"{len(names)} visible users, may follow and control their calls"
    return f"{len(names)} visible users, no right to follow and control their calls"


async def _follows(client: Client, ticket: Ticket, name: str) -> bool:
    """One user may be refused, or asked for in vain, for a reason of its own."""
    try:
        return await client.follow(ticket, name, Following()) > 0
    except LinkError as error:
        if not error.answered:
            raise
        return False


async def _check_broker(builder: Builder, pbx: Pbx, config: Config) -> tuple[bool, str]:
    settings = builder.broker(pbx)
    try:
        rights = await try_out(settings, Topics(config.mqtt.base_topic, pbx.name))
    except LinkError as error:
        return False, f"{pbx.name}: {error.reason}"
    return True, f"{pbx.name}: broker {settings.place}: {rights}"
