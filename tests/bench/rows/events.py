"""What an event costs and how long it takes, beside the naive chain and paho alone."""

import asyncio
from collections.abc import Sequence

from tests.bench.figures import Figure, quantile, ratio
from tests.bench.place import Place, Program, Subject

USERS = 20
BURST, ROUNDS = 1_500, 5
PACED, PER_S, PACED_ROUNDS = 150, 50.0, 4
SLOWLY, SLOWLY_PER_S = 200, 10.0
NAIVE, PAHO = "naive", "paho"


async def saturated(programs: Sequence[Program]) -> list[Figure]:
    """As many as go, 20 in a reply: bursts of one after bursts of the other."""
    async with Place() as place:
        subjects = await _started(place, programs)
        subjects.append(await place.paho(PAHO))
        costs: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        for _ in range(ROUNDS):
            for subject in subjects:
                costs[subject.name].append(await place.burst(subject, BURST))
    return [
        _against(programs, costs, NAIVE, "CPU an event, saturated, against the naive chain", 0.28),
        _against(programs, costs, PAHO, "the same against paho alone publishing the same two messages", 1.7),
        _absolute(programs, costs, "the same in µs"),
    ]


async def single(programs: Sequence[Program]) -> list[Figure]:
    """One event a reply, 50 a second, at all of them at the same time."""
    async with Place() as place:
        subjects = await _started(place, programs)
        costs: dict[str, list[float]] = {subject.name: [] for subject in subjects}
        for _ in range(PACED_ROUNDS):
            for name, cost in (await together(place, subjects, PACED, PER_S)).items():
                costs[name].append(cost)
    return [
        _against(programs, costs, NAIVE, "CPU an event, one by one at 50/s, against the naive chain", 0.25),
        _absolute(programs, costs, "the same in µs"),
    ]


async def latency(programs: Sequence[Program]) -> list[Figure]:
    """From the reply that was written to the subscriber that has the event, beside a message of paho's."""
    async with Place() as place:
        subjects = [await place.bridge(program, program.name) for program in programs]
        for subject in subjects:
            await place.settled(subject, USERS)
        subjects.append(await place.paho(PAHO))
        times = await delays(place, subjects, SLOWLY, SLOWLY_PER_S)
    return [
        Figure(
            f"reply written → subscriber at 10 events/s against the MQTT hop alone, {word}",
            goal,
            {
                each.name: (quantile(times[each.name], share) / quantile(times[PAHO], share),)
                for each in programs
            },
        )
        for word, share, goal in (("p50", 0.5, 2.2), ("p99", 0.99, 3.5))
    ]


async def together(place: Place, subjects: Sequence[Subject], events: int, per_s: float) -> dict[str, float]:
    """CPU seconds an event of each, while all have the same to do at the same time."""
    before = {each.name: each.cpu_s for each in subjects}
    await delays(place, subjects, events, per_s)
    return {each.name: (each.cpu_s - before[each.name]) / events for each in subjects}


async def delays(
    place: Place, subjects: Sequence[Subject], events: int, per_s: float
) -> dict[str, list[float]]:
    """How long each event of each took, one by one, at all of them at the same time."""
    found = await timed(place, subjects, events, per_s)
    return {name: [then - sent for sent, then in pairs] for name, pairs in found.items()}


async def timed(
    place: Place, subjects: Sequence[Subject], events: int, per_s: float
) -> dict[str, list[tuple[float, float]]]:
    """The same: when each was sent, and when it was heard."""
    heard = {each.name: place.ear.count(each.name, "event") for each in subjects}
    asked = [asyncio.create_task(each.source.ask("pace", events=events, per_s=per_s)) for each in subjects]
    answers = [await each for each in asked]
    found: dict[str, list[tuple[float, float]]] = {}
    for subject, answer in zip(subjects, answers, strict=True):
        first = heard[subject.name]
        await place.ear.heard(subject.name, "event", first + events)
        times = place.ear.times[subject.name, "event"][first:]
        found[subject.name] = list(zip(answer["sent"], times, strict=True))
    await place.quiet()
    return found


async def _started(place: Place, programs: Sequence[Program]) -> list[Subject]:
    """The programs and the naive chain, settled."""
    subjects = [await place.bridge(program, program.name) for program in programs]
    subjects.append(await place.naive(NAIVE))
    for subject in subjects:
        await place.settled(subject, USERS)
    return subjects


def _against(
    programs: Sequence[Program], costs: dict[str, list[float]], other: str, what: str, goal: float
) -> Figure:
    return Figure(what, goal, {each.name: (ratio(costs[each.name], costs[other]),) for each in programs})


def _absolute(programs: Sequence[Program], costs: dict[str, list[float]], what: str) -> Figure:
    return Figure(
        what, None, {each.name: (quantile(costs[each.name], 0.5) * 1e6,) for each in programs}, "µs"
    )
