"""One connection against a broker with bad habits: refusals, silence, limits, broken and foreign bytes."""

import asyncio
import time

import pytest

from bridge.core.commands.request import LONGEST_PAYLOAD
from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, TakenOver, Unreachable
from bridge.mqtt.framing import INBOUND_BYTES, KEPT_BYTES
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from tests.bus import eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer

WILL = Message("t/state", "offline", retain=True)
STEP_S = 1.0
GARBAGE = {
    "type 0": b"\x00\x00",
    "AUTH": b"\xf0\x00",
    "a CONNECT": b"\x10\x00",
    "CONNACK, empty": b"\x20\x00",
    "PUBLISH, length of five bytes": b"\x30\xff\xff\xff\xff\x7f",
    "PUBLISH, topic beyond its end": b"\x30\x04\xff\xffab",
    "PUBLISH, topic not UTF-8": b"\x30\x06\x00\x02\xff\xfe\x00x",
    "PUBLISH, QoS 3": b"\x36\x08\x00\x01a\x00\x01\x00xx",
    "PUBLISH, properties beyond its end": b"\x30\x06\x00\x01a\x20xx",
    "PUBLISH, unknown property": b"\x30\x06\x00\x01a\x02\x7fx",
    "PUBACK, empty": b"\x40\x00",
    "PUBACK, unknown code": b"\x40\x04\x00\x01\x55\x00",
    "SUBACK, empty": b"\x90\x00",
    "PINGRESP with a body": b"\xd0\x03abc",
    "DISCONNECT, unknown code": b"\xe0\x02\x55\x00",
}


def settings(peer: Peer, protocol: str = "5", keepalive_s: int = 30) -> BrokerSettings:
    """The peer as the bridge's client knows it, with a second for each step."""
    return BrokerSettings(
        "127.0.0.1", peer.port, "me", protocol=protocol, keepalive_s=keepalive_s, connect_timeout_s=STEP_S
    )


@pytest.mark.parametrize(("protocol", "heard"), [("5", [b"1", b"3"]), ("3.1.1", [b"1", b"2", b"3"])])
async def test_the_peer_gives_back_what_we_subscribed_to(protocol: str, heard: list[bytes]) -> None:
    """One level for a +, and none of our own messages where MQTT 5 lets us say so."""
    async with Peer() as peer:
        async with connect(settings(peer, protocol), WILL) as connection:
            await connection.subscribe([Subscription("t/+/a"), Subscription("u/+", no_local=True)])
            for topic, payload in (
                ("t/x/a", "1"),
                ("t/x", "-"),
                ("t/x/y/a", "-"),
                ("u/x", "2"),
                ("t//a", "3"),
            ):
                await connection.publish(Message(topic, payload))
            got = [(await connection.incoming.get()).payload for _ in heard]
            connection.unsubscribe(["t/+/a"])
            await connection.publish(Message("t/x/a", "-"))
            peer.send_publish("u/end", b"end", qos=1, retain=True)
            end = await connection.incoming.get()
            await eventually(lambda: len(peer.pubacks) == len(heard) + 1, "all of QoS 1 is acknowledged")
            said = len(peer.publishes)
            await connection.publish(WILL)
        await eventually(lambda: peer.goodbyes == 1, "we said goodbye")

    assert (got, end) == (heard, Incoming("u/end", b"end", retain=True))
    assert [each.payload for each in peer.publishes[:said]] == [b"1", b"-", b"-", b"2", b"3", b"-"]
    assert [(each.level, each.client_id) for each in peer.connects] == [(5 if protocol == "5" else 4, "me")]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("code", "error"),
    [(0x86, Rejected), (0x87, Rejected), (0x85, Rejected), (0x88, Unreachable), (0x97, Unreachable)],
)
async def test_a_refused_connection(protocol: str, code: int, error: type[LinkError]) -> None:
    """A password or a right is for a human, a busy broker is not."""
    async with Peer(Habits(connack_code=code)) as peer:
        with pytest.raises(LinkError) as refusal:
            async with connect(settings(peer, protocol), WILL):
                pass
    assert type(refusal.value) is error
    assert len(peer.connects) == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto"])
async def test_a_connack_that_never_comes(protocol: str) -> None:
    """We wait as long as is allowed, for each protocol we try."""
    async with Peer(Habits(connack_s=None)) as peer:
        started = time.monotonic()
        with pytest.raises(Unreachable, match="did not answer in time"):
            async with connect(settings(peer, protocol), WILL):
                pass
        took_s = time.monotonic() - started
    allowed_s = STEP_S + (settings(peer).trial_s if protocol == "auto" else 0)
    assert allowed_s <= took_s < allowed_s + 2
    assert [each.level for each in peer.connects] == {"5": [5], "3.1.1": [4], "auto": [5, 4]}[protocol]


async def test_a_connack_for_the_older_protocol_only() -> None:
    """Silence at MQTT 5, an answer at 3.1.1: that will do. A late answer will do, too."""
    async with Peer(Habits(connack_s=None)) as peer:
        opening = asyncio.create_task(connect(settings(peer, "auto"), WILL).__aenter__())
        await eventually(lambda: [each.level for each in peer.connects] == [5, 4], "3.1.1 is tried")
        peer.habits = Habits(connack_s=0.1, receive_maximum=7)
        connection = await opening
        assert (connection.protocol, connection.limits) == ("3.1.1", BrokerLimits())
        await connection.close()
        async with connect(settings(peer), WILL) as connection:
            assert connection.limits == BrokerLimits(receive_maximum=7)


async def test_a_broker_that_knows_no_mqtt_5() -> None:
    """It says so: with protocol 5 that is for a human, with auto we try 3.1.1."""
    async with Peer(Habits(connack_code=0x84)) as peer:
        with pytest.raises(Rejected):
            async with connect(settings(peer), WILL):
                pass
        with pytest.raises(LinkError):
            async with connect(settings(peer, "auto"), WILL):
                pass
    assert [each.level for each in peer.connects] == [5, 5, 4]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_refused_subscription(protocol: str) -> None:
    """One of several is enough; the connection lives on."""
    habits = Habits(suback_codes=(0, 0x87))
    async with Peer(habits) as peer, connect(settings(peer, protocol), WILL) as connection:
        with pytest.raises(Rejected, match="refuses the subscription"):
            await connection.subscribe([Subscription("t/a"), Subscription("t/b"), Subscription("t/c")])
        await connection.publish(Message("t/c", "x"))
        assert (await connection.incoming.get()).topic == "t/c"
    assert [each.topic_filter for each in peer.subscribed] == ["t/a", "t/c"]


async def test_a_refused_publish() -> None:
    """It fails alone. A code below 0x80, such as that nobody listens, is none of our business."""
    async with Peer(Habits(puback_code=0x87)) as peer, connect(settings(peer), WILL) as connection:
        with pytest.raises(Rejected, match="refuses the publish"):
            await connection.publish(Message("t/a", "x"))
        peer.habits = Habits(puback_code=0x10)
        await connection.publish(Message("t/a", "x"))


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_packet_that_is_too_large(protocol: str) -> None:
    """One that is no message ends the connection by its length alone, and the reason is named."""
    async with Peer() as peer, connect(settings(peer, protocol), WILL) as connection:
        peer.garbage(b"\x90\xff\xff\xff\x7f\x00\x01t")
        lost = await asyncio.wait_for(connection.lost, 5)
    assert "too large for its kind" in lost.reason


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("size", [261_000, 300_000, 3_000_000])
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_message_that_is_too_large(protocol: str, size: int, qos: int) -> None:
    """It is read past, acknowledged and counted; little of it is kept, and the next one is read as ever."""
    async with Peer() as peer, connect(settings(peer, protocol), WILL) as connection:
        topic = "t/" + "x" * 1000
        peer.send_publish(topic, b"y" * size, qos=qos, retain=True)
        peer.send_publish("t/next", b"z", qos=1)
        large = await asyncio.wait_for(connection.incoming.get(), 10)
        following = await asyncio.wait_for(connection.incoming.get(), 10)
        await eventually(lambda: len(peer.pubacks) == 1 + qos, "what came is acknowledged")
        assert (large.topic, large.retain, large.qos) == (topic, True, qos)
        assert LONGEST_PAYLOAD < len(large.payload) <= 262_144
        assert following == Incoming("t/next", b"z")
        too_large = size > INBOUND_BYTES
        assert (connection.oversized, connection.oversized_topic) == ((1, topic) if too_large else (0, ""))
        if too_large:
            assert len(large.payload) <= KEPT_BYTES


async def test_a_puback_that_is_late() -> None:
    """A message counts as sent when it is acknowledged and not before; in the order of sending."""
    async with Peer(Habits(puback_s=None)) as peer, connect(settings(peer), WILL) as connection:
        sent = [connection.publish(Message("t/a", str(number))) for number in range(3)]
        await eventually(lambda: peer.unacknowledged == 3, "the broker has them all")
        assert not any(each.done() for each in sent)
        peer.habits = Habits(puback_s=0.2)
        await asyncio.wait_for(sent[0], 5)
        assert time.monotonic() - peer.publishes[0].at >= 0.2
        await asyncio.wait_for(asyncio.gather(*sent), 5)
        peer.habits = Habits(puback_s=None)
        lost = connection.publish(Message("t/a", "x"))
        await eventually(lambda: peer.unacknowledged == 1, "the broker has that one")
        peer.break_packet()
        with pytest.raises(SessionLost):
            await asyncio.wait_for(lost, 5)
    assert peer.most_unacknowledged == 3


async def test_a_maximum_packet_size() -> None:
    """What is too large is not sent, the rest is."""
    async with Peer(Habits(maximum_packet_bytes=200)) as peer, connect(settings(peer), WILL) as connection:
        with pytest.raises(ProtocolError, match="larger than the broker's 200 bytes"):
            await connection.publish(Message("t/a", "x" * 200))
        await connection.publish(Message("t/a", "x" * 100))
    assert [len(each.payload) for each in peer.publishes] == [100]
    assert peer.largest_packet <= 200


@pytest.mark.parametrize(
    ("code", "error"), [(0x8E, TakenOver), (0x8B, SessionLost), (0x93, SessionLost), (0x87, Rejected)]
)
async def test_a_broker_that_sends_us_away(code: int, error: type[LinkError]) -> None:
    """Another client with our id, a shutdown, a right taken away: each is known for what it is."""
    async with Peer() as peer, connect(settings(peer), WILL) as connection:
        peer.disconnect(code)
        lost = await asyncio.wait_for(connection.lost, 5)
    assert type(lost) is error


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_half_a_packet(protocol: str) -> None:
    """The broker dies in the middle of a word: the session is lost, and nothing of it was heard."""
    async with Peer() as peer, connect(settings(peer, protocol), WILL) as connection:
        peer.send_publish("t/whole", b"x")
        peer.break_packet()
        lost = await asyncio.wait_for(connection.lost, 5)
        assert type(lost) is SessionLost
        assert (connection.incoming.get_nowait().topic, connection.incoming.qsize()) == ("t/whole", 0)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage(garbage: bytes) -> None:
    """It costs the session and what was on its way, never more."""
    async with Peer(Habits(puback_s=None)) as peer, connect(settings(peer), WILL) as connection:
        sent = connection.publish(Message("t/a", "x"))
        peer.garbage(garbage)
        lost = await asyncio.wait_for(connection.lost, 5)
        assert type(lost) in {SessionLost, ProtocolError}
        with pytest.raises(SessionLost):
            await asyncio.wait_for(sent, 5)
        assert connection.incoming.empty()


@pytest.mark.parametrize("habits", [Habits(pingresp=False), Habits()], ids=["no PINGRESP", "endless packet"])
async def test_a_broker_that_says_nothing_more(habits: Habits) -> None:
    """It answers no ping, or all it says is the inside of one packet without end: we notice either."""
    async with Peer(habits) as peer, connect(settings(peer, keepalive_s=1), WILL) as connection:
        if habits.pingresp:
            peer.garbage(b"\x30\xff\xff\x0f\x00\x01a\x00")
        lost = await asyncio.wait_for(connection.lost, 5)
    assert type(lost) is SessionLost
    assert "Keep alive timeout" in lost.reason
    assert peer.pings
