"""From two shards to three, with real processes: no PBX is served twice for long, or not at all for long."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from time import monotonic

import pytest

from bridge.core.shard import shard_of
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, STAFF, Program, configuration, pbx_section

pytestmark = [pytest.mark.broker, pytest.mark.pair]
STAY, MOVE = {0: "p7", 1: "p3"}, {0: "p15", 1: "p1"}
"""By their shard of two: the PBX that stays there when a third one comes, and the one that moves to it."""
NAMES = (*STAY.values(), *MOVE.values())
THIRD = 2
TAKEOVER_S = 12.0
"""A lost session, a pause of at most 5 s, the question who is there; and the same for the other one."""
EDGE_S = 2.0
"""What it may take on a busy machine until this test sees what is so."""
TAKES_OVER_ONCE = 2
"""Once it is decided who serves, it changes only when that one ends."""
PAUSE_S = 0.1
"""Calls follow each other this closely, so that no interruption is missed."""
PATIENCE_S = 90.0


@dataclass(slots=True)
class Caller:
    """Rings at one PBX again and again; each call stops ringing when the bus knows it."""

    name: str
    pbx: SimPbx
    bus: Observer
    waits: list[float] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Call until it is over."""
        for number in map("0{:03}".format, count(1)):
            heard, rung_s = self.bus.count, monotonic()
            call = self.pbx.ring("Anna Müller", number)
            await eventually(lambda: self._is_told(heard, number), f"{self.name} tells a call", PATIENCE_S)  # noqa: B023  (awaited in the loop)
            self.waits.append(monotonic() - rung_s)
            call.hang_up()
            try:
                async with asyncio.timeout(PAUSE_S):
                    await self.over.wait()
                    return
            except TimeoutError:
                pass

    def _is_told(self, since: int, number: str) -> bool:
        topic = f"innovaphone/{self.name}/user/anna/event"
        return any(
            message.topic == topic and message.json["call"]["remote"]["number"] == number
            for message in self.bus.since(since)
        )

    def told_by(self, since: int) -> list[tuple[float, str]]:
        """When each change of the bridge that tells the events was heard, and of which run the events are."""
        topic = f"innovaphone/{self.name}/user/anna/event"
        told = [(each.at, each.json) for each in self.bus.since(since) if each.topic == topic]
        live = [(at, event["epoch"]) for at, event in told if not event["queued"]]
        return [one for before, one in pairwise([(0.0, ""), *live]) if before[1] != one[1]]


def online(bus: Observer, name: str) -> bool:
    """The users and calls of a PBX are on the bus."""
    info = bus.now(f"innovaphone/{name}/info") or {}
    return bus.now(f"innovaphone/{name}/state") == "online" and bool(info.get("settled"))


async def restart(old: Program, new: Program, names: tuple[str, ...]) -> float:
    """One process ends as at a SIGTERM and another one takes its place: how many seconds until it serves."""
    began_s = monotonic()
    assert (await old.end(signal.SIGTERM))[0] == 0
    await new.start()
    for name in names:
        await eventually(lambda: ups(new, name) == 2, f"{name} is served again", PATIENCE_S)  # noqa: B023  (awaited in the loop; both sides)
    return monotonic() - began_s


def left(name: str, programs: Sequence[Program]) -> bool:
    """One of these has found that another bridge serves a PBX."""
    return any(f"another bridge serves the PBX '{name}'" in program.log for program in programs)


def ups(program: Program, name: str) -> int:
    """How many sides of a link have been up."""
    lines = (line for line in program.log.splitlines() if f'"pbx": "{name}"' in line)
    return sum('"event": "pbx up"' in line or '"event": "mqtt up"' in line for line in lines)


async def test_from_two_shards_to_three(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """As a StatefulSet does it: the new pod comes first, then the others are replaced, the last one first."""
    assert all(shard_of(name, 2) == shard_of(name, 3) == shard for shard, name in STAY.items())
    assert all((shard_of(name, 2), shard_of(name, 3)) == (shard, THIRD) for shard, name in MOVE.items())
    async with AsyncExitStack() as stack:
        pbxs = {name: await stack.enter_async_context(SimPbx(STAFF, FAST)) for name in NAMES}
        settings = configuration(broker.port, *(pbx_section(pbx, name=name) for name, pbx in pbxs.items()))
        settings["mqtt"] |= {"username": "bridge", "password": "x"}

        def program(shard: str) -> Program:
            folder = tmp_path / shard.replace("/", "of")
            folder.mkdir()
            return Program(folder, settings, arguments=("--shard", shard))

        before = [program(f"{index}/2") for index in range(2)]
        after = [program(f"{index}/3") for index in range(3)]
        for each in before:
            await each.start()
        for name in NAMES:
            await eventually(lambda: online(bus, name), f"{name} is online", PATIENCE_S)  # noqa: B023  (awaited in the loop)
        callers = {name: Caller(name, pbx, bus) for name, pbx in pbxs.items()}
        async with asyncio.TaskGroup() as tasks:
            for caller in callers.values():
                tasks.create_task(caller.run())
            await after[THIRD].start()
            contests = {}
            for shard, name in MOVE.items():
                both = before[shard], after[THIRD]
                await eventually(partial(left, name, both), f"one leaves {name} to the other", PATIENCE_S)
                others = callers[name].told_by(0)[1:]
                contests[name] = monotonic() - others[0][0] if others else 0.0
            decided = bus.count
            restarts = {shard: await restart(before[shard], after[shard], (STAY[shard],)) for shard in (1, 0)}
            told = {name: len(caller.waits) for name, caller in callers.items()}
            for name, caller in callers.items():
                await eventually(lambda: len(caller.waits) > told[name] + 10, f"{name} is served")  # noqa: B023  (same)
            for caller in callers.values():
                caller.over.set()
        sessions = {name: len(pbx.sessions) for name, pbx in pbxs.items()}

    longest = {name: max(caller.waits) for name, caller in callers.items()}
    turns = {
        name: len(caller.told_by(decided if name in contests else 0)) for name, caller in callers.items()
    }
    assert sessions == dict.fromkeys(NAMES, 1)
    assert all(seconds <= TAKEOVER_S for seconds in contests.values()), contests
    assert all(count <= TAKES_OVER_ONCE for count in turns.values()), turns
    for shard, name in (*STAY.items(), *MOVE.items()):
        assert longest[name] <= restarts[shard] + EDGE_S, (longest, restarts)
