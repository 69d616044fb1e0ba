"""Drills in which a stranger with one narrow right sends without end; everybody else must not notice.

Memory is compared between two moments of rest: after a warm-up with the same attack (caches, rings and
buffers that are meant to fill have begun to), and after the flood. At rest means that it has not shrunk for
a second; the process runs with the allocator's ordinary settings, and nothing makes it give memory back.
The greatest of the samples during the flood is held against the first moment too.
CPU is the process's own time for each message taken, second half of the flood against the first; each half
ends when a later message of ours was answered, so that what was put off is counted where it came in.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridge.sim.pbx import SimPbx
from tests.bus import Observer, eventually
from tests.drills import strangers
from tests.drills.bench import Bench, Place
from tests.drills.bystanders import Ear, Honest, Machine, Meter, Office, Probe, Reading
from tests.drills.drill import After, Change, Drill, durable, fence, nothing, nothing_more
from tests.drills.figures import Figures, Half
from tests.drills.strangers import ALL_COMMANDS, ONE_USER, STRANGER, Attack, Weapon, by_mqtt, send_for
from tests.drills.workload import STAFF
from tests.running import FAST, pbx_section

LONG_S, SHORT_S, WARM_SHARE = 30.0, 4.0, 0.1
AUDITOR = "auditor"
READABLE = ("+/state", "+/info", "+/user/+/state", "+/user/+/event", "+/response/#", "reply/#")
"""What the observer reads: not the flood itself."""


class Flood:
    """One attack on the link `hq`, with bystanders at `hq` and at `branch`, a link of the same process."""

    def __init__(self, attack: Attack, change: Change = nothing) -> None:
        self._attack = attack
        self._change = change
        self._branch = SimPbx(STAFF, FAST)

    @asynccontextmanager
    async def around(self, folder: Path) -> AsyncIterator[Place]:
        """The other PBX, and a broker that gives each client its rights."""
        rights = [f"topic read innovaphone/{each}" for each in READABLE]
        rights += ["topic readwrite observer/#", "topic write innovaphone/+/command/#"]
        rights += ["user bridge", "topic readwrite #", f"user {AUDITOR}", "topic read #"]
        rights += ["topic readwrite observer/#", f"user {STRANGER}"]
        rights += [f"topic write {self._attack.right}"] if self._attack.right else []
        (folder / "rights").write_text("\n".join(rights) + "\n")
        async with SimPbx(STAFF, FAST) as self._branch:
            yield Place(broker=(f"acl_file {folder / 'rights'}",))

    def change(self, settings: dict[str, Any], folder: Path) -> None:
        """The other link; a state directory; the limits of commands as they are without a word."""
        settings["pbxs"].append(pbx_section(self._branch, name="branch"))
        del settings["commands"]
        durable(settings, folder)
        self._change(settings, folder)

    async def run(self, made: Bench) -> None:
        """Warm up, flood, and look at everybody."""
        await eventually(lambda: made.bus.now("innovaphone/branch/state") == "online", "branch is online")
        ear, meter = Ear(made.bus), Meter(made)
        honest, office = Honest(made.bus, made.pbx, ear), Office(made.bus, self._branch, ear)
        assert made.program.process is not None
        machine = Machine(Path(f"/proc/{made.program.process.pid}/schedstat"))
        probe = Probe(made.web_port)
        ear.listen()
        ear.states.clear()
        async with working(machine.run()):
            async with working(honest.run(), office.run(), probe.run()):
                async with self._attack.weapon(made) as weapon:
                    before, halves, after = await self._flood(made, meter, weapon, honest.waits.clear)
                await fence(made)
            await office.finished()
        figures = Figures(
            per_s=self._attack.per_s,
            seconds=_seconds(made),
            halves=halves,
            before=before.mib,
            most=max(meter.samples),
            after=after.mib,
            lines=after.lines - before.lines,
            states=tuple(ear.states),
            clears_s=tuple(map(machine.wait_s, honest.waits)),
            refused=tuple(honest.refused),
            branch_s=tuple(map(machine.wait_s, office.waits)),
            health_s=tuple(map(machine.wait_s, probe.waits)),
            lost=len(office.lost),
            gaps=ear.gaps("branch"),
        )
        for text in (*figures.shown(), f"the machine took {machine.share:.0%}"):
            made.history.add("shown", text=text)
        for promise in figures.broken():
            made.history.add("broken", promise=promise)

    async def _flood(
        self, made: Bench, meter: Meter, weapon: Weapon, warm: Callable[[], None]
    ) -> tuple[Reading, tuple[Half, Half], Reading]:
        """A warm-up, then both halves; the process at rest before and after them."""
        seconds, numbers = _seconds(made), itertools.count(1)
        await send_for(weapon, self._attack.per_s, max(1.0, seconds * WARM_SHARE), numbers)
        await fence(made)
        before = await meter.settled()
        warm()
        made.note("flood")
        async with working(meter.sample()):
            first = await self._half(made, meter, weapon, seconds / 2, numbers)
            second = await self._half(made, meter, weapon, seconds / 2, numbers)
        return before, (first, second), await meter.settled()

    async def _half(
        self, made: Bench, meter: Meter, weapon: Weapon, seconds: float, numbers: Iterator[int]
    ) -> Half:
        start, began = meter.read(), asyncio.get_running_loop().time()
        taken = await send_for(weapon, self._attack.per_s, seconds, numbers)
        await fence(made)
        took_s = asyncio.get_running_loop().time() - began
        return Half(taken, meter.read().cpu_s - start.cpu_s, took_s)


def _seconds(made: Bench) -> float:
    return LONG_S if made.long else SHORT_S


@asynccontextmanager
async def working(*workers: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """They work meanwhile; an error of one of them comes out at the end."""
    tasks = [asyncio.create_task(worker) for worker in workers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def few(settings: dict[str, Any], _folder: Path) -> None:
    """Limits of a small office, so that a flood of seconds is far beyond them."""
    settings["pbxs"][0]["limits"] = {"users": 100, "calls": 200, "calls_per_user": 16}


async def nothing_left(made: Bench) -> None:
    """No command is retained any more."""
    async with Observer(
        made.broker.port, topics=f"{strangers.VICTIM}/#", credentials=(AUDITOR, "")
    ) as all_left:
        await all_left.heard_all()
        left = [topic for topic in all_left.tree if topic.startswith(strangers.HQ)]
    if left:
        made.history.add("broken", promise=f"{len(left)} commands are still retained")


def row(
    number: str, name: str, attack: Attack, change: Change = nothing, after: After = nothing_more
) -> Drill:
    """A flood as a drill."""
    flood = Flood(attack, change)
    return Drill(number, name, flood.run, flood.change, after, load=False, around=flood.around)


DRILLS = (
    row("26", "flood of new ids", Attack(by_mqtt(strangers.new_ids), 400, ONE_USER)),
    row("26b", "flood of one id", Attack(by_mqtt(strangers.one_id), 400, ONE_USER)),
    row(
        "26c",
        "flood of retained topics",
        Attack(by_mqtt(strangers.retained), 200, ONE_USER),
        after=nothing_left,
    ),
    row("26d", "flood of correlation data", Attack(by_mqtt(strangers.large_correlation), 50, ONE_USER)),
    row("26e", "flood of deep responses", Attack(strangers.deep_responses, 400, ONE_USER)),
    row("26f", "flood of unknown verbs", Attack(by_mqtt(strangers.unknown_verbs), 400, ONE_USER)),
    row("26g", "flood of long names", Attack(strangers.among_many, 200, ALL_COMMANDS)),
    row("26h", "flood of half-open HTTP", Attack(strangers.half_open, 50)),
    row("26i", "flood of new users", Attack(strangers.new_users, 300), few),
    row("26j", "flood of new legs", Attack(strangers.new_legs, 50), few),
)
