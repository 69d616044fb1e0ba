"""Bystanders of a flood: an honest client, the office of another PBX, and what is measured of the process.

They note; figures.py judges. A machine that is busy delays everybody, which is no fault of the bridge: a
wait begins when a message of our own, sent at the same time, has come back from the broker; and what the
bridge's loop waited for a processor, and this loop, which plays the PBX, was late is taken off.
"""

import asyncio
import bisect
import contextlib
import http.client
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Observer, Seen, eventually
from tests.drills.bench import Bench
from tests.drills.checker import TERMINAL
from tests.running import Program

Span = tuple[float, float]
"""From when to when something was waited for, by time.monotonic()."""
ECHO, REPLY = "observer/echo", "innovaphone/reply/honest"
EVERY_S, CALL_S, RING_S = 1.0, 0.25, 0.2
LONGEST_S = 10.0
TICK_S = 0.02
SAMPLE_S, SETTLED_S, SETTLED_MIB, SETTLES_S = 0.2, 1.0, 0.1, 15.0
TICKS = os.sysconf("SC_CLK_TCK")


class Ear:
    """What an observer heard that concerns a bystander; each message is read once."""

    def __init__(self, bus: Observer) -> None:
        self._bus = bus
        self._read = 0
        self.begun: dict[tuple[str, str], Seen] = {}
        self.ended: Counter[tuple[str, str]] = Counter()
        self.seqs: dict[str, list[int]] = {}
        self.replies: dict[str, Seen] = {}
        self.echoes: dict[str, float] = {}
        self.states: list[str] = []

    def listen(self) -> None:
        """Read on."""
        fresh = self._bus.since(self._read)
        self._read += len(fresh)
        for seen in fresh:
            self._take(seen)

    def gaps(self, pbx: str) -> int:
        """How many events of a PBX are missing among those that came."""
        seqs = set(self.seqs.get(pbx, ()))
        return max(seqs, default=0) - len(seqs)

    def _take(self, seen: Seen) -> None:
        match seen.topic.split("/"):
            case ["innovaphone", pbx, "user", _, "event"]:
                self._event(pbx, seen)
            case ["innovaphone", pbx, "state"]:
                self.states.append(f"{pbx} {seen.payload.decode()}")
            case ["innovaphone", "reply", "honest"]:
                self.replies.setdefault(str(seen.json["id"]), seen)
            case ["observer", "echo", name]:
                self.echoes[name] = seen.at

    def _event(self, pbx: str, seen: Seen) -> None:
        event = seen.json
        self.seqs.setdefault(pbx, []).append(event["seq"])
        if event["call"] is not None:
            key = pbx, event["call"]["remote"]["number"]
            self.begun.setdefault(key, seen)
            self.ended[key] += event["event_type"] in TERMINAL


class Machine:
    """How much time the machine took from the bridge's main thread and from us, as it goes on.

    `schedstat`: the kernel's file of that thread. Where it has none, nothing is taken off for the bridge.
    """

    def __init__(self, schedstat: Path) -> None:
        self._file = schedstat
        self._late_s = self._delayed_s = 0.0
        self._times: list[float] = []
        self._taken: list[float] = []

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        due = time.monotonic()
        while True:
            now = time.monotonic()
            self._late_s += now - due
            with contextlib.suppress(OSError, IndexError):
                self._delayed_s = int(self._file.read_text(encoding="ascii").split()[1]) / 1e9
            self.note(now, self._late_s + self._delayed_s)
            due = now + TICK_S
            await asyncio.sleep(TICK_S)

    def note(self, at: float, taken_s: float) -> None:
        """So much was taken up to this moment."""
        self._times.append(at)
        self._taken.append(taken_s)

    @property
    def share(self) -> float:
        """How much of all time was taken; more than 1 where both of us waited."""
        return (self._taken[-1] - self._taken[0]) / max(TICK_S, self._times[-1] - self._times[0])

    def wait_s(self, span: Span) -> float:
        """How long a wait was, without what the machine took meanwhile."""
        first = max(0, bisect.bisect_right(self._times, span[0]) - 1)
        last = min(bisect.bisect_left(self._times, span[1]), len(self._times) - 1)
        return max(0.0, span[1] - span[0] - (self._taken[last] - self._taken[first]))


@dataclass(slots=True)
class Honest:
    """A client that hangs up a call every second, and sends one old request again now and then.

    `waits`: for the answers.
    """

    bus: Observer
    pbx: SimPbx
    ear: Ear
    waits: list[Span] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled."""
        self.repeat()
        for number in itertools.count(1):
            await asyncio.gather(self._hang_up(number), asyncio.sleep(EVERY_S))
            self.repeat()

    def repeat(self) -> None:
        """The request that was the first one: it must not run again, however many ids came in between."""
        request = {"id": "honest-call", "user": "p7", "number": "8000000"}
        self.bus.send("innovaphone/hq/command/call", request, response=REPLY)

    async def _hang_up(self, number: int) -> None:
        caller, name = f"06{number:06}", f"honest-{number}"
        call = self.pbx.ring(f"Person {4 + number % 3}", caller)
        key, start = ("hq", caller), time.monotonic()
        if await self._heard(lambda: key in self.ear.begun):
            request = {"id": name, "call": self.ear.begun[key].json["call"]["id"]}
            self.bus.send("innovaphone/hq/command/clear", request, response=REPLY)
            self.bus.send(f"{ECHO}/{name}", {})
            await self._heard(lambda: name in self.ear.replies and name in self.ear.echoes)
        self._note(name, start)
        if call.legs:
            call.hang_up()

    def _note(self, name: str, start: float) -> None:
        reply = self.ear.replies.get(name)
        if reply is None:
            self.waits.append((start, time.monotonic()))
            return
        self.waits.append((self.ear.echoes.get(name, reply.at), reply.at))
        if reply.json["status"] != "ok":
            self.refused.append(f"{name}: {reply.json['code']}")

    async def _heard(self, true: Callable[[], bool]) -> bool:
        def listened() -> bool:
            self.ear.listen()
            return true()

        try:
            await eventually(listened, "heard", within=LONGEST_S)
        except pytest.fail.Exception:
            return False
        return True


@dataclass(slots=True)
class Office:
    """The people of another PBX of the same process; they telephone."""

    bus: Observer
    pbx: SimPbx
    ear: Ear
    numbers: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled."""
        for number in itertools.count(1):
            caller = f"04{number:06}"
            self.numbers.append(caller)
            call = self.pbx.ring(f"Person {number % 8}", caller)
            self.bus.send(f"{ECHO}/{caller}", {})
            try:
                await asyncio.sleep(RING_S)
            finally:
                call.hang_up()
            await asyncio.sleep(CALL_S - RING_S)

    async def finished(self) -> None:
        """Wait until the bus tells the end of the last call, and no longer than it may take."""

        def told() -> bool:
            self.ear.listen()
            return bool(self.ear.ended["branch", self.numbers[-1]])

        with contextlib.suppress(pytest.fail.Exception):
            await eventually(told, "the last call is over", within=LONGEST_S)

    @property
    def lost(self) -> list[str]:
        """Calls that were not told from the beginning to one end."""
        return [number for number in self.numbers if self.ear.ended["branch", number] != 1]

    @property
    def waits(self) -> list[Span]:
        """From each ring to its first event."""
        begun, echoes = self.ear.begun, self.ear.echoes
        return [
            (echoes[number], begun["branch", number].at)
            for number in self.numbers
            if ("branch", number) in begun and number in echoes
        ]


@dataclass(slots=True)
class Probe:
    """Asks for the health of the process, as a supervisor does that kills what does not answer."""

    port: int
    waits: list[Span] = field(default_factory=list)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            waited, _ = await asyncio.gather(asyncio.to_thread(self._ask), asyncio.sleep(EVERY_S))
            self.waits.append(waited)

    def _ask(self) -> Span:
        """A good answer; anything else is as bad as none."""
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_S)
        try:
            connection.request("GET", "/healthz")
            good = connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            good = False
        finally:
            connection.close()
        return start, time.monotonic() if good else start + LONGEST_S


@dataclass(frozen=True, slots=True)
class Reading:
    """What the process has used up to now."""

    cpu_s: float
    lines: int
    mib: float


class Meter:
    """Reads the bridge's process from outside."""

    def __init__(self, made: Bench) -> None:
        self._made = made
        self.samples: list[float] = []

    def read(self) -> Reading:
        """Now."""
        return Reading(cpu_s(self._made.program), self._made.program.log.count("\n"), self._made.memory())

    async def sample(self) -> None:
        """Look at the memory often, until cancelled."""
        while True:
            self.samples.append(self._made.memory())
            await asyncio.sleep(SAMPLE_S)

    async def settled(self) -> Reading:
        """The memory when it has come to rest: it has not shrunk for a second. Nothing is done to help it."""
        end, least, since = time.monotonic() + SETTLES_S, self._made.memory(), time.monotonic()
        while time.monotonic() < min(end, since + SETTLED_S):
            await asyncio.sleep(SAMPLE_S)
            if (now := self._made.memory()) < least - SETTLED_MIB:
                least, since = now, time.monotonic()
        return self.read()


def cpu_s(program: Program) -> float:
    """CPU seconds of all threads of the process so far."""
    assert program.process is not None
    fields = Path(f"/proc/{program.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
