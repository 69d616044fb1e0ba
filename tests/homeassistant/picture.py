"""Makes the picture of docs/home-assistant.md. No test: nothing but a person runs it.

As root, after `make test-homeassistant` has installed what it wants: `python -m tests.homeassistant.picture`.
It adds Debian's Chromium to that installation; `rm -r build/homeassistant` takes it away again.
"""

import asyncio
import base64
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import requests
from websockets.asyncio.client import ClientConnection, connect

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, eventually, free_port
from tests.homeassistant.place import ROOT, inside, installed
from tests.homeassistant.server import HomeAssistant, home_assistant
from tests.running import FAST, bridge, configuration, pbx_section
from tests.systemd.machine import must

PICTURE = ROOT / "docs" / "home-assistant.png"
INSTALL = "apt-get update -qq && apt-get install -y -qq chromium-headless-shell fonts-dejavu-core"
PROGRAM = "/usr/lib/chromium/chromium-headless-shell"
OPTIONS = ("--no-sandbox", "--hide-scrollbars", "--disable-dev-shm-usage", "--window-size=1300,1180")
SHOWN_S = 90
LOOK_S = 0.3
PART = {"x": 0, "y": 0, "width": 950, "height": 1170, "scale": 1}
"""Right of it the page is empty."""
STAFF = (
    SimUser("API", "api", groups=(("all", True),)),
    SimUser("Anna Müller", "anna", "21", "Anna", groups=(("all", False),)),
)
DISCOVERY = {"discovery": "device", "users": [{"short_name": "anna"}]}
COMMANDS = {"allow": ["basic", {"verbs": ["answer", "forward"]}]}
RINGING = "binary_sensor.hq_anna_ringing"
ALL_TEXT = """
(function text(node) {
    const below = [...node.childNodes, ...(node.shadowRoot ? node.shadowRoot.childNodes : [])];
    return (node.nodeType === 3 ? node.data : "") + below.map(text).join(" ");
})(document.body)
"""
"""What a page shows, also within its web components."""
BEFORE_THE_PAGE = """
localStorage.setItem("hassTokens", %s);
const data = Object.getOwnPropertyDescriptor(MessageEvent.prototype, "data");
const failed = /"success":false,"error":{"code":"unknown_error"[^}]*}/;
Object.defineProperty(MessageEvent.prototype, "data", {get() {
    const text = data.get.call(this);
    return typeof text === "string" ? text.replace(failed, '"success":true,"result":{}') : text;
}});
"""
"""Log in, and turn one error into an empty answer. Home Assistant can describe its actions (`get_services`)
only where the packages of its voice assistant are installed, which they are not here: the page would say
"Loading data" for ever. It shows nothing of these descriptions."""


class Browser:
    """One page of Chromium, driven by its debugging protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    async def do(self, method: str, **parameters: Any) -> Any:
        """Send a command; its result."""
        self._number += 1
        await self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._connection.recv())
            if message.get("id") == self._number:
                return message["result"]

    async def text(self) -> str:
        """All that the page shows."""
        found = await self.do("Runtime.evaluate", expression=ALL_TEXT)
        return str(found["result"].get("value", ""))

    async def shows(self, words: str) -> None:
        """Wait until the page has these words."""
        end = time.monotonic() + SHOWN_S
        while words not in (text := await self.text()):
            assert time.monotonic() < end, f"the page never says '{words}', but {text}"
            await asyncio.sleep(LOOK_S)

    async def picture(self) -> bytes:
        """The page as a PNG when it has come to rest: icons and fonts come after the text."""
        end, before, now = time.monotonic() + SHOWN_S, "", await self._captured()
        while now != before:
            assert time.monotonic() < end, "the page never comes to rest"
            await asyncio.sleep(LOOK_S)
            before, now = now, await self._captured()
        return base64.b64decode(now)

    async def _captured(self) -> str:
        return str((await self.do("Page.captureScreenshot", format="png", clip=PART))["data"])


@asynccontextmanager
async def browser(root: Path, folder: Path) -> AsyncIterator[Browser]:
    """Debian's Chromium, beside Home Assistant."""
    await must(*inside(root, folder, "sh", "-c", INSTALL))
    port, nothing = free_port(), asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *inside(root, folder, PROGRAM, *OPTIONS, f"--remote-debugging-port={port}", "about:blank"),
        stdout=nothing,
        stderr=nothing,
    )
    try:
        await eventually(lambda: _pages(port), "Chromium is up", 60)
        async with connect(_pages(port)[0]["webSocketDebuggerUrl"], max_size=None) as connection:
            yield Browser(connection)
    finally:
        process.kill()
        await process.wait()


def _pages(port: int) -> list[dict[str, str]]:
    try:
        pages: list[dict[str, str]] = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=5).json()
    except requests.ConnectionError:
        return []
    return pages


async def photograph(ha: HomeAssistant, page: Browser, path: str, words: str) -> bytes:
    """A page of Home Assistant, for its owner, when it shows these words."""
    login = {**ha.tokens, "hassUrl": ha.url, "clientId": f"{ha.url}/", "expires": (time.time() + 900) * 1000}
    await page.do("Page.enable")
    script = BEFORE_THE_PAGE % json.dumps(json.dumps(login))
    await page.do("Page.addScriptToEvaluateOnNewDocument", source=script)
    await page.do("Page.navigate", url=f"{ha.url}{path}")
    await page.shows(words)
    return await page.picture()


def _settings(broker: Mosquitto, pbx: SimPbx) -> dict[str, Any]:
    section = pbx_section(pbx, forwards=True)
    return configuration(broker.port, section, homeassistant=DISCOVERY, commands=COMMANDS)


async def main() -> None:
    """A missed call, then one that rings."""
    with tempfile.TemporaryDirectory() as name:
        async with (
            installed() as root,
            Mosquitto(Path(name)) as broker,
            SimPbx(STAFF, FAST) as pbx,
            home_assistant(root, Path(name), {}, broker.port) as ha,
            bridge(_settings(broker, pbx)),
            browser(root, Path(name)) as page,
        ):
            await eventually(lambda: ha.state(RINGING) == "off", "anna is there", 60)
            pbx.ring("Anna Müller", "0123", "ACME").hang_up()
            await eventually(lambda: ha.state("sensor.hq_anna_missed") == "1", "a call was missed")
            pbx.ring("Anna Müller", "0456", "Plumber")
            await eventually(lambda: ha.state(RINGING) == "on", "anna rings")
            device = (await ha.devices())["Anna"]["id"]
            picture = await photograph(ha, page, f"/config/devices/device/{device}", "Hang up")
            PICTURE.write_bytes(picture)


if __name__ == "__main__":
    asyncio.run(main())
