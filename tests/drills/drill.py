"""What a drill is: something done to a bench while its workload runs, and the figures that are promised."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bus import Seen, eventually
from tests.drills.bench import HERE, Bench, Place, bench
from tests.drills.checker import TERMINAL, Row, judge

FEWEST = 50
ASKED_AT_MOST, ANSWER_S = 10, 3.0
ANSWERS = "innovaphone/hq/response/ping"
LAST_TO_RING, EVENTS_OF_LAST = "Person 7", "innovaphone/hq/user/p7/event"
Change = Callable[[dict[str, Any], Path], object]
After = Callable[[Bench], Awaitable[None]]


def nothing(_settings: dict[str, Any], _folder: Path) -> None:
    """The configuration stays as it is."""


def durable(settings: dict[str, Any], folder: Path) -> None:
    """With a state directory."""
    settings["state_dir"] = str(folder / "state")


async def nothing_more(_made: Bench) -> None:
    """What the checker looks at is all."""


@asynccontextmanager
async def at_home(_folder: Path) -> AsyncIterator[Place]:
    """The bridge runs where everything runs."""
    yield HERE


@dataclass(frozen=True, slots=True)
class Drill:
    """A fault and what is promised in spite of it.

    `lost`, `ends`, `twice`: how many events may be lost, how many calls may have not exactly one end, how
    many commands may run twice or late; None: any number. `truth_s`: how long bus and PBX may disagree
    after both ends are back. `after`: looks at it again when all is quiet. `missing`: why it cannot run here.
    `around`: what it needs around it, and where its bridge then runs.
    """

    number: str
    name: str
    run: Callable[[Bench], Awaitable[None]]
    change: Change = nothing
    after: After = nothing_more
    lost: int | None = 0
    ends: int | None = 0
    twice: int | None = 0
    truth_s: float = 10.0
    load: bool = True
    missing: Callable[[], str] = lambda: ""
    around: Callable[[Path], AbstractAsyncContextManager[Place]] = at_home
    long_only: bool = False

    @property
    def title(self) -> str:
        """Number and name, fit for a file name."""
        return f"{self.number}-{self.name.replace(' ', '-')}"


async def play(drill: Drill, folder: Path, keep: Path, *, long: bool) -> Row:
    """Run a drill, keep its history, and judge it."""
    history = None

    def change(settings: dict[str, Any]) -> None:
        drill.change(settings, folder)

    try:
        async with (
            drill.around(folder) as place,
            bench(drill.title, folder, long=long, change=change, place=place) as made,
        ):
            history = made.history
            await _work(drill, made)
    finally:
        if history is not None:
            history.save(keep)
    return judge(history)


async def _work(drill: Drill, made: Bench) -> None:
    load = asyncio.create_task(made.workload.run()) if drill.load else None
    try:
        if drill.load:
            await made.warm()
        await drill.run(made)
    finally:
        if load is not None:
            load.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await load
    await fence(made)
    made.workload.hang_up_all()
    await eventually(lambda: not made.pbx.exchange.legs, "all phones are on hook")
    await made.truth()
    await fence(made)
    await drill.after(made)
    await look_for_secrets(made)


async def fence(made: Bench) -> None:
    """Wait until the bus has all events and replies up to now: each of them queues behind those of its kind.

    So a call is let ring and end, and a command is sent; again and again, for while the bridge is away it
    does not see the one and must not obey the other.
    """
    sessions = made.pbx.sessions
    heard = "the bridge has heard everything up to now"
    await eventually(sessions.mark(), heard, moves=lambda: sessions.heard_counts)
    start, numbers = made.bus.count, set[str]()
    for attempt in range(ASKED_AT_MOST):
        numbers.add(f"0{start:07}{attempt}")
        made.pbx.ring(LAST_TO_RING, f"0{start:07}{attempt}").hang_up()
        made.bus.send("innovaphone/hq/command/ping", {"id": f"fence-{start}-{attempt}"})
        with contextlib.suppress(pytest.fail.Exception):
            await eventually(lambda: _answered(made.bus.since(start), numbers), "an answer", within=ANSWER_S)
            return
    pytest.fail("the bridge answers no command, or tells no event")


def _answered(fresh: list[Seen], numbers: set[str]) -> bool:
    """A ping has its reply, and one of these calls its end."""
    events = (seen.json for seen in reversed(fresh) if seen.topic == EVENTS_OF_LAST)
    over = any(
        event["event_type"] in TERMINAL and event["call"]["remote"]["number"] in numbers for event in events
    )
    return over and any(seen.topic == ANSWERS for seen in fresh)


async def look_for_secrets(made: Bench) -> None:
    """Count where the password for PBX and broker can be read: log lines, messages, metrics."""
    secret = made.secret.encode()
    places = [seen.topic for seen in made.bus.messages if secret in seen.payload]
    places += ["log"] if made.secret in made.program.whole_log else []
    places += ["metrics"] if made.secret in await made.page() else []
    made.history.add("figure", name="secrets", value=len(places), places=places)


def verdict(drill: Drill, row: Row) -> str:
    """What of the promises was not kept; empty when all was."""
    wrong = {
        "lost": drill.lost is not None and row.lost > drill.lost,
        "wrong order": row.disorder > 0,
        "ends": drill.ends is not None and row.ends > drill.ends,
        "executed twice or late": drill.twice is not None and row.twice > drill.twice,
        "time to truth": row.truth_s > drill.truth_s,
        "secrets": row.secrets > 0,
        "too few events": drill.load and row.events < FEWEST,
    }
    return ", ".join([*(name for name, is_so in wrong.items() if is_so), *row.broken])
