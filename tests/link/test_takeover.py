"""Two bridges for one PBX, and strangers on our state topic: nobody fights, and what is told is true."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import pytest
import structlog
from structlog.typing import EventDict

from bridge.core.message import Incoming, Message, Subscription
from bridge.core.proof import NONCE_BYTES, key_of, question
from bridge.core.takeover import WINDOW_S, Takeover
from bridge.core.topics import Topics
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.probe import ANSWERED_AT_MOST, BridgeProbe, ProbeResult
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually, free_port
from tests.running import Program, bridge, configuration, pbx_section, stands_back

pytestmark = pytest.mark.broker
KNOWN = {"username": "bridge", "password": "x"}
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"


def connections(log: str) -> int:
    """How often a bridge was up at the broker."""
    return log.count('"event": "mqtt up"')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "more"), [("5", KNOWN), ("5", {}), ("3.1.1", KNOWN)], ids=["5", "5 anonymous", "3.1.1"]
)
async def test_two_bridges_do_not_fight(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, protocol: str, more: dict[str, str]
) -> None:
    """One of them stands back and says so in one error line; the other serves, and says online.

    With 3.1.1, and from an older Mosquitto, a bridge does not hear who took its session; it asks the bus.
    """
    programs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"] |= {"protocol": protocol, **more}
        programs.append(Program(folder, settings))
        await programs[-1].start()
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), f"bridge {name} is settled")
    await eventually(lambda: any(map(stands_back, programs)), "one stands back", within=2 * PATIENCE_S)
    await eventually(lambda: bus.now(STATE) == "online", "the winner says that it is online")
    bus.publish("innovaphone/hq/command/call", {"id": "once", "user": "anna", "number": "1"})
    await eventually(lambda: bus.replies("call"), "the command got its reply")
    for program in programs:
        await program.end(signal.SIGTERM)

    assert len(pbx.requests("UserCall")) == 1
    assert sum(map(stands_back, programs)) == 1
    assert sum(connections(program.log) for program in programs) <= 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_who_stood_back_takes_over_at_once(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, number: signal.Signals
) -> None:
    """When the other bridge ends, in order or not; it tells nothing again that the other one has told."""
    programs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"] |= KNOWN
        programs.append(Program(folder, settings))
        await programs[-1].start()
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), f"bridge {name} is settled")
    await eventually(lambda: any(map(stands_back, programs)), "one stands back", within=2 * PATIENCE_S)
    await eventually(lambda: bus.now(STATE) == "online", "the winner says that it is online")
    loser, winner = sorted(programs, key=stands_back, reverse=True)
    called = pbx.ring("Anna Müller", "0123")
    await eventually(lambda: "ringing" in bus.types("anna"), "the call is told")
    called.hang_up()
    await eventually(lambda: "missed" in bus.types("anna"), "its end is told")
    heard = loser.log.count("another bridge serves")
    await eventually(
        lambda: asks(bus) >= ASKS_AGAIN, "the loser asks again", within=60, moves=lambda: asks(bus)
    )
    assert loser.log.count("another bridge serves") == heard, "one line is enough"

    mark = bus.count
    assert winner.process is not None
    winner.process.send_signal(number)
    await winner.process.wait()
    await eventually(lambda: bus.now(STATE) == "online", "the other one serves")
    pbx.ring("Bert O'Neil", "0124")
    await eventually(lambda: "ringing" in bus.types("bert"), "it tells new calls")
    assert [seen.topic for seen in bus.since(mark) if seen.topic.endswith("anna/event")] == []
    await loser.end(signal.SIGTERM)


ASKS_AGAIN = 6
"""Two questions for each probe: the first one, the one after the pause of five seconds, and one more."""


def asks(bus: Observer) -> int:
    """How often a bridge has asked whether another one is there."""
    return sum(seen.topic == "innovaphone/hq/command/ping" for seen in bus.messages)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_an_impostor_does_not_keep_the_bridge_away(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """It takes the client id and answers each ping with all that it ever heard on the bus."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"] |= {"protocol": protocol, **KNOWN}
    with structlog.testing.capture_logs() as log:
        async with Impostor(broker.port) as impostor, bridge(settings):
            for taken in range(3):
                await eventually(lambda: bus.now(STATE) == "online", "it is online", within=2 * PATIENCE_S)
                await eventually(partial(is_up_again, log, taken), "it hears itself")
                await impostor.take_over()
                await eventually(lambda: bus.now(STATE) == "offline", "it is thrown out")
            await eventually(lambda: ups(log) == 4, "it is back", within=2 * PATIENCE_S)
            assert impostor.asked, "it was asked"
    assert [each["event"] for each in log].count("probe answered without proof") == 1
    assert not [each for each in log if each["log_level"] == "error"]


async def test_a_listener_where_nobody_takes_the_client_id(tmp_path: Path, pbx: SimPbx) -> None:
    """As the README says for Mosquitto: `use_username_as_clientid` where all but the bridge connect."""
    port = free_port()
    people = f"listener {port} 127.0.0.1", "use_username_as_clientid true"
    async with Mosquitto(tmp_path, *people) as broker, Observer(broker.port) as bus:
        with structlog.testing.capture_logs() as log:
            async with bridge(configuration(broker.port, pbx_section(pbx))):
                await eventually(lambda: bus.now(STATE) == "online", "it is online")
                stranger = BrokerSettings("127.0.0.1", port, "innovaphone-mqtt-hq", username="stranger")
                async with connect(stranger, Message("t/will", None)) as connection:
                    await connection.publish(Message("innovaphone/hq/command/ping", {"id": "p"}))
                    await eventually(lambda: bus.replies("ping"), "the bridge is there")
                assert bus.now(STATE) == "online"
    assert ups(log) == 1


async def test_a_broker_that_ties_us_to_one_client_id_and_says_nothing(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """It closes the connection of any other id without a reason: no look for a second bridge is possible.

    Whoever takes the client id must not keep the bridge away for good there either.
    """
    async with only_for("innovaphone-mqtt-hq", broker.port) as (port, turned_away):
        settings = configuration(port, pbx_section(pbx))
        settings["mqtt"] |= {"protocol": "5", **KNOWN}
        with structlog.testing.capture_logs() as log:
            async with Impostor(broker.port) as impostor, bridge(settings):
                for taken in range(2):
                    await eventually(
                        partial(is_up_again, log, taken), "it hears itself", within=2 * PATIENCE_S
                    )
                    await impostor.take_over()
                    await eventually(lambda: bus.now(STATE) == "offline", "it is thrown out")
                await eventually(lambda: ups(log) == 3, "it is back", within=2 * PATIENCE_S)
                assert turned_away


@asynccontextmanager
async def only_for(client_id: str, port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A way to a broker that is closed at the CONNECT of any other client id; those that were turned away."""
    turned_away = list[bytes]()
    ways = set[asyncio.Task[None]]()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways.add(asyncio.current_task())  # type: ignore[arg-type]  # it runs in one
        first = await reader.read(65_536)
        if len(client_id).to_bytes(2, "big") + client_id.encode() not in first:
            turned_away.append(first)
            writer.close()
            return
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        back_writer.write(first)
        await asyncio.gather(pass_on(reader, back_writer), pass_on(back_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], turned_away
    finally:
        server.close()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def test_only_a_bridge_with_the_same_password_counts(broker: Mosquitto) -> None:
    """It answers one that asks; not one with other passwords, nor the same question twice."""
    ours, same, other = (BridgeProbe("id", password) for password in ("a", "a", "b"))
    topics = Topics("innovaphone", "hq")
    settings = BrokerSettings("127.0.0.1", broker.port, "id")
    assert await ours.find(settings, topics) is ProbeResult.NOBODY
    for asked_one, found in ((same, ProbeResult.BRIDGE), (other, ProbeResult.NOBODY)):
        async with answering(asked_one, settings, topics) as questions:
            assert await ours.find(settings, topics) is found
            assert len(questions) <= 2
    asked = Incoming("innovaphone/hq/command/ping", questions[-1].payload)
    sent: list[Message] = []
    assert [ours.answer(asked, topics, sent.append) for _ in range(3)] == [True] * 3
    assert not sent, "it was its own question, which another broker has brought back"
    another = BridgeProbe("id", "a")
    another._key = ours._key
    assert [another.answer(asked, topics, sent.append) for _ in range(3)] == [True, False, False]
    for changed in (
        replace(asked, retain=True),
        replace(asked, topic="innovaphone/hq/command/call"),
        replace(asked, payload=b"{"),
        replace(asked, payload=b"[1]"),
        replace(asked, payload=b'{"id": 1}'),
        replace(asked, payload=asked.payload[:-4] + b'00"}'),
    ):
        assert not another.answer(changed, topics, sent.append)
    assert len(sent) == 1


async def test_without_a_password_there_is_no_proof(broker: Mosquitto) -> None:
    """Whoever answers may be a bridge, or not."""
    topics, settings = Topics("innovaphone", "hq"), BrokerSettings("127.0.0.1", broker.port, "id")
    ours, same = BridgeProbe("id", ""), BridgeProbe("id", "")
    assert await ours.find(settings, topics) is ProbeResult.NOBODY
    async with answering(same, settings, topics):
        assert await ours.find(settings, topics) is ProbeResult.ANYBODY


def test_two_bridges_without_a_password_take_turns() -> None:
    """An answer without proof keeps us away for ten minutes, then not for ten."""
    takeover = Takeover()
    asked = [takeover.may_stand_back(60.0 * minute) for minute in range(5, 45)]
    assert asked == ([True] * 10 + [False] * 10) * 2


def test_memory_of_questions_is_bounded() -> None:
    """A bridge that asks for ever costs nothing more than the last hundred."""
    probe = BridgeProbe("id", "a")
    probe._key = key = key_of("a", "id")
    topics, sent = Topics("innovaphone", "hq"), list[Message]()
    for number in range(ANSWERED_AT_MOST + 50):
        asked = json.dumps({"id": question(key, number.to_bytes(NONCE_BYTES, "big"))}).encode()
        assert probe.answer(Incoming("innovaphone/hq/command/ping", asked), topics, sent.append)
    assert len(probe._answered) == ANSWERED_AT_MOST


@asynccontextmanager
async def answering(
    other: BridgeProbe, settings: BrokerSettings, topics: Topics
) -> AsyncIterator[list[Incoming]]:
    """Another bridge as far as questions go; those that it heard."""
    questions, sent = list[Incoming](), list[Message]()

    async def serve(connection: Connection) -> None:
        while True:
            questions.append(await connection.incoming.get())
            other.answer(questions[-1], topics, sent.append)
            while sent:
                connection.publish(sent.pop())

    async with connect(settings.with_client_id("other"), Message("t/will", None)) as connection:
        await connection.subscribe([Subscription(f"{topics.root}/command/ping")])
        serving = asyncio.create_task(serve(connection))
        yield questions
        serving.cancel()


class Impostor:
    """Somebody on the broker who may do everything but knows no password."""

    def __init__(self, port: int) -> None:
        self._settings = BrokerSettings("127.0.0.1", port, "impostor")
        self.asked: list[str] = []

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._serving.cancel()
        await asyncio.gather(self._serving, return_exceptions=True)

    async def take_over(self) -> None:
        """Connect under the client id of the bridge, and leave."""
        mine = self._settings.with_client_id("innovaphone-mqtt-hq")
        async with connect(mine, Message(STATE, "offline", retain=True)) as connection:
            await connection.publish(Message(STATE, "offline", retain=True))

    async def _serve(self) -> None:
        topics = Topics("innovaphone", "hq")
        async with connect(self._settings, Message("t/will", None)) as connection:
            await connection.subscribe([Subscription(each) for each in topics.commands])
            while True:
                heard = json.loads((await connection.incoming.get()).payload)["id"]
                self.asked.append(heard)
                for proof in (None, heard, heard[-64:], *self.asked):
                    said = {"id": heard, "verb": "ping", "status": "ok", "proof": proof}
                    connection.publish(Message(topics.response("ping"), said))


def is_up_again(log: list[EventDict], before: int) -> bool:
    """Whether there were more sessions than that."""
    return ups(log) > before


def ups(log: list[EventDict]) -> int:
    """How often the bridge heard itself in a new session."""
    return sum(each["event"] == "mqtt up" for each in log)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_strangers_offline_is_put_right(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """While we are up nobody else's late will counts; `info` counts how often that happened."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"]["protocol"] = protocol
    async with bridge(settings):
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
        assert bus.now(INFO)["takeovers"] == 0
        bus.publish(STATE, "offline", retain=True)
        await eventually(lambda: bus.now(INFO)["takeovers"] == 1, "it was noticed")
        await eventually(lambda: bus.now(STATE) == "online", "the bridge put it right")
        bus.publish(STATE, "", retain=True)
        await eventually(lambda: bus.now(INFO)["takeovers"] == 2, "the clearing was noticed, too")
        await eventually(lambda: bus.now(STATE) == "online", "the bridge put it right again")


@pytest.mark.parametrize(
    ("ends", "suspected"),
    [
        ([(0.0, False)], False),
        ([(0.0, False), (WINDOW_S, False)], False),
        ([(0.0, False), (WINDOW_S - 1, False)], True),
        ([(0.0, True)], True),
        ([(0.0, True), (10 * WINDOW_S, False)], True),
    ],
)
def test_when_another_bridge_is_suspected(ends: list[tuple[float, bool]], *, suspected: bool) -> None:
    """At once when the broker says so; else at the second end within a minute; not after a look."""
    takeover = Takeover()
    for at_s, taken_over in ends:
        takeover.session_ended(at_s, taken_over=taken_over)
    assert takeover.suspected is suspected
    takeover.no_other_bridge()
    assert takeover.suspected is False
