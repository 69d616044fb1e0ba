"""A fleet of simulated PBXs as a process, for fleet.py: idle until a line on stdin asks for calls.

`calls RATE SECONDS`: so many calls a second, one PBX after the other. The caller's number is the moment of
the call on the monotonic clock in microseconds, so that whoever sees it knows how long it took.
"""

import asyncio
import itertools
import sys
import time
from contextlib import AsyncExitStack

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.serve import fleet

LASTS_S = 2.0


def staff(users: int) -> tuple[SimUser, ...]:
    """So many users, and the one whose view the bridge gets."""
    all_users = (("all", False),)
    people = (
        SimUser(f"User {n}", f"u{n}", f"{1000 + n}", f"User {n}", groups=all_users) for n in range(users)
    )
    return SimUser("API", "api", groups=(("all", True),)), *people


async def main(count: int, users: int) -> None:
    """Serve until stdin ends. The first line on stdout is the address."""
    everybody = staff(users)
    async with AsyncExitStack() as stack:
        pbxs: list[SimPbx] = []
        for name in fleet(count):
            options = SimOptions(path=f"/PBX0-{name}/user.soap")
            sim = SimPbx(everybody, options, beside=pbxs[0] if pbxs else None)
            pbxs.append(await stack.enter_async_context(sim))
        sys.stdout.write(f"{pbxs[0].url}\n")
        sys.stdout.flush()
        turn = itertools.cycle(pbxs)
        while line := await asyncio.to_thread(sys.stdin.readline):
            _, rate, seconds = line.split()
            await _calls(turn, float(rate), float(seconds))
            sys.stdout.write("done\n")
            sys.stdout.flush()


async def _calls(turn: "itertools.cycle[SimPbx]", rate: float, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(start_s + number / rate - loop.time())
        call = next(turn).ring("User 0", str(time.monotonic_ns() // 1000))
        loop.call_later(LASTS_S, call.hang_up)
    await asyncio.sleep(LASTS_S + 1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
