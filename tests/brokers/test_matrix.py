"""Every promise of the broker matrix on every broker: it holds, or the bridge says that it cannot."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.brokers.matrix import Holds, Row, lines, name_of
from tests.brokers.promises import PROMISES, truth
from tests.brokers.scene import LARGEST, Scene, stage
from tests.brokers.servers import Server
from tests.bus import eventually

pytestmark = pytest.mark.broker
PENDING = {"response topic"}
"""Not there yet."""
LINES = list(lines())


@pytest.fixture(scope="module", params=LINES, ids=[name_of(*line) for line in LINES])
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


@pytest.mark.parametrize("promise", PROMISES)
async def test_promise(scene: Scene, line: tuple[Row, str], promise: str) -> None:
    """The promise is kept; or, where the broker cannot keep it, the log of the bridge says so."""
    row, protocol = line
    cell = row.cell(protocol, promise)
    if promise in PENDING:
        pytest.skip("not there yet")
    if isinstance(cell, Holds):
        await PROMISES[promise](scene.with_settings(cell.settings(scene.folder)))
    elif cell.warning:
        await warned(scene, cell.warning)
    else:
        pytest.skip(cell.why)


async def warned(scene: Scene, words: str) -> None:
    """All that is small enough is told, and the bridge warns of the rest in these words."""
    with capture_logs() as lines:
        async with scene.bridge():
            await scene.online()
            await truth(scene, "everybody is there")
            scene.pbx.add_user(LARGEST)
            await eventually(lambda: words in str(warnings(lines)), f"a warning says: {words}")
            scene.pbx.remove_user(LARGEST.cn)
            scene.pbx.change_user("Bert O'Neil", dn="Bertram")
            await truth(scene, "the tree is the truth without the large state")


def warnings(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The warnings of a log."""
    return [line for line in lines if line["log_level"] in {"warning", "error"}]
