"""Answers of a PBX that is broken or hostile: what a session, and what the whole bridge, makes of each."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import LinkError, ProtocolError, SessionLost, Unreachable
from bridge.sim.endpoint import INVALID_SESSION
from bridge.sim.faults import MIB, TABLE, Fault, Faults
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually
from tests.pbx.attempt import attempt
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

HTTP, FILE = "{http}", "{file}"
"""Places where somebody notes whoever comes; see `Lure`."""
STATE, INFO, USERS = "innovaphone/hq/state", "innovaphone/hq/info", "innovaphone/hq/user"
ANNA, BERT, CARLA = "Anna Müller", "Bert O'Neil", "Carla & Co"
REFUSED: list[tuple[Fault, type[LinkError], str]] = [
    (Fault("http"), ProtocolError, "is a web page"),
    (Fault("http", value=503), Unreachable, "answers HTTP 503"),
    (Fault("html"), ProtocolError, "is a web page"),
    (Fault("reset"), SessionLost, "broke"),
    (Fault("endless"), ProtocolError, "longer than 8 MiB"),
    (Fault("redirect", text=HTTP), ProtocolError, "answered with a redirect"),
    (Fault("gzip"), ProtocolError, "is compressed"),
    (Fault("fault"), SessionLost, "answered with a fault: e:Server trouble"),
    (Fault("unauthorised"), SessionLost, "rejected the credentials of"),
    (Fault("cut"), SessionLost, "broke"),
    (Fault("headers"), SessionLost, "broke"),
    (Fault("empty"), ProtocolError, "empty answer"),
    (Fault("elements", value=7 * MIB), ProtocolError, "more than 250000 elements"),
    (Fault("truncated"), ProtocolError, "is not XML"),
    (Fault("dtd"), ProtocolError, "carries a DTD"),
    (Fault("laughs"), ProtocolError, "carries a DTD"),
    (Fault("hidden_laughs"), ProtocolError, "is not XML"),
    (Fault("quadratic"), ProtocolError, "carries a DTD"),
    (Fault("xxe", text=HTTP), ProtocolError, "carries a DTD"),
    (Fault("xxe", text=FILE), ProtocolError, "carries a DTD"),
    (Fault("external_dtd", text=HTTP), ProtocolError, "carries a DTD"),
    (Fault("external_dtd", text=FILE), ProtocolError, "carries a DTD"),
    (Fault("deep"), ProtocolError, "is not XML"),
    (Fault("deep", value=300), ProtocolError, "is not XML"),
    (Fault("big"), ProtocolError, "longer than 8 MiB"),
    (Fault("elements"), ProtocolError, "longer than 8 MiB"),
    (Fault("bad_utf8", value=9 * MIB), ProtocolError, "longer than 8 MiB"),
    (Fault("nul", value=9 * MIB), ProtocolError, "longer than 8 MiB"),
]
READ = [
    Fault("slow", value=0.1),
    Fault("headers", value=100),
    Fault("deep", value=100),
    Fault("big", value=7 * MIB),
    Fault("elements", value=MIB // 8),
    Fault("bad_utf8"),
    Fault("bad_utf8", value=MIB),
    Fault("nul", value=7 * MIB),
    Fault("unknown_type", text=HTTP),
]
"""What is odd, or only a little of what is refused: an answer that can be read is read."""
BROKEN = {"reset", "cut", "headers", "unauthorised"}
"""Kinds that say nothing about the one request: the connection is lost, or nobody is let in."""
LATE = [Fault("hang"), Fault("slow", value=60), Fault("drip", value=0.01)]
ONE_OF_EACH = {fault.kind: fault for fault, _, _ in REFUSED if fault.kind != "unauthorised"}
"""A 401 alone costs nothing: it is answered with the new nonce."""
QUICKLY_S, SHORT_S = PATIENCE_S / 10, 0.3
LONGEST_REASON, MOST_MEMORY = 200, 64 * MIB


def named(fault: Fault) -> str:
    """The name of a fault in the name of a test."""
    return "-".join(str(part) for part in (fault.kind, fault.text.strip("{}"), int(fault.value)) if part)


class Lure:
    """Two places that nobody should look for: a server, and a named pipe."""

    def __init__(self, folder: Path) -> None:
        self.visits = 0
        self._port = 0
        self._pipe = folder / "pipe"
        self._last = threading.Event()

    def bait(self, fault: Fault) -> Fault:
        """The fault with real addresses."""
        http, file = f"http://127.0.0.1:{self._port}/hostile", self._pipe.as_uri()
        return replace(fault, text=fault.text.format(http=http, file=file))

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Lure"]:
        """Note who comes, until we come ourselves: we must be the first, to either place."""
        async with await asyncio.start_server(self._came, "127.0.0.1") as server:
            self._port = server.sockets[0].getsockname()[1]
            with self._piped():
                yield self
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            await reader.read()
            writer.close()
            await writer.wait_closed()
        assert self.visits == 2

    async def _came(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()
        await writer.wait_closed()

    @contextmanager
    def _piped(self) -> Iterator[None]:
        os.mkfifo(self._pipe)
        watch = threading.Thread(target=self._watch)
        watch.start()
        try:
            yield
        finally:
            self._last.set()
            self._pipe.read_bytes()
            watch.join()

    def _watch(self) -> None:
        """Opening waits for a reader; who reads gets nothing."""
        while True:
            os.close(os.open(self._pipe, os.O_WRONLY))
            self.visits += 1
            if self._last.is_set():
                return


@pytest.fixture
async def lure(tmp_path: Path) -> AsyncIterator[Lure]:
    """Fails when somebody came."""
    async with Lure(tmp_path).laid() as laid:
        yield laid


def shown(bus: Observer, name: str) -> dict[str, tuple[str, str]]:
    """Display name and activity of each user of a PBX on the bus."""
    mine = [topic for topic in list(bus.tree) if topic.startswith(f"innovaphone/{name}/user/")]
    states = [bus.now(topic) for topic in mine if topic.endswith("/state")]
    return {
        state["name"]: (state["display_name"], state["presence"]["activity"]) for state in states if state
    }


def true_of(pbx: SimPbx) -> dict[str, tuple[str, str]]:
    """The same as the PBX has it."""
    users = pbx.exchange.users.values()
    return {user.cn: (user.dn, user.presence[0].activity if user.presence else "available") for user in users}


async def right(bus: Observer, pbx: SimPbx, name: str = "hq") -> None:
    """The bus shows the truth, and the running calls are known."""
    state, info = f"innovaphone/{name}/state", f"innovaphone/{name}/info"
    await eventually(lambda: shown(bus, name) == true_of(pbx), f"all users of {name} are right")
    await eventually(lambda: (bus.now(info) or {}).get("settled"), f"the calls of {name} are known")
    await eventually(lambda: bus.now(state) == "online", f"{name} is online")


def change_much(pbx: SimPbx) -> None:
    """Changes of each sort, that are lost with a reply and must come with the next list."""
    pbx.set_presence(ANNA, "away")
    pbx.change_user(BERT, dn="Bertram")
    pbx.remove_user(CARLA)


def test_all_faults_are_tried() -> None:
    """A new kind needs an expectation."""
    assert {fault.kind for fault in [*(row[0] for row in REFUSED), *READ, *LATE]} == set(TABLE)
    with pytest.raises(ValueError, match="no fault of the kind 'odd'"):
        Faults().add(Fault("odd"))


@pytest.mark.parametrize("operation", ["Poll", "Initialize"])
@pytest.mark.parametrize(("fault", "kind", "words"), REFUSED, ids=[named(row[0]) for row in REFUSED])
async def test_what_is_refused(
    pbx: SimPbx, lure: Lure, fault: Fault, kind: type[LinkError], words: str, operation: str
) -> None:
    """At once, in one line that holds nothing of the answer, and nothing is fetched for it."""
    again = 2 if fault.kind == "unauthorised" and operation == "Initialize" else 1
    pbx.faults.add(replace(lure.bait(fault), operation=operation, times=again))
    ending = await attempt(pbx.soap_url, within_s=PATIENCE_S)

    assert pbx.faults.pending == 0
    assert words in ending.error.reason
    assert isinstance(ending.error, kind) or operation == "Initialize"
    assert ending.cpu_s < QUICKLY_S
    assert ending.seconds < PATIENCE_S
    assert ending.error.reason.isprintable()
    assert len(ending.error.reason) < LONGEST_REASON
    assert "hostile" not in ending.error.reason


@pytest.mark.parametrize(
    "fault",
    [
        *(fault for fault, _, _ in REFUSED if fault.kind not in BROKEN),
        *(Fault("http", value=status) for status in (400, 403, 404, 405, 501)),
    ],
    ids=named,
)
async def test_the_version_is_not_needed(pbx: SimPbx, lure: Lure, fault: Fault) -> None:
    """Whatever is answered in its place, the session goes on with an unknown firmware."""
    pbx.faults.add(replace(lure.bait(fault), operation="Version"))
    ending = await attempt(pbx.soap_url, within_s=PATIENCE_S)

    assert pbx.faults.pending == 0
    assert ending.error.reason == "a new session was asked for"
    assert set(ending.names) == set(true_of(pbx))
    assert ending.firmware == ""


@pytest.mark.parametrize("operation", ["Poll", "Version"])
@pytest.mark.parametrize("fault", READ, ids=named)
async def test_what_is_read_all_the_same(pbx: SimPbx, lure: Lure, fault: Fault, operation: str) -> None:
    """As if nothing were odd about it, and nothing is fetched for it."""
    pbx.faults.add(replace(lure.bait(fault), operation=operation))
    ending = await attempt(pbx.soap_url, within_s=PATIENCE_S)

    assert pbx.faults.pending == 0
    assert ending.error.reason == "a new session was asked for"
    assert set(ending.names) == set(true_of(pbx))
    assert ending.cpu_s < QUICKLY_S
    assert ending.seconds < PATIENCE_S


@pytest.mark.parametrize("operation", ["Poll", "Version"])
@pytest.mark.parametrize("fault", LATE, ids=named)
async def test_what_comes_too_late(pbx: SimPbx, fault: Fault, operation: str) -> None:
    """The deadline is for the whole answer, however busily it drips."""
    pbx.faults.add(replace(fault, operation=operation))
    ending = await attempt(pbx.soap_url, within_s=SHORT_S)

    assert isinstance(ending.error, Unreachable)
    assert f"did not answer within {SHORT_S:g} s" in ending.error.reason
    assert SHORT_S <= ending.seconds < PATIENCE_S
    assert ending.cpu_s < QUICKLY_S


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
async def test_memory_stays_small(pbx: SimPbx, lure: Lure) -> None:
    """All of them one after the other, in a process of its own: its peak, over that of a small answer."""
    faults = [Fault("fault"), *(fault for fault, _, _ in REFUSED), *READ]
    for fault in faults:
        pbx.faults.add(replace(lure.bait(fault), operation="Poll"))
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.pbx.attempt", pbx.soap_url, str(len(faults))),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await program.communicate()
    first, *peaks = json.loads(output)

    grown = [(named(fault), peak - first) for fault, peak in zip(faults[1:], peaks, strict=True)]
    assert pbx.faults.pending == 0
    assert [row for row in grown if row[1] > MOST_MEMORY] == []


async def recovers(bus: Observer, pbx: SimPbx, fault: Fault) -> None:
    """A Poll reply is spoiled; what was lost with it comes with the next list."""
    name = fault.kind
    await right(bus, pbx, name)
    pbx.faults.add(replace(fault, operation="Poll"))
    pbx.set_presence(ANNA, "busy")
    await eventually(lambda: pbx.faults.pending == 0, f"a Poll is answered with {name}")
    change_much(pbx)
    await eventually(lambda: len(pbx.requests("Initialize")) == 2, f"a new session is open after {name}")
    await right(bus, pbx, name)
    assert len(pbx.requests("Initialize")) == 2


@pytest.mark.slow
@pytest.mark.broker
async def test_each_refused_reply_costs_one_session(broker: Mosquitto, bus: Observer, lure: Lure) -> None:
    """One bridge, and for each kind of trouble one PBX that makes it: none disturbs another."""
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(SimPbx(STAFF, replace(FAST, path="/PBX0-box/user.soap")))
        pbxs = {
            kind: await stack.enter_async_context(
                SimPbx(STAFF, replace(FAST, path=f"/PBX0-{kind}/user.soap"), beside=box)
            )
            for kind in ONE_OF_EACH
        }
        sections = [
            pbx_section(pbx, name=name, resync_grace_s=0.05, end_grace_s=0.05) for name, pbx in pbxs.items()
        ]
        async with bridge(configuration(broker.port, *sections)):
            troubles = [recovers(bus, pbxs[kind], lure.bait(fault)) for kind, fault in ONE_OF_EACH.items()]
            await asyncio.gather(*troubles)


@pytest.mark.broker
@pytest.mark.parametrize("way", INVALID_SESSION)
async def test_a_session_that_died_silently(broker: Mosquitto, bus: Observer, pbx: SimPbx, way: str) -> None:
    """Noticed in whichever way the PBX answers for it, without asking again and again."""
    async with bridge(configuration(broker.port, pbx_section(pbx, resync_grace_s=0.05, end_grace_s=0.05))):
        await right(bus, pbx)
        pbx.invalid_session = way
        asked = len(pbx.requests("Poll"))
        pbx.kill_sessions()
        change_much(pbx)
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "a new session is open")
        opened = pbx.requests("Initialize")[1].at
        await right(bus, pbx)

        assert len([poll for poll in pbx.requests("Poll")[asked:] if poll.at < opened]) <= 2
        assert len(pbx.requests("Initialize")) == 2


@pytest.mark.broker
async def test_a_burst_of_401_is_survived(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Each refused Poll costs a session, not the link; each session asks twice, as a new nonce wants it."""
    async with bridge(configuration(broker.port, pbx_section(pbx, resync_grace_s=0.05, end_grace_s=0.05))):
        await right(bus, pbx)
        before = len(pbx.requests("Poll"))
        pbx.faults.add(Fault("unauthorised", "Poll", times=4))
        change_much(pbx)
        await eventually(lambda: pbx.faults.pending == 0, "the burst is over")
        burst = len(pbx.requests("Poll")) - before
        await eventually(lambda: len(pbx.requests("Initialize")) == 4, "a fourth session is open")
        await right(bus, pbx)

        assert burst <= 4 + 1
        _, first, second, third = (request.at for request in pbx.requests("Initialize"))
        assert second - first >= 0.5
        assert third - second >= 1.0


@pytest.mark.broker
async def test_401_for_ever_is_for_a_human(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """After one attempt to log in again: rejected, with the reason."""
    async with bridge(configuration(broker.port, pbx_section(pbx, resync_grace_s=0.05, end_grace_s=0.05))):
        await right(bus, pbx)
        asked = len(pbx.log)
        pbx.faults.add(Fault("unauthorised", times=1_000_000))
        change_much(pbx)
        await eventually(lambda: bus.now(INFO)["link"] == "rejected", "the link is rejected")

        assert bus.now(INFO)["reason"] == "the PBX 'hq' rejects the bridge"
        assert bus.now(STATE) == "offline"
        assert [request.operation for request in pbx.log[asked:]].count("Version") == 1


def told(bus: Observer, number: str) -> list[str]:
    """What was told of Anna's call with a number, but for details that changed."""
    return [
        event["event_type"]
        for event in bus.events("anna")
        if event["call"]["remote"]["number"] == number and event["event_type"] != "updated"
    ]


@pytest.mark.broker
@pytest.mark.parametrize("last", ["ringing", "answered", "held"])
async def test_a_handle_is_used_again(broker: Mosquitto, bus: Observer, pbx: SimPbx, last: str) -> None:
    """The end of the old call was never told: it gets its one terminal event, and the new one is told."""
    async with bridge(configuration(broker.port, pbx_section(pbx, resync_grace_s=0.05, end_grace_s=0.05))):
        await right(bus, pbx)
        old = pbx.ring(ANNA, "0123")
        if last != "ringing":
            old.answer()
        if last == "held":
            old.hold(ANNA)
        await eventually(lambda: last in told(bus, "0123"), f"the old call is {last}")
        handle = old.legs[0].number
        pbx.lose(old)
        new = pbx.ring(ANNA, "0999")
        assert new.legs[0].number == handle
        new.answer()
        new.hang_up()
        await eventually(lambda: "ended" in told(bus, "0999"), "the new call is over")

        ends = [kind for kind in told(bus, "0123") if kind in {"ended", "missed"}]
        assert ends == told(bus, "0123")[-1:]
        assert told(bus, "0999") == ["incoming", "ringing", "answered", "ended"]
        await eventually(lambda: bus.now(f"{USERS}/anna/state")["calls"] == [], "no call is left")
