"""Fixtures that several folders of tests share."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from bridge.ops.bugs import Bugs
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer
from tests.failures import pytest_sessionfinish
from tests.plan import pytest_collection_modifyitems, pytest_ignore_collect
from tests.running import FAST, STAFF, Program
from tests.skips import pytest_terminal_summary

__all__ = [
    "pytest_collection_modifyitems",
    "pytest_ignore_collect",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]  # hooks of pytest

hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _fresh_log() -> None:
    """Each test sets the log up anew, or has the default."""
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def bugs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Bugs that were contained by the bridge or an event loop. A test that expects some clears the list."""
    found: list[BaseException] = []
    report, on_loop = Bugs.report, asyncio.BaseEventLoop.default_exception_handler

    def reported(self: Bugs, bug: BaseException, place: str, pbx: str = "") -> None:
        found.append(bug)
        report(self, bug, place, pbx)

    def unhandled(self: asyncio.BaseEventLoop, context: dict[str, Any]) -> None:
        found.append(context.get("exception") or RuntimeError(context.get("message")))
        on_loop(self, context)

    monkeypatch.setattr(Bugs, "report", reported)
    monkeypatch.setattr(asyncio.BaseEventLoop, "default_exception_handler", unhandled)
    yield found
    assert found == []


@pytest.fixture
def _collected() -> Iterator[None]:
    """Collect the garbage of a test before it ends."""
    yield
    gc.collect()


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A real Mosquitto."""
    async with Mosquitto(tmp_path) as running:
        yield running
        await Program.end_all()


@pytest.fixture
async def bus(broker: Mosquitto) -> AsyncIterator[Observer]:
    """An observer of everything on the broker."""
    async with Observer(broker.port) as observer:
        yield observer


@pytest.fixture
async def pbx() -> AsyncIterator[SimPbx]:
    """A simulated PBX with a few people."""
    async with SimPbx(STAFF, FAST) as running:
        yield running
