"""What a durable journal costs: the same program with a state directory and without."""

from collections.abc import Sequence

from tests.bench.figures import Figure, quantile, ratio
from tests.bench.place import Place, Program
from tests.bench.rows.events import PACED, PER_S, USERS, delays

ROUNDS = 4


async def journal(programs: Sequence[Program]) -> list[Figure]:
    """One event a reply, 50 a second."""
    cost, slowest = {}, {}
    async with Place() as place:
        for program in programs:
            cost[program.name], slowest[program.name] = await _one(place, program)
    return [
        Figure("journal on against off: CPU one by one", 1.1, cost),
        Figure("the same: p99 of the time to the subscriber", 1.3, slowest),
    ]


async def _one(place: Place, program: Program) -> tuple[tuple[float], tuple[float]]:
    folder = place.folder / f"state-{program.name}"
    folder.mkdir(mode=0o700)
    names = on, off = f"{program.name}-on", f"{program.name}-off"
    subjects = [
        await place.bridge(program, on, more={"state_dir": str(folder)}),
        await place.bridge(program, off),
    ]
    for each in subjects:
        await place.settled(each, USERS)
    cpu: dict[str, list[float]] = {name: [] for name in names}
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        before = {each.name: each.cpu_s for each in subjects}
        for name, found in (await delays(place, subjects, PACED, PER_S)).items():
            times[name] += found
        for each in subjects:
            cpu[each.name].append(each.cpu_s - before[each.name])
    return (ratio(cpu[on], cpu[off]),), (quantile(times[on], 0.99) / quantile(times[off], 0.99),)
