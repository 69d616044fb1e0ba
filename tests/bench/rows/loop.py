"""A first list of 10,000 users beside another link of the same process: is that one held up?"""

import asyncio
import json
import time
from collections.abc import Sequence

from tests.bench import usage
from tests.bench.control import Helper
from tests.bench.figures import Figure, quantile
from tests.bench.place import Place, Program, Subject
from tests.bench.rows.events import timed
from tests.bench.rows.lists import REPLIES, USERS
from tests.bus import eventually

PER_S = 50.0
EVENTS = 300
Found = tuple[float, float, float]


async def loop(programs: Sequence[Program]) -> list[Figure]:
    """The longest turn of the loop in CPU; p99 of the other link's events meanwhile; memory."""
    found: dict[str, list[Found]] = {each.name: [] for each in programs}
    for each in REPLIES:
        for program in programs:
            found[program.name].append(await _one(program, each))
    names = (("longest turn of the loop, CPU", 20, "ms"), ("p99 of another link meanwhile", 20, "ms"))
    return [
        Figure(
            f"the same: {what}",
            goal,
            {name: tuple(values[place] for values in cases) for name, cases in found.items()},
            unit,
        )
        for place, (what, goal, unit) in enumerate((*names, ("peak memory above what is kept", 10, "MB")))
    ]


async def _one(program: Program, each: int) -> Found:
    async with Place() as place:
        big, big_url = await place.pbx(f"--users={USERS}", f"--each={each}")
        small, small_url = await place.pbx("--users=20")
        sections = [
            place.section("big", big_url, monitor=False),
            place.section("small", small_url),
        ]
        process, _ = await place.run(program, program.name, sections, inside="blocks.py")
        await asyncio.gather(big.ask("first"), small.ask("first"))
        other = Subject("small", small, process.pid)
        await place.settled(other, 20)
        usage.forget_peak(process.pid)
        start_s = time.monotonic()
        end_s, times = await asyncio.gather(_list(place, big), timed(place, [other], EVENTS, PER_S))
        peak = usage.memory_kib(process.pid, "VmHWM")
        kept = await _trimmed(place, process.pid)
        await place.ended(process)
        blocks = json.loads((place.folder / "blocks.json").read_text(encoding="ascii"))
        waits = [then - sent for sent, then in times["small"] if start_s <= sent <= end_s]
        longest_s = max((length for at, length in blocks if start_s <= at <= end_s), default=0.0)
        return longest_s * 1000, quantile(waits, 0.99) * 1000, (peak - kept) / 1024


async def _trimmed(place: Place, pid: int) -> int:
    """What the program keeps, once it has given back what is free; KiB."""
    asked = place.folder / "trim"
    asked.touch()
    await eventually(lambda: not asked.exists(), "the program has given back what is free")
    return usage.memory_kib(pid)


async def _list(place: Place, big: Helper) -> float:
    """Tell the list; when the subscriber had all of it."""
    await big.ask("list_all")
    await place.ear.heard("big", "state", USERS)
    return time.monotonic()
