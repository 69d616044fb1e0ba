"""Every drill in its short form, a test each; `make drills` runs the long one, `make soak` the longest.

`pytest tests/drills -k outbox` runs and times one.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.bus import mosquitto_path
from tests.drills.all import DRILLS
from tests.drills.drill import Drill, play, verdict

pytestmark = [pytest.mark.broker, pytest.mark.asyncio(loop_scope="module")]
SHORT = [drill for drill in DRILLS if not drill.long_only]
AT_ONCE, EXIT = 2, "02"
KEPT = Path("build/drills")
Playing = Mapping[str, asyncio.Task[tuple[str, float]]]
"""By title: what was not kept, and how many seconds it took."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playing(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Playing]:
    """The drills that were chosen, some at a time: they wait more than they work.

    The one whose figure is a short time runs alone, first.
    """
    mosquitto_path()
    places = asyncio.Semaphore(AT_ONCE)
    chosen = [drill for drill in chosen_of(request.session) if not drill.missing()]
    chosen.sort(key=lambda drill: drill.number != EXIT)
    alone: set[asyncio.Task[tuple[str, float]]] = set()

    async def played(drill: Drill) -> tuple[str, float]:
        if drill.number != EXIT and alone:
            await asyncio.wait(alone)
        async with places:
            return await timed(drill, tmp_path_factory.mktemp(drill.title))

    tasks = {}
    for drill in chosen:
        tasks[drill.title] = asyncio.create_task(played(drill), name=drill.title)
        if drill.number == EXIT:
            alone.add(tasks[drill.title])
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def timed(drill: Drill, folder: Path) -> tuple[str, float]:
    """Play a drill; what went wrong, and how long it took."""
    started = time.monotonic()
    try:
        problem = verdict(drill, await play(drill, folder, KEPT, long=False))
    except (Exception, BaseExceptionGroup, pytest.fail.Exception) as error:  # noqa: BLE001  (to be named with its drill)
        problem = repr(error)
    return problem, time.monotonic() - started


def chosen_of(session: pytest.Session) -> list[Drill]:
    """The drills whose tests will run."""
    parameters = (item.callspec.params for item in session.items if hasattr(item, "callspec"))
    found = (each.get("drill") for each in parameters)
    return [drill for drill in found if isinstance(drill, Drill)]


@pytest.mark.parametrize("drill", SHORT, ids=lambda drill: drill.title)
async def test_it_keeps_its_promises(
    drill: Drill, playing: Playing, record_property: Callable[[str, object], None]
) -> None:
    """In CI it is a failure that something is not installed; rights that nobody has are not."""
    if reason := drill.missing():
        assert not (os.environ.get("CI") == "true" and reason.startswith("install")), reason
        pytest.skip(reason)
    problem, seconds = await playing[drill.title]
    record_property("seconds", round(seconds, 1))
    assert problem == ""
