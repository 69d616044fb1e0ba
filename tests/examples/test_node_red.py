"""The flow in Node-RED itself: it sees a ringing call, places one and hangs up."""

import asyncio
import http.client
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.brokers.servers import missing
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.examples.office import EXAMPLES, demo

pytestmark = pytest.mark.broker
HERE = Path(__file__).parent / "node_red"
STARTS_S = 60.0
SETTINGS = {
    "uiHost": "127.0.0.1",
    "flowFile": "flow.json",
    "telemetry": {"enabled": False},
    "diagnostics": {},
}


class NodeRed:
    """Node-RED with the example, its broker node pointed at ours."""

    def __init__(self, folder: Path, broker: int) -> None:
        self.port = free_port()
        self._folder = folder
        flow = (EXAMPLES / "node-red-flow.json").read_text(encoding="utf-8")
        assert flow.count('"port": "1883"') == 1
        (folder / "flow.json").write_text(flow.replace('"port": "1883"', f'"port": "{broker}"'))
        settings = json.dumps({**SETTINGS, "uiPort": self.port})
        (folder / "settings.js").write_text(f"module.exports = {settings};\n")

    def command(self) -> list[str]:
        """How it is started; skips where it is not installed."""
        node = shutil.which("node")
        if node is None or not (HERE / "node_modules/node-red").is_dir():
            missing(
                "Node-RED is not installed (npm ci --prefix tests/examples/node_red): its flow is left out"
            )
        red = str(HERE / "node_modules/node-red/red.js")
        return [str(node), red, "--userDir", str(self._folder), "--settings", f"{self._folder}/settings.js"]

    @property
    def said(self) -> str:
        """Its log, and what its debug nodes have shown there."""
        return (self._folder / "log").read_text(encoding="utf-8")

    async def press(self, button: str) -> None:
        """Press the button of an inject node, as the editor does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            await asyncio.to_thread(connection.request, "POST", f"/inject/{button}")
            assert (await asyncio.to_thread(connection.getresponse)).status == HTTPStatus.OK
        finally:
            connection.close()


@asynccontextmanager
async def node_red(folder: Path, broker: int) -> AsyncIterator[NodeRed]:
    """Node-RED, until the end of the context."""
    made = NodeRed(folder, broker)
    with (folder / "log").open("wb") as lines:
        process = await asyncio.create_subprocess_exec(*made.command(), stdout=lines, stderr=lines)
    try:
        yield made
    finally:
        process.kill()
        await process.wait()


async def test_the_flow(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """Its buttons have the reception call and hang up; its display names who calls Anna."""
    async with demo(broker, bus) as pbx, node_red(tmp_path, broker.port) as red:
        await eventually(lambda: "Connected to broker" in red.said, "Node-RED is connected", STARTS_S)
        await red.press("button-call")
        await eventually(lambda: "status: 'ok'" in red.said, "the reply is shown")
        await eventually(lambda: "answered" in bus.types("reception", "office"), "the call is answered")
        assert bus.events("reception", "office")[-1]["call"]["remote"]["number"] == "08001234"
        pbx.ring("Anna Müller", "0123", 'A "B" & Söhne')
        await eventually(lambda: bus.now("home/display") is not None, "the display shows something")
        assert bus.now("home/display") == 'A "B" & Söhne (0123) calls anna'
        placed = bus.events("reception", "office")[-1]["call"]["id"]
        pbx.ring("Empfang", "0999")
        await eventually(lambda: "ringing" in bus.types("reception", "office"), "the reception has two calls")
        await red.press("button-hang-up")
        await eventually(lambda: "ended" in bus.types("reception", "office"), "the call has ended")
        assert bus.events("reception", "office")[-1]["call"]["id"] == placed
