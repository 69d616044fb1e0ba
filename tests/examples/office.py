"""For tests: what `make demo` runs, on a broker with an observer, without its scene."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.sim.pbx import SimPbx
from bridge.sim.scenario import office
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, bridge, configuration, pbx_section

EXAMPLES = Path(__file__).parents[2] / "config" / "examples"
ROOT = "innovaphone/office"


@asynccontextmanager
async def demo(broker: Mosquitto, bus: Observer) -> AsyncIterator[SimPbx]:
    """The office of the demo and its bridge, once all users are known."""
    async with (
        SimPbx(office().users, FAST) as pbx,
        bridge(configuration(broker.port, pbx_section(pbx, name="office"))),
    ):
        info = f"{ROOT}/info"
        await eventually(lambda: (bus.now(info) or {}).get("settled") is True, "the office is settled")
        yield pbx
