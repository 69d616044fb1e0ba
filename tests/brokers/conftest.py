"""Fixtures of the broker matrix: a line of it, its broker, a scene. Leaves out cells that cannot be tried."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.brokers.items import tried
from tests.brokers.matrix import Row, lines, name_of
from tests.brokers.scene import Scene, stage
from tests.brokers.servers import Server

LINES = [
    pytest.param(line, marks=pytest.mark.xdist_group(name_of(*line)), id=name_of(*line)) for line in lines()
]
"""One worker tries a whole line, so that its broker starts once."""


@pytest.fixture(scope="module", params=LINES)
def line(request: pytest.FixtureRequest) -> tuple[Row, str]:
    """A row and a protocol."""
    chosen: tuple[Row, str] = request.param
    return chosen


@pytest.fixture(scope="module")
def server(line: tuple[Row, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its broker, started once for all promises."""
    running = line[0].server(tmp_path_factory.mktemp("broker"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
async def scene(server: Server, line: tuple[Row, str], tmp_path: Path) -> AsyncIterator[Scene]:
    """A PBX and an observer beside it."""
    async with stage(server, line[1], tmp_path) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where a broker cannot do something and the bridge cannot know, there is nothing to try."""
    items[:] = [item for item in items if _can_be_tried(item)]


def _can_be_tried(item: pytest.Item) -> bool:
    cell = tried(item)
    return cell is None or cell.can_be_tried
