"""Requests carried out: every one gets its reply, whatever the PBX side does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import structlog
from prometheus_client import CollectorRegistry

from bridge.bugs import Bugs
from bridge.commander import ECHOES_AT_MOST, Commander, CommandSettings
from bridge.core.commands import Address, Permissions
from bridge.core.dialling import DialRules
from bridge.core.draft import Scope
from bridge.core.journal import Kept, KeptCommand
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.reports import Batch
from bridge.core.topics import Topics
from bridge.core.verbs import PlaceCall, SetPresence
from bridge.errors import CommandError, SessionLost, Unreachable
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from bridge.ports import About, InTime, PbxEvents
from bridge.publisher import Publisher
from tests.core.builders import PEOPLE

TOPICS = Topics("innovaphone", "hq")


class FailingPbx:
    """A PBX session that answers everything with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def serve(self, events: PbxEvents) -> None:
        """Nothing to serve."""

    def want(self, guid: str, name: str, *, urgent: bool) -> None:
        """Nobody is followed."""

    def unwant(self, guid: str) -> None:
        """Nobody is followed."""

    async def call(self, wanted: PlaceCall, placed: Callable[[int], None], in_time: InTime) -> None:
        """Fail."""
        raise self._error

    async def clear(self, leg: int, cause: int, in_time: InTime) -> None:
        """Fail."""
        raise self._error

    async def set_presence(self, wanted: SetPresence, in_time: InTime) -> None:
        """Fail."""
        raise self._error

    async def ping(self) -> None:
        """Fail."""
        raise self._error

    def resync(self) -> None:
        """Nothing happens."""

    async def rest(self) -> None:
        """At once."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A commander, its PBX, the time, and the replies that were given."""

    commander: Commander
    publisher: Publisher
    box: "SlowPbx"
    now: list[Instant]
    told: asyncio.Queue[tuple[str | None, str]]

    async def codes(self, count: int) -> list[str]:
        """The codes of the next replies."""
        return [(await asyncio.wait_for(self.told.get(), 5))[1] for _ in range(count)]

    def ask(self, request_id: str, activity: str, seconds: float | None = None) -> None:
        """Ask for a presence, which may take so long."""
        request: dict[str, object] = {"id": request_id, "user": "anna", "activity": activity}
        if seconds is not None:
            until = datetime.fromtimestamp(self.now[0].unix_ms / 1000 + seconds, UTC)
            request["expires_at"] = until.isoformat()
        topic = "innovaphone/hq/command/presence"
        self.commander.offer(Incoming(topic, json.dumps(request).encode()), hears_itself=False)


def clock() -> Instant:
    """A clock that stands."""
    return Instant(1_795_000_000_000, 1.0)


@pytest.mark.parametrize(
    ("error", "code", "bugs"),
    [
        (CommandError("refused", "no"), "refused", 0),
        (Unreachable("slow"), "timeout", 0),
        (SessionLost("gone"), "pbx_error", 0),
        (ValueError("oops"), "pbx_error", 1),
        (KeyError("oops"), "pbx_error", 1),
    ],
)
async def test_an_error_becomes_one_reply_and_the_next_request_is_served(
    error: Exception, code: str, bugs: int
) -> None:
    """A bug too: it is logged, its words do not go onto the bus, and the worker lives on."""
    outbox = Outbox(Limits())
    publisher = Publisher(TOPICS, Scope(), outbox, epoch="e", clock=clock, wake=lambda: None)
    publisher.began(About())
    publisher.reported(Batch(users=PEOPLE, list_complete=True), {})
    crashed: list[Exception] = []
    answered = asyncio.Semaphore(0)
    commander = Commander(
        publisher,
        CommandSettings(),
        session=lambda: FailingPbx(error),
        clock=clock,
        told=lambda *_: answered.release(),
        crashed=crashed.append,
    )
    worker = asyncio.create_task(commander.run())
    for request_id in ("a", "b"):
        payload = json.dumps({"id": request_id, "user": "anna", "activity": "away"}).encode()
        commander.offer(Incoming("innovaphone/hq/command/presence", payload), hears_itself=False)
        async with asyncio.timeout(5):
            await answered.acquire()
    worker.cancel()

    replies = [message for message in _all(outbox) if message.topic.endswith("/response/presence")]
    payloads = [message.payload for message in replies]
    assert [payload["code"] for payload in payloads if isinstance(payload, dict)] == [code, code]
    assert len(crashed) == 2 * bugs
    assert "oops" not in str(payloads)


def _all(outbox: Outbox) -> list[Message]:
    taken = []
    while (item := outbox.take(1.0)) is not None:
        taken.append(item[1])
    return taken


class SlowPbx(FailingPbx):
    """A PBX session that answers a presence when it is let to. `stands`: before it sends anything."""

    def __init__(self) -> None:
        super().__init__(SessionLost("not asked"))
        self.stands: Callable[[], None] = lambda: None
        self.done: list[str] = []
        self.let = asyncio.Event()

    async def set_presence(self, wanted: SetPresence, in_time: InTime) -> None:
        """Wait, then do it."""
        await self.let.wait()
        self.stands()
        in_time()
        self.done.append(wanted.activity)


@pytest.fixture
async def slow() -> AsyncIterator[Bench]:
    """A commander at work, with a slow PBX and a clock that is set by hand."""
    now = [clock()]
    outbox, box = Outbox(Limits()), SlowPbx()
    publisher = Publisher(TOPICS, Scope(), outbox, epoch="e", clock=lambda: now[0], wake=lambda: None)
    publisher.began(About())
    publisher.reported(Batch(users=PEOPLE, list_complete=True), {})
    told: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()
    commander = Commander(
        publisher,
        CommandSettings(Permissions(dialling=DialRules(allow=("2?",)))),
        session=lambda: box,
        clock=lambda: now[0],
        told=lambda _address, request_id, code, _reason, _seconds: told.put_nowait((request_id, code)),
        crashed=lambda _: None,
    )
    worker = asyncio.create_task(commander.run())
    yield Bench(commander, publisher, box, now, told)
    worker.cancel()


async def test_what_expires_while_it_waits_is_not_done(slow: Bench) -> None:
    """Its turn comes too late: refused as expired; a repetition gets the same, and nothing runs."""
    slow.ask("first", "away")
    slow.ask("late", "busy", seconds=5)
    slow.now[0] = replace(slow.now[0], unix_ms=slow.now[0].unix_ms + 6000)
    slow.box.let.set()
    replies = [await asyncio.wait_for(slow.told.get(), 5) for _ in range(2)]
    slow.ask("late", "busy")
    replies.append(await asyncio.wait_for(slow.told.get(), 5))

    assert replies == [("first", "ok"), ("late", "expired"), ("late", "duplicate")]
    assert slow.box.done == ["away"]


async def test_a_request_is_given_up_when_its_time_is_over(slow: Bench) -> None:
    """It waits for something on its way to the PBX: nothing of it may happen afterwards."""
    slow.ask("short", "away", seconds=0.2)
    assert await asyncio.wait_for(slow.told.get(), 5) == ("short", "timeout")
    slow.box.let.set()
    slow.ask("next", "busy")
    assert await asyncio.wait_for(slow.told.get(), 5) == ("next", "ok")
    assert slow.box.done == ["busy"]


@pytest.mark.parametrize(("expires_s", "stood_s", "code"), [(5.0, 6, "expired"), (None, 11, "timeout")])
async def test_nothing_is_sent_late_by_a_process_that_stood_still(
    slow: Bench, expires_s: float | None, stood_s: int, code: str
) -> None:
    """It had looked at the clock, and was stopped before it sent: neither `expires_at` nor 10 s may pass."""

    def stands() -> None:
        now = slow.now[0]
        slow.now[0] = Instant(now.unix_ms + stood_s * 1000, now.monotonic_s + stood_s)

    slow.box.stands = stands
    slow.box.let.set()
    slow.ask("late", "away", seconds=expires_s)
    assert await slow.codes(1) == [code]
    assert slow.box.done == []


async def test_what_is_dialled_is_judged_again_when_its_turn_comes(slow: Bench) -> None:
    """The callee has a costly number by then, or is a trunk: nothing reaches the PBX."""
    call = {"user": "anna", "to_user": "bert"}
    for number, record in enumerate((replace(PEOPLE[1], number="0900"), replace(PEOPLE[1], type="gw"))):
        slow.box.let.clear()
        slow.publisher.reported(Batch(users=PEOPLE), {})
        slow.ask(f"first {number}", "away")
        payload = json.dumps({"id": f"call {number}", **call}).encode()
        slow.commander.offer(Incoming("innovaphone/hq/command/call", payload), hears_itself=False)
        slow.publisher.reported(Batch(users=(record,)), {})
        slow.box.let.set()
        assert await slow.codes(2) == ["ok", ("number_not_allowed", "not_permitted")[number]]


async def test_a_refusal_that_may_be_retried_is_not_kept(slow: Bench) -> None:
    """The retry runs under its id, also after a restart; then it is a duplicate as any other."""

    def stands() -> None:
        slow.now[0] = Instant(slow.now[0].unix_ms + 11_000, slow.now[0].monotonic_s + 11)
        slow.box.stands = lambda: None

    slow.box.stands = stands
    slow.box.let.set()
    for code in ("timeout", "ok", "duplicate"):
        slow.ask("again", "away")
        assert await slow.codes(1) == [code]
    refused = {"status": "error", "code": "pbx_offline", "retryable": True}
    slow.commander.restore(Kept(commands=(KeptCommand("earlier", "presence", slow.now[0].unix_ms, refused),)))
    slow.ask("earlier", "busy")
    assert await slow.codes(1) == ["ok"]
    assert slow.box.done == ["away", "busy"]


async def test_only_the_echo_of_a_clearing_is_passed_over(slow: Bench) -> None:
    """A 3.1.1 broker sends our clearing back as an empty payload: one, soon. Any other one is a command."""
    clear = Incoming("innovaphone/hq/user/anna/command/clear", b"")
    retained = replace(clear, payload=b"x", retain=True)

    slow.commander.offer(retained, hears_itself=True)
    slow.commander.offer(clear, hears_itself=True)
    slow.commander.offer(clear, hears_itself=True)
    assert await slow.codes(2) == ["retained", "unknown_call"], "the first was the echo"

    slow.commander.offer(retained, hears_itself=True)
    slow.now[0] = replace(slow.now[0], monotonic_s=slow.now[0].monotonic_s + 60)
    slow.commander.offer(clear, hears_itself=True)
    assert await slow.codes(2) == ["retained", "unknown_call"], "the echo never came"

    slow.commander.offer(retained, hears_itself=False)
    slow.commander.offer(clear, hears_itself=False)
    assert await slow.codes(2) == ["retained", "unknown_call"], "MQTT 5 brings no echo"
    slow.commander.offer(replace(clear, retain=True), hears_itself=True)
    assert slow.told.empty()


async def test_echoes_are_remembered_in_bounds(slow: Bench) -> None:
    """Thousands of retained topics: only the echoes of the latest are waited for."""
    topics = [f"innovaphone/hq/user/u{number}/command/clear" for number in range(ECHOES_AT_MOST + 1)]
    for topic in topics:
        slow.commander.offer(Incoming(topic, b"x", retain=True), hears_itself=True)
    assert set(await slow.codes(len(topics))) == {"retained"}
    for topic in (topics[0], topics[-1]):
        slow.commander.offer(Incoming(topic, b""), hears_itself=True)

    assert await slow.codes(1) == ["unknown_user"]
    assert slow.told.empty()


def test_the_line_of_a_command_says_who_and_why() -> None:
    """User and reason, in bounds; a command that was done has no reason."""
    observer = Observer("hq", Metrics(CollectorRegistry()), Bugs(lambda _: None))
    with structlog.testing.capture_logs() as lines:
        observer.log = structlog.get_logger(pbx="hq")
        observer.replied(Address("t", "call", user="anna"), "c-1", "unknown_user", "no user 'x' on hq", 0.1)
        observer.replied(Address("t", "z" * 5000), None, "unknown_verb", "y" * 5000, 0.1)
        observer.replied(Address("t", "ping"), None, "ok", "", 0.1)

    first, second, third = ({**line} for line in lines)
    assert first["user"] == "anna"
    assert (first["code"], first["reason"], first["id"]) == ("unknown_user", "no user 'x' on hq", "c-1")
    assert (second["verb"], len(second["reason"])) == ("unknown", 300)
    assert {"user", "reason", "id"} & third.keys() == set()
