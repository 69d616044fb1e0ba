"""A thousand idle links in one process, as `tests.bench.fleet` measures them."""

from collections.abc import Sequence

from tests.bench import fleet
from tests.bench.figures import Figure
from tests.bench.place import Program

LINKS, IDLE_S = 1_000, 60.0
"""A PBX answers an idle Poll each minute."""


async def idle(programs: Sequence[Program]) -> list[Figure]:
    """Memory of each, CPU of all, and the time until all are online."""
    found = {each.name: await _measured(each) for each in programs}
    return [
        Figure(what, goal, {name: (figures[key],) for name, figures in found.items()}, unit)
        for what, key, goal, unit in (
            ("idle link among 1,000: memory", "kilobytes_a_link", 100, "kB"),
            ("the same: CPU of a core for all", "idle_cpu_percent", 3, "%"),
            ("the same: until all are online", "online_s", 10, "s"),
            ("the same: event latency at 10 events/s for each 100 PBXs, p99", "event_p99_ms", None, "ms"),
        )
    ]


async def _measured(program: Program) -> dict[str, float]:
    alone = await fleet.measure(1, program.python, 0.0, calls=False)
    many = await fleet.measure(LINKS, program.python, IDLE_S, calls=True)
    kilobytes = (many["kilobytes"] - alone["kilobytes"]) / (LINKS - 1)
    return many | {"kilobytes_a_link": kilobytes}
