"""The start: CPU until the first Poll."""

from collections.abc import Sequence

from tests.bench.figures import Figure, quantile, ratio
from tests.bench.inside import output
from tests.bench.place import Place, Program

ROUNDS = 3


async def start(programs: Sequence[Program]) -> list[Figure]:
    """Beside importing all libraries on which the program depends."""
    began: dict[str, list[float]] = {each.name: [] for each in programs}
    bare: dict[str, list[float]] = {each.name: [] for each in programs}
    for _ in range(ROUNDS):
        for program in programs:
            bare[program.name].append(float(await output(program, "imports.py")))
            async with Place() as place:
                subject = await place.bridge(program, program.name)
                began[program.name].append(subject.cpu_s)
    return [
        Figure(
            "start to first Poll against the bare imports, CPU",
            1.5,
            {each.name: (ratio(began[each.name], bare[each.name]),) for each in programs},
        ),
        Figure(
            "the same in s", None, {each.name: (quantile(began[each.name], 0.5),) for each in programs}, "s"
        ),
    ]
