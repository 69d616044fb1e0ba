"""The set-up of a drill: real broker, simulated PBX, the real program, and proxies between them."""

import asyncio
import contextlib
import re
import secrets
import signal
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.net.addresses import is_loopback
from bridge.sim.auth import Account
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually, free_port
from tests.drills.history import Entry, History
from tests.drills.truth import Truth, View, observed
from tests.drills.workload import STAFF, Workload
from tests.kit.proxy import Proxy
from tests.running import FAST, Program, configuration, pbx_section

QUEUE = ("max_queued_messages 200000", "max_inflight_messages 1000")
INFO, STATE = "innovaphone/hq/info", "innovaphone/hq/state"
KEEPALIVE_S = 5
WARM_EVENTS = 20
PAGE_S, LOOK_AGAIN_S = 5.0, 0.1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bridge runs: the address at which it finds both ends, the command that puts it there.

    `module`: what is run as the program. `broker`: lines of the broker's configuration.
    """

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()
    module: str = "bridge"
    broker: tuple[str, ...] = ()


HERE = Place()


@dataclass(slots=True)
class Bench:
    """What a drill works with. Both ends are reached through proxies, which can be told to misbehave."""

    history: History
    broker: Mosquitto
    pbx: SimPbx
    bus: Observer
    to_broker: Proxy
    to_pbx: Proxy
    program: Program
    workload: Workload
    secret: str
    folder: Path
    web_port: int
    long: bool

    def note(self, text: str) -> None:
        """Write down what is done to whom."""
        self.history.add("fault", text=text)

    async def page(self) -> str:
        """The page of metrics; empty while nobody answers. The PBX and the proxies go on meanwhile."""
        try:
            async with asyncio.timeout(PAGE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.web_port)
                try:
                    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                    return (await reader.read()).decode()
                finally:
                    writer.close()
        except OSError:
            return ""

    async def shown(self, true: Callable[[str], object], what: str, within: float = PATIENCE_S) -> None:
        """Wait until the page of metrics shows something; fail when it does not in time."""
        end = time.monotonic() + within
        while not true(await self.page()):
            if time.monotonic() > end:
                pytest.fail(f"not within {within:g} s on the page of metrics: {what}")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def waiting(self, count: int) -> None:
        """Wait until so many messages wait for the broker."""
        series = re.compile(r'innovaphone_mqtt_outbox_messages\{pbx="hq"\} (\d+)')

        def queued(page: str) -> bool:
            found = series.search(page)
            return found is not None and int(found[1]) >= count

        await self.shown(queued, f"{count} messages wait for the broker", within=60)

    def memory(self) -> float:
        """What the bridge holds now, in MiB."""
        return self._status("VmRSS:")

    async def warm(self) -> None:
        """Let the workload run for a moment before the first fault."""
        await eventually(lambda: len(self.bus.events()) >= WARM_EVENTS, "the workload runs", within=60)

    async def truth(self, within: float = 30.0) -> float:
        """Wait until the bus tells what the PBX knows; note and return how long that took."""
        start = time.monotonic()
        with observed(self.pbx) as truth:
            await eventually(lambda: self._agrees(truth), "the bus tells what the PBX knows", within=within)
        seconds = time.monotonic() - start
        self.history.add("truth", seconds=seconds)
        return seconds

    def _agrees(self, truth: Truth) -> bool:
        """The link is online, and the bus has all users, each as the PBX has known it since."""
        info, told = self.bus.now(INFO), self._on_the_bus()
        online = self.bus.now(STATE) == "online" and bool(info) and info["settled"]
        same = told.keys() == truth.views.keys()
        return bool(online) and same and all(view in truth.views[user] for user, view in told.items())

    async def back(self) -> None:
        """The broker is here again: let the observer in first, then the bridge, else it would miss events."""
        await self.broker.start()
        await eventually(lambda: self.bus.subscribed, "the observer is back")
        self.to_broker.listen()

    async def broker_away(self) -> None:
        """The broker dies, and nobody answers at its place. The observer has what it acknowledged.

        In this order: an acknowledgement that still reached the bridge after the observer's last word would
        be of an event that dies with the broker. And the observer must know that it is away, or `back` would
        take the old subscription for the new one.
        """
        self.to_broker.refuse()
        self.to_broker.reset()
        await eventually(lambda: not self.to_broker.open, "the line to the broker is cut")
        await self.bus.heard_all()
        await self.broker.kill()
        await eventually(lambda: not self.bus.subscribed, "the observer has lost the broker")

    async def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the bridge and start it again."""
        self.peak()
        await self.program.end(number)
        await self.program.start()

    def peak(self) -> None:
        """Note the greatest memory of the bridge so far."""
        self.history.add("figure", name="MiB", value=self._status("VmHWM:"))

    def _status(self, name: str) -> float:
        process = self.program.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
                    if line.startswith(name):
                        return int(line.split()[1]) / 1024
        return 0.0

    def _on_the_bus(self) -> dict[str, View]:
        users = [topic for topic in list(self.bus.tree) if topic.startswith("innovaphone/hq/user/")]
        told = {topic.split("/")[3]: self.bus.now(topic) for topic in users if topic.endswith("/state")}
        return {
            user: (now["display_name"], tuple(sorted(call["remote"]["number"] for call in now["calls"])))
            for user, now in told.items()
            if now is not None
        }


@asynccontextmanager
async def bench(
    name: str,
    folder: Path,
    *,
    long: bool = False,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    place: Place = HERE,
) -> AsyncIterator[Bench]:
    """Everything up and settled. `change` may change the configuration before the start."""
    history, secret = History(name), f"canary-{secrets.token_hex(8)}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto(folder, *QUEUE, *place.broker))
        options = replace(
            FAST, port=free_port(), account=Account("admin", secret), habits=replace(FAST.habits, batch=50)
        )
        pbx = await stack.enter_async_context(SimPbx(STAFF, options))
        bus = await stack.enter_async_context(Observer(broker.port))
        to_broker = await stack.enter_async_context(Proxy(broker.port, host=place.address))
        port = urllib.parse.urlsplit(pbx.url).port
        to_pbx = await stack.enter_async_context(Proxy(port or 0, host=place.address))
        settings = _settings(place.address, to_broker.port, to_pbx.port, pbx, secret)
        web_port = free_port()
        settings["http"] = {"listen": f"127.0.0.1:{web_port}"}
        change(settings)
        program = Program(folder, settings, prefix=place.prefix, module=place.module)
        workload = Workload(pbx, bus, history)
        to_pbx.heard = workload.note_sent
        made = Bench(
            history, broker, pbx, bus, to_broker, to_pbx, program, workload, secret, folder, web_port, long
        )
        await program.start()
        try:
            await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled", within=60)
            yield made
        finally:
            await _end(made)


def _settings(address: str, broker_port: int, pbx_port: int, pbx: SimPbx, secret: str) -> dict[str, Any]:
    url = f"http://{address}:{pbx_port}{urllib.parse.urlsplit(pbx.soap_url).path}"
    rates = {"rate_per_minute": 6000, "calls_per_user_per_minute": 6000}
    settings = configuration(broker_port, pbx_section(pbx, url=url, password=secret), commands=rates)
    url = f"mqtt://{address}:{broker_port}"
    login = {"username": "bridge", "password": secret, "insecure": not is_loopback(address)}
    settings["mqtt"] = {"url": url, "keepalive_s": KEEPALIVE_S, **login}
    return settings


async def _end(made: Bench) -> None:
    """Stop what still runs, and complete the history."""
    made.peak()
    process = made.program.process
    if process is not None and process.returncode is None:
        await made.program.end(signal.SIGKILL)
    made.workload.note_done()
    for seen in made.bus.messages:
        if seen.topic.startswith("innovaphone/hq/") and seen.topic.endswith("/event"):
            made.history.entries.append(_seen(seen.at, seen.topic, seen.json))


def _seen(at: float, topic: str, payload: Any) -> Entry:
    return Entry(at, "bus", {"topic": topic, "payload": payload})
