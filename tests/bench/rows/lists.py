"""The first list of 10,000 users."""

from collections.abc import Sequence

from tests.bench.figures import Figure
from tests.bench.place import Place, Program, Subject

USERS = 10_000
REPLIES = (20, 256, 2_000)


async def against_naive(programs: Sequence[Program]) -> list[Figure]:
    """Each user published once; CPU from the first reply until the broker has all."""
    values: dict[str, list[float]] = {each.name: [] for each in programs}
    for each in REPLIES:
        size = (f"--users={USERS}", f"--each={each}")
        async with Place() as place:
            naive_s = await listed(place, await place.naive("naive", *size, monitor=False), USERS)
            for program in programs:
                subject = await place.bridge(program, program.name, *size, monitor=False)
                values[program.name].append(await listed(place, subject, USERS) / naive_s)
    return [
        Figure(
            "first list of 10,000 users against the naive chain, CPU, replies of 20, 256, 2,000",
            0.25,
            {name: tuple(found) for name, found in values.items()},
        )
    ]


async def listed(place: Place, subject: Subject, users: int) -> float:
    """CPU seconds of a first list."""
    start_s = subject.cpu_s
    await subject.source.ask("list_all")
    await place.ear.heard(subject.name, "state", users)
    await place.quiet()
    return subject.cpu_s - start_s
