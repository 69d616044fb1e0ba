"""Everybody monitored: what each user costs after the list."""

import asyncio
from collections.abc import Sequence

from tests.bench.figures import Figure
from tests.bench.place import GRACE_S, Place, Program

USERS = 10_000


async def monitored(programs: Sequence[Program]) -> list[Figure]:
    """10,000 users at full rate; the list is told before the clock starts."""
    costs = {}
    for program in programs:
        async with Place() as place:
            subject = await place.bridge(program, program.name, f"--users={USERS}")
            await subject.source.ask("close", operation="UserInitialize")
            await subject.source.ask("list_all")
            await place.ear.heard(subject.name, "state", USERS)
            await place.quiet()
            start_s = subject.cpu_s
            await subject.source.ask("open")
            await subject.source.ask("monitored", users=USERS)
            await asyncio.sleep(3 * GRACE_S)
            await place.quiet()
            costs[program.name] = ((subject.cpu_s - start_s) / USERS * 1000,)
    return [Figure("10,000 users monitored at full rate, CPU a user", 0.8, costs, "ms")]
