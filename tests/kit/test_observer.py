"""The observer of the tests: what it does where a broker does not answer."""

import asyncio

import pytest

from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.network import CLEAR, SWALLOWING
from tests.kit.peer import Peer
from tests.kit.proxy import Proxy


@pytest.mark.broker
async def test_it_leaves_a_connection_that_stays_silent(broker: Mosquitto) -> None:
    """A broker that forgets a connection does not close it: soon there is another one."""
    async with Proxy(broker.port) as way:
        way.conditions = SWALLOWING
        observer = Observer(way.port, silence_s=1)
        entering = asyncio.create_task(observer.__aenter__())
        await eventually(lambda: way.swallowed, "the first words are lost")
        way.conditions = CLEAR
        await entering
        await observer.__aexit__()
        assert way.accepted > 1


async def test_it_leaves_a_connection_that_does_not_subscribe_it() -> None:
    """Pings may be answered on it: amqtt's are, by another task than the one that died."""
    async with Peer(Habits(suback=False)) as peer:
        observer = Observer(peer.port, silence_s=1)
        entering = asyncio.create_task(observer.__aenter__())
        await eventually(lambda: peer.subscribed, "the first connection has asked")
        peer.current.change(Habits())
        await entering
        await observer.__aexit__()
        assert len(peer.connects) > 1
