"""Brokers that cannot keep messages, or take QoS 0 only: the will, too, must be within what they can do."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import structlog

from bridge.core.message import BrokerLimits, Message
from bridge.errors import LinkError, Rejected, Unreachable
from bridge.mqtt.dialer import Dialer
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.kit.proxy import Proxy
from tests.running import bridge, configuration, pbx_section

WILL = Message("t/state", {"is": "offline"}, retain=True)
NO_RETAIN, NO_QOS = Habits(takes_retained_will=False), Habits(takes_qos_of_will=False)
NEITHER = Habits(takes_retained_will=False, takes_qos_of_will=False)


def settings(peer: Peer, protocol: str) -> BrokerSettings:
    """The peer, with a second for each step."""
    return BrokerSettings("127.0.0.1", peer.port, "me", protocol=protocol, connect_timeout_s=1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
@pytest.mark.parametrize(
    ("habits", "taken"),
    [(Habits(), (1, True)), (NO_RETAIN, (1, False)), (NO_QOS, (0, True)), (NEITHER, (0, False))],
)
async def test_the_will_is_lowered_until_it_is_taken(
    protocol: str, habits: Habits, taken: tuple[int, bool]
) -> None:
    """As little as possible, and the next connection starts with it."""
    async with Peer(habits) as peer:
        dialer = Dialer(settings(peer, protocol))
        async with dialer.open(WILL) as connection:
            assert (connection.will.qos, connection.will.retain) == taken
            if protocol == "3.1.1":
                lowest = 2 if taken[0] else 0
                assert connection.limits == BrokerLimits(maximum_qos=lowest, retain_available=taken[1])
        before = len(peer.connects)
        async with dialer.open(WILL) as connection:
            assert (connection.will.qos, connection.will.retain) == taken
        assert len(peer.connects) == before + 1


@pytest.mark.parametrize(
    ("protocol", "error", "words"), [("3.1.1", Unreachable, "TLS"), ("5", Unreachable, "TLS")]
)
async def test_a_port_that_closes_at_once(protocol: str, error: type[LinkError], words: str) -> None:
    """No will helps there: the advice is TLS."""

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(error, match=words):
            async with connect(BrokerSettings("127.0.0.1", port, "me", protocol=protocol), WILL):
                pass


async def test_a_password_is_asked_for_once() -> None:
    """A refusal that has nothing to do with the will is not tried again with others."""
    async with Peer(Habits(connack_code=0x86)) as peer:
        for protocol in ("5", "3.1.1"):
            with pytest.raises(Rejected):
                async with connect(settings(peer, protocol), WILL):
                    pass
        assert len(peer.connects) == 2


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
async def test_a_mosquitto_that_keeps_nothing(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """The bridge is online, states and events are heard, and the limit is said once, in plain words.

    The bridge is let in after the second observer: such a broker says nothing twice.
    """
    with structlog.testing.capture_logs() as log:
        async with Mosquitto(tmp_path, "retain_available false") as broker, Proxy(broker.port) as proxy:
            given = configuration(proxy.port, pbx_section(pbx))
            given["mqtt"]["protocol"] = protocol
            async with AsyncExitStack() as observers:
                bus = await observers.enter_async_context(Observer(broker.port))
                async with bridge(given):
                    await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it is online")
                    await eventually(lambda: bus.now("innovaphone/hq/user/anna/state"), "states are heard")
                    await eventually(lambda: any(each["event"] == "mqtt up" for each in log), "mqtt is up")
                    proxy.refuse()
                    proxy.reset()
                    await broker.kill()
                    await broker.start()
                    fresh = await observers.enter_async_context(Observer(broker.port))
                    proxy.listen()
                    await eventually(lambda: fresh.now("innovaphone/hq/state") == "online", "online again")
                await eventually(lambda: fresh.now("innovaphone/hq/state") == "offline", "it says goodbye")
    said = [each["reason"] for each in log if each["event"] == "broker is limited"]
    assert len(said) == 1
    assert "retained" in said[0]
    assert not [each for each in log if "TLS" in str(each.get("reason"))]
