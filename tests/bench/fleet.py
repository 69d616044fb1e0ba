"""A thousand PBXs in one process: what a link costs while nothing happens, and how fast its events are.

    python -m tests.bench.fleet [--links 1000] [--python PYTHON] [--json FILE]

The bridge is a process of its own (`PYTHON -m bridge run`), so that any version can be measured; the PBXs
(fleet_pbxs.py) and Mosquitto are others. CPU and memory are read from /proc.
"""

import argparse
import asyncio
import json
import os
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
from tests.bus import Mosquitto, eventually

ONLINE_WITHIN_S, SETTLE_S = 120.0, 8.0
CALLS_PER_S, CALLS_FOR_S = 0.033, 15.0
"""For each PBX. Each call is three events, so a hundred PBXs have ten events a second."""
TICKS = os.sysconf("SC_CLK_TCK")


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
        self._client.loop_stop()


class Usage:
    """What a process uses, from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU since its start."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def kilobytes(self) -> int:
        """Resident memory of its own: what it shares with files does not grow with links."""
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


async def measure(links: int, python: str, idle_s: float, *, calls: bool) -> dict[str, float]:
    """One run with so many links. Fails if they do not get online."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(Mosquitto(folder))
        pbxs = await stack.enter_async_context(
            _process(sys.executable, "-m", "tests.bench.fleet_pbxs", str(links))
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
        await eventually(lambda: len(watcher.online_s) == links, everybody, within=ONLINE_WITHIN_S)
        usage = Usage(bridge.pid)
        figures = {"online_s": max(watcher.online_s.values()) - start_s, "online_cpu_s": usage.cpu_s}
        await asyncio.sleep(SETTLE_S)
        cpu_s, since_s = usage.cpu_s, time.monotonic()
        await asyncio.sleep(idle_s)
        figures["idle_cpu_percent"] = 100 * (usage.cpu_s - cpu_s) / (time.monotonic() - since_s)
        figures["kilobytes"] = usage.kilobytes
        if calls:
            figures |= await _with_calls(pbxs, links, usage, watcher)
        return figures


async def _with_calls(
    pbxs: asyncio.subprocess.Process, links: int, usage: Usage, watcher: Watcher
) -> dict[str, float]:
    assert pbxs.stdin is not None
    assert pbxs.stdout is not None
    cpu_s = usage.cpu_s
    pbxs.stdin.write(f"calls {CALLS_PER_S * links} {CALLS_FOR_S}\n".encode())
    await pbxs.stdout.readline()
    late_ms = sorted(watcher.late_ms)
    return {
        "events_a_second": watcher.events / CALLS_FOR_S,
        "event_p50_ms": statistics.median(late_ms),
        "event_p99_ms": late_ms[len(late_ms) * 99 // 100],
        "event_cpu_ms": 1e3 * (usage.cpu_s - cpu_s) / watcher.events,
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
    many = await measure(links, python, idle_s, calls=True)
    kilobytes = (many["kilobytes"] - alone["kilobytes"]) / (links - 1)
    return {"links": links, **many, "kilobytes_a_link": kilobytes}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--links", type=int, default=1000)
    parser.add_argument(
        "--idle", type=float, default=62.0, help="seconds; a PBX answers an idle Poll each minute"
    )
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = asyncio.run(run(given.links, given.python, given.idle))
    text = json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2)
    sys.stdout.write(f"{text}\n")
    if given.json is not None:
        given.json.write_text(text)


if __name__ == "__main__":
    main()
