"""One connection against real brokers: protocols, acknowledgements, refusals, the will, TLS, cuts."""

import asyncio
import contextlib
import gc
import ssl
from pathlib import Path

import pytest
import trustme

from bridge.core.message import Message, Subscription
from bridge.core.value import evolve
from bridge.demo.broker import _amqtt
from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, TakenOver, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.dialer import Dialer
from bridge.mqtt.encode import encode
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from tests.bus import Mosquitto, Observer, amqtt_leaks, eventually, free_port
from tests.kit.habits import Habits
from tests.kit.peer import Peer

WILL = Message("t/state", "offline", retain=True)
pytestmark = pytest.mark.broker


def settings(port: int, client_id: str = "test", **more: object) -> BrokerSettings:
    """A broker on loopback."""
    return BrokerSettings("127.0.0.1", port, client_id, **more)  # type: ignore[arg-type]  # by name


async def test_speaks_mqtt_5_and_tells_its_limits(broker: Mosquitto) -> None:
    """Mosquitto announces what it receives at once; a message comes with its properties."""
    async with connect(settings(broker.port), WILL) as connection:
        await connection.subscribe([Subscription("t/+")])
        await connection.publish(Message("t/a", {"x": "ü"}, correlation=b"1"))
        incoming = await connection.incoming.get()

        assert (connection.protocol, connection.limits.receive_maximum) == ("5", 20)
        assert (incoming.payload, incoming.correlation, incoming.retain) == (
            '{"x":"ü"}'.encode(),
            b"1",
            False,
        )
        connection.unsubscribe(["t/+"])


@amqtt_leaks
async def test_falls_back_to_an_old_broker() -> None:
    """Amqtt speaks 3.1.1 only and is silent to MQTT 5, as a slow broker is: 5 is tried each time."""
    port = free_port()
    async with _amqtt(port):
        dialer = Dialer(settings(port))
        async with dialer.open(WILL) as connection:
            assert connection.protocol == "3.1.1"
            await connection.subscribe([Subscription("t/+", retain_handling=2)])
            await connection.publish(Message("t/a", "x"))
            assert (await connection.incoming.get()).payload == b"x"
        async with dialer.open(WILL) as connection:
            assert connection.protocol == "3.1.1"
        with pytest.raises(LinkError):
            async with connect(settings(port, protocol="5", connect_timeout_s=0.5), WILL):
                pass


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("words", "goodbyes"),
    [
        ((), 0),
        (("online",), 0),
        (("online", "offline"), 1),
        (("offline",), 1),
        (("offline", "online"), 0),
        (("online", None), 1),
    ],
)
async def test_goodbye_only_where_the_will_is_not_needed(
    words: tuple[str | None, ...], goodbyes: int, protocol: str
) -> None:
    """A goodbye discards the will: said when the topic of the will says what it says, or nothing."""
    async with Peer() as peer:
        async with connect(settings(peer.port, protocol=protocol), WILL) as connection:
            for word in words:
                await connection.publish(evolve(WILL, payload=word))
        await eventually(lambda: peer.goodbyes + peer.cuts == 1, "the connection has ended")
        assert peer.goodbyes == goodbyes


async def test_no_goodbye_before_offline_is_acknowledged() -> None:
    """Refused, or not answered: the broker's word is the will's."""
    for habits in (Habits(puback_code=0x87), Habits(puback_s=None)):
        async with Peer(habits) as peer:
            async with connect(settings(peer.port, protocol="5"), WILL) as connection:
                sent = connection.publish(WILL)
                if habits.puback_code:
                    with pytest.raises(Rejected):
                        await sent
            await eventually(lambda: peer.goodbyes + peer.cuts == 1, "the connection has ended")
            assert peer.goodbyes == 0


async def test_our_own_end_is_not_blamed_on_the_broker() -> None:
    """With an answer outstanding, and without: what was in flight has not ended the session."""
    for habits in (Habits(), Habits(puback_s=None)):
        async with Peer(habits) as peer, connect(settings(peer.port, protocol="5"), WILL) as connection:
            sent = connection.publish(WILL)
            if habits.puback_s is not None:
                await sent
            await connection.close()
            assert connection.lost.done()
            assert not connection.ended_by_broker


async def test_a_will_that_is_not_retained_needs_no_word() -> None:
    """As that of `check`: nothing of it stays."""
    async with Peer() as peer:
        async with connect(settings(peer.port), evolve(WILL, retain=False)):
            pass
        await eventually(lambda: peer.goodbyes == 1, "we said goodbye")


async def test_the_will_speaks_when_we_cannot(broker: Mosquitto, bus: Observer) -> None:
    """A dropped socket, and an end in which `online` stands: both become `offline`."""
    async with connect(settings(broker.port), WILL) as connection:
        await connection.publish(evolve(WILL, payload="online"))
        await eventually(lambda: bus.tree.get("t/state") == b"online", "we are online")
    await eventually(lambda: bus.tree.get("t/state") == b"offline", "the will was published")


async def test_a_bug_in_a_callback_of_paho_is_no_trouble_with_the_broker(
    bugs: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported as what it is, ends the connection, and the will speaks."""

    def buggy(*_: object) -> None:
        raise LookupError("planted")

    monkeypatch.setattr(Connection, "_on_message", buggy)
    async with Peer() as peer:
        async with connect(settings(peer.port), WILL) as connection:
            await connection.publish(WILL)
            await connection.publish(evolve(WILL, payload="online"))
            peer.send_publish("t/x", b"x")
            error = await asyncio.wait_for(connection.lost, 5)
        await eventually(lambda: peer.cuts == 1, "the connection was dropped")
    assert "a bug in the bridge" in error.reason
    assert [str(bug) for bug in bugs] == ["planted"]
    bugs.clear()


async def test_a_second_client_with_our_id_takes_over(tmp_path: Path) -> None:
    """Noticed for what it is where the broker says so; Mosquitto 2.0.11 does not say why."""
    async with (
        Mosquitto(tmp_path) as broker,
        connect(settings(broker.port), WILL) as first,
        connect(settings(broker.port), WILL),
    ):
        error = await asyncio.wait_for(first.lost, 5)
    assert isinstance(error, TakenOver | SessionLost)


async def test_a_killed_broker_is_noticed_at_once(broker: Mosquitto) -> None:
    """What was on its way fails, and so does what comes later."""
    async with connect(settings(broker.port), WILL) as connection:
        await broker.kill()
        error = await asyncio.wait_for(connection.lost, 2)
        assert isinstance(error, SessionLost)
        with pytest.raises(SessionLost):
            await connection.publish(Message("t/a", "x"))
        with pytest.raises(SessionLost):
            await connection.subscribe([Subscription("t/a")])


async def test_a_failure_that_nobody_asks_for_is_no_bug(bugs: list[BaseException]) -> None:
    """A message on a connection that was lost a moment ago, whoever looks at what became of it."""
    async with Peer() as peer, connect(settings(peer.port), WILL) as connection:
        peer.disconnect(0x8B)
        await asyncio.wait_for(connection.lost, 5)
        lost = connection.publish(Message("t/a", "x"))
        await asyncio.sleep(0)
        del lost
        gc.collect()
    assert bugs == []


async def test_nobody_there_and_nobody_answering() -> None:
    """Refused at once; silent ones after the time allowed."""
    with pytest.raises(Unreachable, match="Connection refused"):
        async with connect(settings(free_port()), WILL):
            pass

    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(Unreachable, match="did not answer in time"):
            async with connect(settings(port, protocol="5", connect_timeout_s=0.3), WILL):
                pass
        asked.clear()
        task = asyncio.create_task(connect(settings(port, connect_timeout_s=9), WILL).__aenter__())
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_wrong_password_is_for_a_human(tmp_path: Path) -> None:
    """Rejected, with a reason and without the password."""
    users = tmp_path / "users"
    users.touch()
    async with Mosquitto(tmp_path, f"password_file {users}", anonymous=False) as broker:
        for protocol in ("5", "3.1.1"):
            with pytest.raises(Rejected, match="rejects the bridge") as error:
                async with connect(
                    settings(broker.port, username="u", password="hunter2", protocol=protocol), WILL
                ):
                    pass
            assert "hunter2" not in error.value.reason + repr(settings(1, password="hunter2"))


async def test_too_large_for_the_broker(tmp_path: Path) -> None:
    """MaximumPacketSize is obeyed by us: paho ignores it."""
    async with (
        Mosquitto(tmp_path, "max_packet_size 1000") as broker,
        connect(settings(broker.port), WILL) as connection,
    ):
        with pytest.raises(ProtocolError, match="larger than the broker's 1000 bytes"):
            await connection.publish(Message("t/a", "x" * 2000))
        await connection.publish(Message("t/a", "x"))


async def test_tls_with_a_client_certificate_and_a_wrong_ca(tmp_path: Path) -> None:
    """The right CA lets in, another one is for a human."""
    ca, stranger = trustme.CA(), trustme.CA()
    server, client = ca.issue_cert("127.0.0.1"), ca.issue_cert("client@example.org")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = (("cafile", "ca.pem"), ("certfile", "cert.pem"), ("keyfile", "key.pem"))
    extra = [f"{key} {tmp_path / file}" for key, file in files]
    async with Mosquitto(tmp_path, *extra, "require_certificate true") as broker:
        good, bad = ssl.create_default_context(), ssl.create_default_context()
        ca.configure_trust(good)
        client.configure_cert(good)
        stranger.configure_trust(bad)
        async with connect(settings(broker.port, tls=good), WILL) as connection:
            await asyncio.gather(*(connection.publish(Message("t/a", "x" * 500)) for _ in range(50)))
        with pytest.raises(Rejected, match="is not trusted"):
            async with connect(settings(broker.port, tls=bad), WILL):
                pass


async def test_over_a_websocket(tmp_path: Path) -> None:
    """The same over ws://; a plain port there is Unreachable."""
    broker = Mosquitto(tmp_path)
    web = broker.add_websocket()
    async with broker:
        async with connect(settings(web, transport="websockets"), WILL) as connection:
            await connection.subscribe([Subscription("t/#")])
            await asyncio.gather(*(connection.publish(Message("t/a", str(n))) for n in range(50)))
            got = [(await connection.incoming.get()).payload for _ in range(50)]
        assert got == [str(number).encode() for number in range(50)]
        with pytest.raises(Unreachable):
            async with connect(settings(broker.port, transport="websockets", connect_timeout_s=1), WILL):
                pass


async def test_garbage_from_a_broker_ends_the_connection() -> None:
    """Bytes that are no MQTT cost the connection, not the process."""
    closed = asyncio.Event()

    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read(1)
            writer.write(b"\x20\x03\x00\x00\x00" + b"\x40\x02\x00\x63" + b"\xf7\xff\xff\xff\xff\x7f" * 10)
            await writer.drain()
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        closed.set()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        with pytest.raises(LinkError):
            async with connect(
                settings(server.sockets[0].getsockname()[1], protocol="5"), WILL
            ) as connection:
                raise await asyncio.wait_for(connection.lost, 5)
        await asyncio.wait_for(closed.wait(), 5)


def test_payloads_as_bytes() -> None:
    """JSON, text, or nothing."""
    assert [encode(Message("t", payload)) for payload in ({"a": None}, "ü", None)] == [
        b'{"a":null}',
        "ü".encode(),
        b"",
    ]
