"""A thousand PBXs in one process: what a link costs while nothing happens, and how fast its events are.

    python -m tests.bench.fleet [--links 1000] [--against PYTHON --against-name 0.1.0] [--page]

The bridge is a process of its own (`PYTHON -m bridge run`), so that any version can be measured; the PBXs
(fleet_pbxs.py) and Mosquitto are others. CPU and memory are read from /proc.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.sim.serve import fleet
from tests.bench import usage
from tests.bench.about import about
from tests.bench.control import ROOT
from tests.bench.figures import Figure
from tests.bench.report import TODAY, about_text, table, write_page
from tests.bus import Mosquitto, eventually
from tests.kit import paho_thread

ONLINE_WITHIN_S, SETTLE_S = 120.0, 8.0
USERS, MORE_USERS = 3, 2_003
"""Of each PBX; and of one PBX alone, to see what a user takes."""
CALLS_PER_S, CALLS_FOR_S = 0.033, 15.0
"""For each PBX. Each call is three events, so a hundred PBXs have ten events a second."""
PAGE = ROOT / "docs" / "scale.md"
OUTPUT = ROOT / "build" / "fleet.json"
ROWS = (
    ("an idle link: memory of its own", "kilobytes_a_link", "kB", 100.0),
    ("all idle links: CPU of a core", "idle_cpu_percent", "%", 3.0),
    ("from the start of the program until all are online", "online_s", "s", 10.0),
    ("the same: CPU a link", "online_cpu_ms", "ms", None),
    ("a user of a large PBX, monitored: memory", "kilobytes_a_user", "kB", None),
    ("memory of the process with one link", "alone_megabytes", "MB", None),
    ("memory of the process with all", "megabytes", "MB", None),
    ("events a second, ten for each hundred PBXs", "events_a_second", "", None),
    ("PBX has a call → subscriber has its event, p50", "event_p50_ms", "ms", None),
    ("the same, p99", "event_p99_ms", "ms", None),
    ("CPU an event", "event_cpu_ms", "ms", None),
)
"""What is shown, as what it is measured, its unit and its goal."""


class Watcher:
    """Hears states and events over paho's own thread: when each link was online, how late each event is."""

    def __init__(self, port: int) -> None:
        self.online_s: dict[str, float] = {}
        self.late_ms: list[float] = []
        self.events = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("innovaphone/+/state", 0), ("innovaphone/+/user/+/event", 0)])
        self._client.loop_start()

    def _hear(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        now_s = time.monotonic()
        if message.topic.endswith("/event"):
            event = json.loads(message.payload)
            self.events += 1
            if event["event_type"] == "incoming":
                self.late_ms.append(now_s * 1e3 - int(event["call"]["remote"]["number"]) / 1e3)
        elif message.payload == b"online":
            self.online_s.setdefault(message.topic, now_s)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        paho_thread.stop(self._client)


async def measure(
    links: int, python: str, idle_s: float, *, users: int = USERS, calls: bool
) -> dict[str, float]:
    """One run with so many links. Fails if they do not get online."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(Mosquitto(folder))
        pbxs = await stack.enter_async_context(
            _process(sys.executable, "-m", "tests.bench.fleet_pbxs", str(links), str(users))
        )
        assert pbxs.stdout is not None
        url = (await pbxs.stdout.readline()).decode().strip()
        watcher = Watcher(broker.port)
        stack.callback(watcher.close)
        file = folder / "bridge.yaml"
        file.write_text(json.dumps(_configuration(url, broker.port, links)))
        start_s = time.monotonic()
        with (folder / "bridge.log").open("wb") as log:
            running = _process(python, "-m", "bridge", "run", "-c", str(file), stderr=log, cwd=folder)
            bridge = await stack.enter_async_context(running)
        everybody = f"{links} links are online"
        online = watcher.online_s
        await eventually(
            lambda: len(online) == links, everybody, within=ONLINE_WITHIN_S, moves=lambda: len(online)
        )
        pid = bridge.pid
        figures = {"online_s": max(online.values()) - start_s, "online_cpu_s": usage.cpu_s(pid)}
        await asyncio.sleep(SETTLE_S)
        cpu_s, since_s = usage.cpu_s(pid), time.monotonic()
        await asyncio.sleep(idle_s)
        figures["idle_cpu_percent"] = 100 * (usage.cpu_s(pid) - cpu_s) / (time.monotonic() - since_s)
        figures["kilobytes"] = usage.memory_kib(pid, "RssAnon")
        if calls:
            figures |= await _with_calls(pbxs, links, pid, watcher)
        return figures


async def _with_calls(
    pbxs: asyncio.subprocess.Process, links: int, pid: int, watcher: Watcher
) -> dict[str, float]:
    assert pbxs.stdin is not None
    assert pbxs.stdout is not None
    cpu_s = usage.cpu_s(pid)
    pbxs.stdin.write(f"calls {CALLS_PER_S * links} {CALLS_FOR_S}\n".encode())
    await pbxs.stdout.readline()
    late_ms = sorted(watcher.late_ms)
    return {
        "events_a_second": watcher.events / CALLS_FOR_S,
        "event_p50_ms": statistics.median(late_ms),
        "event_p99_ms": late_ms[len(late_ms) * 99 // 100],
        "event_cpu_ms": 1e3 * (usage.cpu_s(pid) - cpu_s) / watcher.events,
    }


@asynccontextmanager
async def _process(*command: str, **more: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, **more)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


def _configuration(url: str, port: int, links: int) -> Mapping[str, object]:
    account = {"username": "admin", "password": "secret", "session_user": "API"}
    pbxs = [{"name": f"pbx{name}", "url": url, "dynamic_pbx": name, **account} for name in fleet(links)]
    return {"mqtt": {"url": f"mqtt://127.0.0.1:{port}"}, "pbxs": pbxs, "http": {"listen": "off"}}


async def run(links: int, python: str, idle_s: float) -> dict[str, float]:
    """The figures of a fleet: a link's memory is the difference to a process with one link."""
    alone = await measure(1, python, 0.0, calls=False)
    large = await measure(1, python, 20.0, users=MORE_USERS, calls=False)
    many = await measure(links, python, idle_s, calls=True)
    kilobytes = (many["kilobytes"] - alone["kilobytes"]) / (links - 1)
    return {
        **many,
        "alone_megabytes": alone["kilobytes"] / 1000,
        "megabytes": many["kilobytes"] / 1000,
        "kilobytes_a_link": kilobytes,
        "kilobytes_a_user": (large["kilobytes"] - alone["kilobytes"]) / (MORE_USERS - USERS),
        "online_cpu_ms": 1e3 * (many["online_cpu_s"] - alone["online_cpu_s"]) / (links - 1),
    }


def figures_of(runs: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """The rows of the table, by what `run` calls them."""
    return [
        Figure(what, goal, {name: (found[key],) for name, found in runs.items()}, unit)
        for what, key, unit, goal in ROWS
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=1000)
    parser.add_argument(
        "--idle", type=float, default=62.0, help="seconds; a PBX answers an idle Poll each minute"
    )
    parser.add_argument(
        "--against", metavar="PYTHON", help="the Python of another installation of the bridge"
    )
    parser.add_argument("--against-name", default="other", help="what its column is called, such as 0.1.0")
    parser.add_argument("--page", action="store_true", help="write the table into docs/scale.md")
    given = parser.parse_args()
    pythons = {given.against_name: given.against} if given.against else {}
    pythons[TODAY] = sys.executable
    runs = {name: asyncio.run(run(given.links, python, given.idle)) for name, python in pythons.items()}
    made = table(figures_of(runs), list(runs), given.against_name)
    said = about("tests.bench.fleet")
    print(f"{about_text(said)}\n\n{made}")  # noqa: T201
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps({**said, "links": given.links, "runs": runs}, indent=1), encoding="utf-8")
    if given.page:
        write_page(PAGE, f"{given.links:,} links. {about_text(said)}\n\n{made}")


if __name__ == "__main__":
    main()
