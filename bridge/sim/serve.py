"""The command `simulate`: one simulated PBX that plays its scene until Ctrl-C."""

import asyncio
from collections.abc import Callable

from bridge.sim.operations import Profile
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.scenario import Scene, play

FAR_END_ANSWERS_S = 1.0
PAUSE_S = 0.5
"""Pause between two rounds, so that a scene without delays does not flood the log."""


async def serve(host: str, port: int, scene: Scene, dynamic_pbx: str, say: Callable[[str], object]) -> None:
    """Serve and play forever. Raises ScenarioError and OSError."""
    box = f"PBX0-{dynamic_pbx}" if dynamic_pbx else "PBX0"
    options = SimOptions(
        host=host, port=port, path=f"/{box}/user.soap", profile=Profile(far_end_answers_s=FAR_END_ANSWERS_S)
    )
    async with SimPbx(scene.users, options) as pbx:
        say(f"simulated PBX at {pbx.soap_url} (user admin, password secret, session user API)")
        while scene.steps:
            await play(pbx, scene)
            await asyncio.sleep(PAUSE_S)
        await asyncio.Event().wait()
