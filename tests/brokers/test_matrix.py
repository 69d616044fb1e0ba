"""Every promise of the broker matrix on every broker: it holds, or the bridge says that it cannot."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.check import check
from bridge.config.schema import Config
from tests.brokers.examples import CommandsUnread, FilterDenied
from tests.brokers.matrix import Holds, Row
from tests.brokers.promises import PROMISES, truth
from tests.brokers.scene import LARGEST, Scene, stage
from tests.brokers.servers import V3, V5, Server, TopicPermissions
from tests.bus import eventually

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("promise", PROMISES)
async def test_promise(scene: Scene, line: tuple[Row, str], promise: str) -> None:
    """The promise is kept; or, where the broker cannot keep it, the log of the bridge says so."""
    row, protocol = line
    cell = row.cell(protocol, promise)
    if isinstance(cell, Holds):
        await PROMISES[promise](scene.with_settings(cell.settings(scene.folder)))
    else:
        await warned(scene, cell.warning)


async def test_the_bridge_warns_of_the_broker(scene: Scene, line: tuple[Row, str]) -> None:
    """What a broker cannot do is in the log at once; of a broker that can do everything it says nothing."""
    expected = line[0].warnings
    with capture_logs() as lines:
        async with scene.bridge():
            await scene.online()
            await eventually(
                lambda: all(words in str(warnings(lines)) for words in expected), f"warned of {expected}"
            )
    assert len(warnings(lines)) == len(expected)


@pytest.mark.parametrize("protocol", [V5, V3])
@pytest.mark.parametrize(
    ("denies", "words"),
    [
        (CommandsUnread, ("may not read {}/command/+ ", "may not read {}/user/+/command/+ ")),
        (FilterDenied, ("may not read {}/user/+/command/+ ",)),
    ],
)
async def test_a_check_names_what_is_denied(
    tmp_path: Path, denies: type[Server], protocol: str, words: tuple[str, ...]
) -> None:
    """Whether the broker swallows commands or refuses to subscribe, `check --connect` names the filters."""
    server = denies(tmp_path)
    server.start()
    try:
        async with stage(server, protocol, tmp_path) as made:
            lines = await check(Config.model_validate(made.configuration()))
    finally:
        server.kill()
    said = [text for word, text in lines if word == "FAIL"]
    assert len(said) == len(words)
    assert [each for each in words if each.format(made.root) not in str(said)] == []


@pytest.mark.parametrize("protocol", [V5, V3])
async def test_a_check_is_content_with_what_the_bridge_needs(tmp_path: Path, protocol: str) -> None:
    """RabbitMQ ends the connection where a right is missing that the bridge does not need."""
    server = TopicPermissions(tmp_path)
    server.start()
    try:
        async with stage(server, protocol, tmp_path) as made:
            lines = await check(Config.model_validate(made.configuration()))
            async with made.bridge():
                await made.online()
                await truth(made, "the tree is the PBX's truth")
    finally:
        server.kill()
    assert [text for word, text in lines if word == "FAIL"] == []


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
