"""Brokers that take their time to accept: more patience with each attempt, and MQTT 5 is not given up."""

import asyncio

import pytest

from bridge.core.message import Message
from bridge.errors import Unreachable
from bridge.mqtt.dialer import Dialer
from bridge.mqtt.settings import LONGEST_S, BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import bridge, configuration, pbx_section

WILL = Message("t/state", "offline", retain=True)


def settings(peer: Peer) -> BrokerSettings:
    """The peer, with very little patience."""
    return BrokerSettings("127.0.0.1", peer.port, "me", connect_timeout_s=0.25, trial_s=0.1)


async def test_after_a_fall_back_by_silence_5_is_tried_again() -> None:
    """Whatever made the broker silent may be over; a broker that says that it is old is not asked again."""
    async with Peer(Habits(connack_s=None)) as peer:
        dialer = Dialer(settings(peer))
        opening = asyncio.create_task(dialer.open(WILL, 2).__aenter__())
        await eventually(lambda: [each.level for each in peer.connects] == [5, 4], "3.1.1 is tried")
        peer.habits = Habits()
        old = await opening
        assert old.protocol == "3.1.1"
        await old.close()
        async with dialer.open(WILL) as connection:
            assert connection.protocol == "5"
        async with dialer.open(WILL) as connection:
            assert connection.protocol == "5"
    assert [each.level for each in peer.connects] == [5, 4, 5, 5]


async def test_a_slow_broker_gets_more_time_and_keeps_it() -> None:
    """Each attempt waits longer; once that was enough, MQTT 5 gets as long at the next connection."""
    async with Peer(Habits(connack_s=0.6)) as peer:
        dialer = Dialer(settings(peer))
        for attempt in (0, 1):
            with pytest.raises(Unreachable, match="did not answer in time"):
                async with dialer.open(WILL, attempt):
                    pass
        async with dialer.open(WILL, 2) as connection:
            assert connection.protocol == "3.1.1"
        async with dialer.open(WILL) as connection:
            assert connection.protocol == "5"


@pytest.mark.parametrize(("base_s", "longest_s"), [(1, LONGEST_S), (5, LONGEST_S), (60, 60)])
def test_patience_has_a_limit(base_s: float, longest_s: float) -> None:
    """It doubles up to the limit, and is never less than what is configured."""
    given = BrokerSettings("h", 1, "me", connect_timeout_s=base_s)
    waits = [given.patient(attempt).connect_timeout_s for attempt in range(2000)]
    assert waits[0] == base_s
    assert waits == sorted(waits)
    assert waits[-1] == longest_s
    assert max(given.patient(attempt).trial_s for attempt in range(2000)) <= longest_s


async def test_the_bridge_gets_in_at_a_slow_broker(pbx: SimPbx) -> None:
    """Slower than the configured time: online all the same, after some attempts."""
    async with Peer(Habits(connack_s=0.5)) as peer:
        given = configuration(peer.port, pbx_section(pbx))
        given["mqtt"] |= {"connect_timeout_s": 0.2, "protocol": "5"}
        async with bridge(given):
            await eventually(lambda: b"online" in peer.payloads("innovaphone/hq/state"), "it is online")
