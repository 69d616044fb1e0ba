"""Requests carried out: every one gets its reply, whatever the PBX side does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from bridge.core.backend import InTime
from bridge.core.commands.answer import Address
from bridge.core.commands.dedup import WAITING_PER_ID
from bridge.core.commands.dialling import DialRules
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.presence import SetPresence
from bridge.core.commands.verbs.resync import Resync
from bridge.core.journal import KeptCommand, MemoryJournal, Snapshot
from bridge.core.message import Incoming, Json, Message
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.records import Batch
from bridge.core.rules import Scope
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.core.value import evolve
from bridge.errors import CommandError, SessionLost, Unreachable
from bridge.link.commander import ANSWERED_PER_S, WAITING_AT_MOST, Commander
from bridge.link.mirror import Mirror
from bridge.link.performer import CommandSettings
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from tests.bus import eventually
from tests.core.builders import PEOPLE, leg, user
from tests.kit.pbx_session import FakePbxSession
from tests.kit.unpacked import unpacked

TOPICS = Topics("innovaphone", "hq")


class FailingPbx(FakePbxSession):
    """A PBX session that answers everything with one error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Fail."""
        raise self._error


REPLY = "innovaphone/reply/"


class HeldJournal(MemoryJournal):
    """A journal that keeps things when it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.let = asyncio.Event(), asyncio.Event()
        self.let.set()

    async def kept_now(self) -> None:
        """Wait for it."""
        self.asked.set()
        await self.let.wait()

    @property
    def commands(self) -> dict[str, object]:
        """The codes of what is kept, by id; "ok", None for no reply yet."""
        return {
            each.id: None if each.reply is None else each.reply.get("code", "ok")
            for each in self.kept().commands
        }


class Heard:
    """Hears of commands (CommandEvents): id and code of each reply, bugs, and requests without a reply."""

    def __init__(self) -> None:
        self.replies: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()
        self.without_reply = 0
        self.bugs: list[Exception] = []

    def replied(self, address: Address, code: str, reason: str, seconds: float) -> None:
        """Note id and code."""
        self.replies.put_nowait((address.id, code))

    def unanswered(self) -> None:
        """Count it."""
        self.without_reply += 1

    def crashed(self, bug: Exception) -> None:
        """Note it."""
        self.bugs.append(bug)


@dataclass(frozen=True, slots=True)
class Bench:
    """A commander, its PBX, the time, and the replies that were given."""

    commander: Commander
    mirror: Mirror
    box: "SlowPbx"
    now: list[Instant]
    heard: "Heard"
    journal: HeldJournal
    sessions: "list[SlowPbx]"
    worker: "asyncio.Task[None]"

    async def codes(self, count: int) -> list[str]:
        """The codes of the next replies."""
        return [(await asyncio.wait_for(self.heard.replies.get(), 5))[1] for _ in range(count)]

    def offer(self, verb: str, body: object, **more: Any) -> None:
        """Send a request to the verb's topic."""
        incoming = Incoming(f"innovaphone/hq/command/{verb}", json.dumps(body).encode(), **more)
        self.commander.offer(incoming)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        now = self.now[0]
        self.now[0] = Instant(now.unix_ms + round(seconds * 1000), now.monotonic_s + seconds)

    def sent(self) -> list[Message]:
        """The replies that were sent since the last time."""
        return [message for message in _all(self.mirror.outbox) if not message.retain]

    def ask(self, request_id: str, activity: str, seconds: float | None = None) -> None:
        """Ask for a presence, which may take so long."""
        request: dict[str, object] = {"id": request_id, "user": "anna", "activity": activity}
        if seconds is not None:
            until = datetime.fromtimestamp(self.now[0].unix_ms / 1000 + seconds, UTC)
            request["expires_at"] = until.isoformat()
        topic = "innovaphone/hq/command/presence"
        self.commander.offer(Incoming(topic, json.dumps(request).encode()))


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
    mirror = Mirror(TOPICS, Scope(), outbox, epoch="e", clock=clock)
    mirror.began(About())
    mirror.reported(Batch(users=PEOPLE, list_complete=True))
    heard, failing = Heard(), FailingPbx(error)
    commander = Commander(
        mirror,
        CommandSettings(),
        MemoryJournal(),
        session=lambda: failing,
        clock=clock,
        events=heard,
    )
    worker = asyncio.create_task(commander.run())
    for request_id in ("a", "b"):
        payload = json.dumps({"id": request_id, "user": "anna", "activity": "away"}).encode()
        commander.offer(Incoming("innovaphone/hq/command/presence", payload))
        await asyncio.wait_for(heard.replies.get(), 5)
    worker.cancel()

    replies = [message for message in _all(outbox) if message.topic.endswith("/response/presence")]
    payloads = [message.payload for message in replies]
    assert [payload["code"] for payload in payloads if isinstance(payload, dict)] == [code, code]
    assert len(heard.bugs) == 2 * bugs
    assert "oops" not in str(payloads)


def _all(outbox: Outbox) -> list[Message]:
    taken = []
    while (item := outbox.take(1.0)) is not None:
        outbox.done(item[0])
        taken.append(unpacked(item[1]))
    return taken


class SlowPbx(FailingPbx):
    """A PBX session that answers a presence when it is let to. `stands`: before it sends anything."""

    def __init__(self) -> None:
        super().__init__(SessionLost("not asked"))
        self.stands: Callable[[], None] = lambda: None
        self.done: list[str] = []
        self.let = asyncio.Event()

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Do it: at once what ends a call, what else there is when it is let to."""
        match action:
            case HangUp():
                done = f"clear {action.call.leg_handle}"
            case SetPresence():
                await self.let.wait()
                done = action.activity
            case Ping():
                await self.let.wait()
                done = "ping"
            case Resync():
                return {}
            case _:
                return await super().perform(action, command_id=command_id, in_time=in_time)
        self.stands()
        in_time()
        self.done.append(done)
        return {}


@pytest.fixture
async def slow() -> AsyncIterator[Bench]:
    """A commander at work, with a slow PBX and a clock that is set by hand."""
    now = [clock()]
    outbox, box, journal = Outbox(Limits()), SlowPbx(), HeldJournal()
    sessions = [box]
    mirror = Mirror(TOPICS, Scope(), outbox, epoch="e", clock=lambda: now[0])
    mirror.began(About())
    mirror.reported(Batch(users=PEOPLE, legs=(leg(),), list_complete=True))
    outbox.refresh([], 0.0)
    _all(outbox)
    heard = Heard()
    commander = Commander(
        mirror,
        CommandSettings(Permissions(dialling=DialRules(allow=("2?",))), per_minute=200),
        journal,
        session=lambda: sessions[-1],
        clock=lambda: now[0],
        events=heard,
    )
    worker = asyncio.create_task(commander.run())
    yield Bench(commander, mirror, box, now, heard, journal, sessions, worker)
    worker.cancel()


async def test_what_expires_while_it_waits_is_not_done(slow: Bench) -> None:
    """Its turn comes too late: refused as expired; a repetition gets the same, and nothing runs."""
    slow.ask("first", "away")
    slow.ask("late", "busy", seconds=5)
    slow.now[0] = evolve(slow.now[0], unix_ms=slow.now[0].unix_ms + 6000)
    slow.box.let.set()
    replies = [await asyncio.wait_for(slow.heard.replies.get(), 5) for _ in range(2)]
    slow.ask("late", "busy")
    replies.append(await asyncio.wait_for(slow.heard.replies.get(), 5))

    assert replies == [("first", "ok"), ("late", "expired"), ("late", "duplicate")]
    assert slow.box.done == ["away"]


async def test_a_request_is_given_up_when_its_time_is_over(slow: Bench) -> None:
    """It waits for something on its way to the PBX: nothing of it may happen afterwards."""
    slow.ask("short", "away", seconds=0.2)
    assert await asyncio.wait_for(slow.heard.replies.get(), 5) == ("short", "timeout")
    slow.box.let.set()
    slow.ask("next", "busy")
    assert await asyncio.wait_for(slow.heard.replies.get(), 5) == ("next", "ok")
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
    for number, record in enumerate((evolve(PEOPLE[1], number="0900"), evolve(PEOPLE[1], type="gw"))):
        slow.box.let.clear()
        slow.mirror.reported(Batch(users=PEOPLE))
        slow.ask(f"first {number}", "away")
        payload = json.dumps({"id": f"call {number}", **call}).encode()
        slow.commander.offer(Incoming("innovaphone/hq/command/call", payload))
        slow.mirror.reported(Batch(users=(record,)))
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
    slow.commander.restore(
        Snapshot(commands=(KeptCommand("earlier", "presence", slow.now[0].unix_ms, refused),))
    )
    slow.ask("earlier", "busy")
    assert await slow.codes(1) == ["ok"]
    assert slow.box.done == ["away", "busy"]


async def test_an_empty_retained_message_is_no_command(slow: Bench) -> None:
    """It deletes one: it gets no reply."""
    clear = Incoming("innovaphone/hq/user/anna/command/clear", b"")
    slow.commander.offer(replace(clear, retain=True))
    assert slow.heard.replies.empty()
    slow.commander.offer(clear)
    assert await slow.codes(1) == ["ok"]


async def test_a_reply_of_another_request_cannot_be_had(slow: Bench) -> None:
    """Neither by another verb nor by another address: whoever knows an id learns nothing by it."""
    slow.box.let.set()
    request = {"id": "c-1", "user": "anna", "activity": "away"}
    slow.offer("presence", request, response_topic=f"{REPLY}anna")
    assert await slow.codes(1) == ["ok"]
    slow.offer("ping", {"id": "c-1"}, response_topic=f"{REPLY}evil")
    slow.offer("presence", request, response_topic=f"{REPLY}evil")
    slow.offer("presence", {**request, "activity": "dnd"}, response_topic=f"{REPLY}anna")
    assert await slow.codes(3) == ["invalid"] * 3
    slow.offer("presence", request, response_topic=f"{REPLY}anna", correlation=b"again")
    assert await slow.codes(1) == ["duplicate"]

    replies = slow.sent()
    assert [message.topic for message in replies] == [
        f"{REPLY}{name}" for name in ("anna", "evil", "evil", "anna", "anna")
    ]
    payloads: list[Any] = [message.payload for message in replies]
    assert [payload.get("message", "")[:34] for payload in payloads] == [
        *("", *["this id belongs to another request"] * 3, "")
    ]
    assert payloads[4] == {**payloads[0], "duplicate": True}
    assert slow.box.done == ["away"]


async def test_an_id_that_somebody_else_took_does_not_look_like_success(slow: Bench) -> None:
    """Two clients that both count from 1: the second one hears that its request was not run."""
    slow.box.let.set()
    slow.offer("ping", {"id": "1"})
    assert await slow.codes(1) == ["ok"]
    slow.offer("presence", {"id": "1", "user": "anna", "activity": "away"})
    assert await slow.codes(1) == ["invalid"]
    assert slow.box.done == ["ping"]
    slow.wait(601)
    slow.offer("presence", {"id": "1", "user": "anna", "activity": "away"})
    assert await slow.codes(1) == ["ok"], "ten minutes later it is free"


@pytest.mark.slow
async def test_refusals_push_no_id_out(slow: Bench) -> None:
    """After thousands of requests that were refused, at once or after their turn, it still runs once."""
    slow.box.let.set()
    slow.ask("c-1", "away")
    assert await slow.codes(1) == ["ok"]
    for number in range(10_500):
        slow.offer("call", {"id": f"x-{number}", "user": "anna", "number": "*21#"})
        slow.offer("clear", {"id": f"y-{number}", "user": f"nobody {number % 7}"})
        slow.wait(0.05)
        await asyncio.sleep(0)
    slow.ask("c-1", "away")
    while (last := await asyncio.wait_for(slow.heard.replies.get(), 5))[0] != "c-1":
        pass
    assert last == ("c-1", "duplicate")
    assert slow.box.done == ["away"]


async def test_executed_commands_push_no_id_out(slow: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than can be remembered, as with high rates: the next one must wait, or one of them ran twice."""
    monkeypatch.setattr("bridge.core.commands.dedup.REMEMBERED_AT_MOST", 3)
    slow.box.let.set()
    for number in range(4):
        slow.ask(f"c-{number}", "away")
    slow.offer("clear", {"user": "anna"})
    assert sorted(await slow.codes(5)) == ["ok"] * 4 + ["rate_limited"]
    slow.ask("c-0", "away")
    assert await slow.codes(1) == ["duplicate"]
    slow.wait(600)
    slow.ask("c-3", "away")
    assert await slow.codes(1) == ["ok"]
    assert slow.box.done.count("away") == 4


async def test_a_flood_of_refusals_is_counted_not_answered(slow: Bench) -> None:
    """Twenty a second, and eight duplicates for each id that waits; what is let through gets its reply."""
    slow.box.let.set()
    slow.ask("c-1", "away")
    for _ in range(500):
        slow.offer("zzz", {"id": "z"})
        slow.ask("c-1", "away")
    slow.ask("c-2", "dnd")
    wanted = ["unknown_verb"] * ANSWERED_PER_S + ["ok"] + ["duplicate"] * WAITING_PER_ID + ["ok"]
    assert await slow.codes(len(wanted)) == wanted
    assert slow.heard.without_reply == 1000 - ANSWERED_PER_S - WAITING_PER_ID

    slow.heard.without_reply = 0
    slow.wait(1)
    for _ in range(500):
        slow.ask("c-1", "away")
    slow.offer("zzz", {"id": "z"})
    assert await slow.codes(ANSWERED_PER_S + 1) == ["duplicate"] * ANSWERED_PER_S + ["unknown_verb"]
    assert slow.heard.without_reply == 500 - ANSWERED_PER_S


@pytest.mark.alone
async def test_a_flood_of_large_payloads_is_not_read(slow: Bench) -> None:
    """Twenty are, for their id: a hundred a second took seconds. A retained one is deleted all the same."""
    large = b'{"id":"x","a":[' + b"[]," * 80_000 + b"[]]}"

    def offered(count: int) -> float:
        """The CPU time that so many take."""
        started_s = time.process_time()
        for _ in range(count):
            slow.commander.offer(Incoming("innovaphone/hq/command/ping", large))
        return time.process_time() - started_s

    read_s = offered(ANSWERED_PER_S)
    assert offered(500 - ANSWERED_PER_S) < read_s, "it was 24 times as long"
    slow.commander.offer(Incoming("innovaphone/hq/command/zzz", large, retain=True))
    assert [message.topic for message in _all(slow.mirror.outbox) if message.retain] == [
        "innovaphone/hq/command/zzz"
    ]
    assert await slow.codes(ANSWERED_PER_S) == ["malformed"] * ANSWERED_PER_S
    assert slow.heard.without_reply == 500 - ANSWERED_PER_S + 1


async def test_an_id_is_kept_before_the_pbx_is_asked(slow: Bench) -> None:
    """And with its reply afterwards. What was refused before is not kept: nothing was done."""
    slow.box.let.set()
    slow.journal.let.clear()
    slow.ask("c-1", "away")
    async with asyncio.timeout(5):
        await slow.journal.asked.wait()
    assert (slow.journal.commands, slow.box.done) == ({"c-1": None}, [])
    slow.journal.let.set()
    assert await slow.codes(1) == ["ok"]
    slow.offer("clear", {"id": "c-2", "user": "nobody"})
    slow.offer("call", {"id": "c-3", "user": "anna", "number": "*21#"})
    assert sorted(await slow.codes(2)) == ["number_not_allowed", "unknown_user"]
    assert slow.journal.commands == {"c-1": "ok"}
    mark = slow.journal.kept().commands[0].fingerprint

    slow.commander.restore(Snapshot(commands=(KeptCommand("c-4", "presence", 0, None, mark),)))
    slow.ask("c-4", "busy")
    assert await slow.codes(1) == ["invalid"], "another activity, ten minutes ago or not"


async def test_what_cannot_be_kept_in_time_is_not_done(slow: Bench) -> None:
    """A disk that hangs: nothing reaches the PBX, and the retry runs."""
    slow.box.let.set()
    slow.journal.let.clear()
    slow.ask("c-1", "away", seconds=0.2)
    assert await slow.codes(1) == ["timeout"]
    payload: Any = slow.sent()[-1].payload
    assert (payload["retryable"], payload["message"][:30]) == (True, "writing to the state directory")
    assert (slow.journal.commands, slow.box.done) == ({}, [])
    slow.journal.let.set()
    slow.ask("c-1", "away")
    assert await slow.codes(1) == ["ok"]


async def test_handles_of_a_session_that_ended_are_not_used(slow: Bench) -> None:
    """A new one is there when the id is kept: the leg may have another handle, or be another leg's."""
    slow.journal.let.clear()
    slow.offer("clear", {"id": "c-1", "user": "anna"})
    async with asyncio.timeout(5):
        await slow.journal.asked.wait()
    slow.sessions.append(SlowPbx())
    slow.journal.let.set()
    assert await slow.codes(1) == ["pbx_offline"]
    assert [each.done for each in slow.sessions] == [[], []]
    slow.offer("clear", {"id": "c-1", "user": "anna"})
    assert await slow.codes(1) == ["ok"]


async def test_ids_of_an_earlier_run(slow: Bench) -> None:
    """What was not answered may have been done. 0.1.0 kept the verb only: it matches nobody's own address."""
    now = slow.now[0].unix_ms
    reply = {"id": "old", "verb": "presence", "status": "ok"}
    kept = KeptCommand("old", "presence", now, reply), KeptCommand("dead", "presence", now, None)
    slow.commander.restore(Snapshot(commands=kept))
    slow.box.let.set()
    for request_id in ("old", "dead"):
        slow.ask(request_id, "away")
        slow.offer("ping", {"id": request_id})
        slow.offer("presence", {"id": request_id, "user": "anna"}, response_topic=f"{REPLY}evil")
        assert await slow.codes(3) == ["duplicate", "invalid", "invalid"]
    payloads: list[Any] = [message.payload for message in slow.sent()]
    assert payloads[0] == {**reply, "duplicate": True}
    assert (payloads[3]["code"], payloads[3]["duplicate"]) == ("timeout", True)
    assert slow.box.done == []


async def test_the_end_answers_what_was_let_through(slow: Bench) -> None:
    """At a reload too: of one it is not known, the others were not begun and may be tried again."""
    slow.ask("c-1", "away")
    slow.ask("c-1", "away")
    slow.ask("c-2", "away")
    slow.offer("ping", {"id": "c-3"})
    slow.offer("ping", {"id": "c-4"})
    await eventually(lambda: slow.journal.commands == {"c-1": None, "c-3": None}, "the PBX is asked")
    slow.worker.cancel()
    await asyncio.wait({slow.worker})
    slow.ask("c-5", "away")
    replies: dict[str, list[Any]] = {}
    for message in slow.sent():
        payload: Any = message.payload
        replies.setdefault(payload["id"], []).append((payload["code"], payload["retryable"]))
    unknown, not_done = ("timeout", False), ("pbx_offline", True)
    assert replies == {
        "c-1": [unknown] * 2,
        "c-2": [not_done],
        "c-3": [unknown],
        "c-4": [not_done],
        "c-5": [not_done],
    }
    assert slow.journal.commands == {"c-1": "timeout", "c-3": "timeout"}


async def test_what_ends_a_call_finds_room(slow: Bench) -> None:
    """A PBX that does not answer: sixty-four commands wait, then only those that end calls may wait."""
    for number in range(WAITING_AT_MOST + 1):
        who = ("anna", "bert", "trunk")[number % 3]
        slow.offer("presence", {"id": f"p-{number}", "user": who, "activity": "away"})
    await eventually(lambda: slow.heard.replies.qsize() == 1, "one is too many")
    assert slow.heard.replies.get_nowait() == (f"p-{WAITING_AT_MOST}", "rate_limited")
    slow.offer("clear", {"id": "mine", "user": "anna"})
    slow.box.let.set()
    told = [await asyncio.wait_for(slow.heard.replies.get(), 5) for _ in range(WAITING_AT_MOST + 1)]
    assert {code for _, code in told} == {"ok"}
    assert ("mine", "ok") in told


async def test_pings_that_hang_hold_up_no_clear(slow: Bench) -> None:
    """A client that pings, refused or not, and one that calls for anna: her call can be ended at once."""
    for number in range(200):
        slow.offer("ping", {"id": f"p-{number}"})
        slow.offer("call", {"id": f"q-{number}", "user": "anna", "number": "21"})
    while not slow.heard.replies.empty():
        slow.heard.replies.get_nowait()
    slow.offer("clear", {"id": "mine", "user": "anna"})
    while (last := await asyncio.wait_for(slow.heard.replies.get(), 5))[0] != "mine":
        pass
    assert last == ("mine", "ok")
    assert slow.box.done == ["clear 7"], "no ping was answered"


async def test_nobody_waits_for_all_commands_of_another_user(slow: Bench) -> None:
    """Thirty presences of bert wait for a slow PBX; then a call of anna is to be ended."""
    for _ in range(30):
        slow.offer("presence", {"user": "bert", "activity": "away"})
    slow.offer("clear", {"id": "mine", "user": "anna"})
    slow.box.let.set()
    assert await slow.codes(31) == ["ok"] * 31
    assert slow.box.done == ["away", "clear 7", *["away"] * 29]


@pytest.mark.parametrize("spelling", ["a/b", "a%2Fb", "A/b"])
async def test_a_user_has_one_allowance_however_it_is_written(slow: Bench, spelling: str) -> None:
    """Ten calls a minute of one user, on all topics and under all names."""
    record = user("g-s", "Slash", short_name="a/b", type="ep")
    slow.mirror.reported(Batch(users=(record,)))
    for number in range(10):
        slow.offer("call", {"id": f"a-{number}", "user": "a%2Fb" if number % 2 else "a/b", "number": "21"})
    slow.offer("call", {"id": "eleventh", "user": spelling, "number": "21"})
    while (last := await asyncio.wait_for(slow.heard.replies.get(), 5))[0] != "eleventh":
        pass
    assert last[1] == ("rate_limited" if spelling != "A/b" else "unknown_user")


async def test_a_second_resync_comes_too_early(slow: Bench) -> None:
    """It may be retried: half a minute later it runs under the same id."""
    for code, seconds in (("ok", 29.0), ("rate_limited", 1.0), ("ok", 0.0)):
        slow.offer("resync", {"id": f"r-{code}-{seconds}" if code == "ok" else "r"})
        assert await slow.codes(1) == [code]
        slow.wait(seconds)
    slow.wait(30)
    slow.offer("resync", {"id": "r"})
    assert await slow.codes(1) == ["ok"]


def test_the_line_of_a_command_says_who_and_why() -> None:
    """User and reason, in bounds; a command that was done has no reason."""
    observed = Observer("hq", Metrics(CollectorRegistry()), Bugs(lambda _: None)).commands
    with structlog.testing.capture_logs() as lines:
        observed.replied(Address("t", "call", "c-1", user="anna"), "unknown_user", "no user 'x' on hq", 0.1)
        observed.replied(Address("t", "z" * 5000), "unknown_verb", "y" * 5000, 0.1)
        observed.replied(Address("t", "ping"), "ok", "", 0.1)

    first, second, third = ({**line} for line in lines)
    assert first["user"] == "anna"
    assert (first["code"], first["reason"], first["id"]) == ("unknown_user", "no user 'x' on hq", "c-1")
    assert (second["verb"], len(second["reason"])) == ("unknown", 300)
    assert {"user", "reason", "id"} & third.keys() == set()
