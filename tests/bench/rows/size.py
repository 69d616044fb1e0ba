"""What the number of users and of running calls adds to the cost of an event, and of a list."""

from collections.abc import Sequence
from statistics import median

from tests.bench.figures import Figure, ratio
from tests.bench.place import Place, Program, Subject
from tests.bench.replies import CALLERS
from tests.bench.rows.events import PACED, PER_S, together
from tests.bench.rows.lists import listed

MANY, SOME, FEW = 20_000, 1_000, 20
EACH = "--each=20"
ROUNDS = 4
CALLS = 1_000
ONLY_CALLERS = {"calls": [{"number": "1000?"}, {"number": "1001?"}]}
"""Monitors the first 20 users, whose calls come and go."""


async def users(programs: Sequence[Program]) -> list[Figure]:
    """20,000 users against 20, one by one at 50/s; and the list itself, in replies of 20."""
    event, each_user = {}, {}
    for program in programs:
        async with Place() as place:
            event[program.name], each_user[program.name] = await _users(place, program)
    return [
        Figure("CPU an event at 20,000 users against 20, one by one", 1.1, event),
        Figure("CPU a user of the first list at 20,000 users against 1,000", 1.1, each_user),
    ]


async def _users(place: Place, program: Program) -> tuple[tuple[float], tuple[float]]:
    some = []
    for number in range(3):
        name = f"{program.name}-some{number}"
        subject = await place.bridge(program, name, f"--users={SOME}", EACH, settings=ONLY_CALLERS)
        some.append(await listed(place, subject, SOME) / SOME)
    many = await place.bridge(program, f"{program.name}-many", f"--users={MANY}", EACH, settings=ONLY_CALLERS)
    many_s = await listed(place, many, MANY) / MANY
    few = await place.bridge(program, f"{program.name}-few", f"--users={FEW}", EACH, settings=ONLY_CALLERS)
    await place.settled(few, FEW)
    return (await _compared(place, many, few),), (many_s / median(some),)


async def calls(programs: Sequence[Program]) -> list[Figure]:
    """1,000 running calls of other users against none, one by one at 50/s."""
    event = {}
    for program in programs:
        async with Place() as place:
            with_calls, without = [
                await place.bridge(program, f"{program.name}-{word}", f"--users={CALLERS + CALLS}")
                for word in ("calls", "none")
            ]
            for subject in (with_calls, without):
                await place.settled(subject, CALLERS + CALLS)
            await with_calls.source.ask("lasting", calls=CALLS)
            await place.ear.heard(with_calls.name, "event", CALLS)
            await place.quiet()
            event[program.name] = (await _compared(place, with_calls, without),)
    return [Figure("CPU an event with 1,000 running calls against none, one by one", 1.1, event)]


async def _compared(place: Place, left: Subject, right: Subject) -> float:
    """Both at the same time; the first round warms up."""
    costs: dict[str, list[float]] = {left.name: [], right.name: []}
    for _ in range(ROUNDS + 1):
        for name, cost in (await together(place, (left, right), PACED, PER_S)).items():
            costs[name].append(cost)
    return ratio(costs[left.name][1:], costs[right.name][1:])
