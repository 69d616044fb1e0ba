"""The command `simulate`: one simulated PBX, or a fleet at one address, with their scene until Ctrl-C."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from bridge.sim.operations import Profile
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.scenario import Scene, play

FAR_END_ANSWERS_S = 1.0
PAUSE_S = 0.5
"""Pause between two rounds, so that a scene without delays does not flood the log."""
PLAY_OF_100 = 5
"""How many of a hundred PBXs have their day at a time; the others are idle."""


def fleet(count: int) -> tuple[str, ...]:
    """The names of so many dynamic PBXs: 0001, 0002, ..."""
    return tuple(f"{number:04}" for number in range(1, count + 1))


async def serve(
    host: str, port: int, scene: Scene, dynamic_pbxs: Sequence[str], say: Callable[[str], object]
) -> None:
    """Serve and play forever; an empty name is the PBX itself. Raises ScenarioError and OSError."""
    async with AsyncExitStack() as stack:
        pbxs: list[SimPbx] = []
        for name in dynamic_pbxs:
            box = f"PBX0-{name}" if name else "PBX0"
            profile = Profile(far_end_answers_s=FAR_END_ANSWERS_S)
            options = SimOptions(host=host, port=port, path=f"/{box}/user.soap", profile=profile)
            beside = pbxs[0] if pbxs else None
            pbxs.append(await stack.enter_async_context(SimPbx(scene.users, options, beside=beside)))
        others = f" and {len(pbxs) - 1} more up to {pbxs[-1].path}" if len(pbxs) > 1 else ""
        say(f"simulated PBX at {pbxs[0].soap_url}{others} (user admin, password secret, session user API)")
        waiting = asyncio.Queue[SimPbx]()
        for pbx in pbxs:
            waiting.put_nowait(pbx)
        at_a_time = -(-len(pbxs) * PLAY_OF_100 // 100)
        await asyncio.gather(*(_play_in_turn(waiting, scene) for _ in range(at_a_time)))


async def _play_in_turn(waiting: asyncio.Queue[SimPbx], scene: Scene) -> None:
    """Give one PBX after the other its day."""
    while scene.steps:
        pbx = await waiting.get()
        await play(pbx, scene)
        await asyncio.sleep(PAUSE_S)
        waiting.put_nowait(pbx)
    await asyncio.Event().wait()
