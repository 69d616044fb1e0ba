"""The whole program between a PBX without mercy and a broker that is slower: nothing starves, nothing grows.

The PBX is the bench's, which answers each Poll at once with 20 events while it has any. The broker is a real
one behind a line that is narrow, or whose acknowledgements are late.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.core.outbox import CROWD_AT_MOST
from tests.bench.control import Helper
from tests.bench.usage import memory_kib
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.kit.network import CLEAR, Conditions
from tests.kit.proxy import Proxy
from tests.running import Program, configuration

USERS, EACH = 20, 20
NARROW, LATE = Conditions(bytes_per_s=200_000), Conditions(latency_s=0.1)
GROWTH_KIB = 20_480
DONE_S, LOOK_AGAIN_S = 120.0, 0.1
MORE_WAITS = 300
"""What may wait besides events: a state of each user, and what a few Polls brought."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The program is up, and its users are known."""

    pbx: Helper
    program: Program
    proxy: Proxy
    bus: Observer
    web_port: int

    async def figure(self, name: str) -> int:
        """A figure of the page of metrics, over all of its labels."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.web_port)
        try:
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            page = (await reader.read()).decode()
        finally:
            writer.close()
        found = re.findall(rf"^innovaphone_mqtt_{name}\{{.*\}} (\S+)$", page, re.MULTILINE)
        return sum(int(float(value)) for value in found)

    async def all_done_with(self, events: int) -> int:
        """Wait until so many were delivered or dropped; how many were dropped."""
        end = time.monotonic() + DONE_S
        while self.events + (dropped := await self.figure("dropped_messages_total")) < events:
            if time.monotonic() > end:
                pytest.fail(f"of {events} events, {dropped} dropped, {self.events} delivered")
            await asyncio.sleep(LOOK_AGAIN_S)
        return dropped

    @property
    def events(self) -> int:
        """How many events have come; not decoded, for that would take longer than the test."""
        return sum(each.topic.endswith("/event") for each in self.bus.messages)

    @property
    def memory_kib(self) -> int:
        """What the program holds."""
        assert self.program.process is not None
        return memory_kib(self.program.process.pid)

    async def both_go_on(self, start: int, events: int) -> None:
        """Wait for so many events in all, and for a state of each user after the first `start` messages."""
        await eventually(lambda: self.events >= events, "events go on", within=30)
        await eventually(lambda: len(self.busy_users(start)) == USERS, "states go on", within=30)

    def busy_users(self, since: int) -> set[str]:
        """Users with a state among the messages after the first `since`."""
        return {
            each.topic
            for each in self.bus.since(since)
            if each.topic.endswith("/state") and "/user/" in each.topic
        }


@asynccontextmanager
async def scene(folder: Path, **events: Any) -> AsyncIterator[Scene]:
    """Everything up, the line still good."""
    async with (
        Mosquitto(folder, "max_queued_messages 0") as broker,
        Proxy(broker.port) as proxy,
        Observer(broker.port) as bus,
    ):
        pbx, said = await Helper.start("pbx", f"--users={USERS}")
        web_port = free_port()
        section = {
            "name": "hq",
            "url": f"http://127.0.0.1:{said['port']}/PBX0/user.soap",
            "username": "admin",
            "password": "secret",
            "session_user": "API",
            "resync_grace_s": 0.3,
            "end_grace_s": 0.3,
        }
        settings = configuration(proxy.port, section, events=events)
        program = Program(folder, settings | {"http": {"listen": f"127.0.0.1:{web_port}"}})
        await program.start()
        try:
            await pbx.ask("list_all")
            await pbx.ask("monitored", users=USERS)
            await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")
            yield Scene(pbx, program, proxy, bus, web_port)
        finally:
            await pbx.end()
            await Program.end_all()


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.parametrize("line", [NARROW, LATE], ids=["narrow line", "late acknowledgements"])
async def test_a_slow_broker_holds_the_pbx_back(tmp_path: Path, line: Conditions) -> None:
    """Events and states both go on, nothing is lost, and memory does not grow with what the PBX can tell."""
    flood = 3_000
    async with scene(tmp_path) as here:
        before_kib = here.memory_kib
        here.proxy.conditions = line
        told = asyncio.create_task(here.pbx.ask("burst", events=flood, each=EACH))
        most = 0
        for turn in range(1, 6):
            await here.both_go_on(here.bus.count, turn * 100)
            most = max(most, await here.figure("outbox_messages"))
            assert not told.done(), "the PBX was asked for everything although the broker is slow"
        assert most <= CROWD_AT_MOST + MORE_WAITS
        assert here.memory_kib < before_kib + GROWTH_KIB
        here.proxy.conditions = CLEAR
        await told
        await eventually(lambda: here.events >= flood, "all events", moves=lambda: here.bus.count)
        assert [event["seq"] for event in here.bus.events()] == list(range(1, flood + 1))
        assert await here.figure("dropped_messages_total") == 0


@pytest.mark.slow
@pytest.mark.broker
async def test_what_is_too_old_is_counted(tmp_path: Path) -> None:
    """No event is delivered later than was promised: each is delivered in time, or dropped and counted."""
    flood, age_s = 2_000, 2.0
    async with scene(tmp_path, max_age_s=age_s) as here:
        here.proxy.conditions = Conditions(bytes_per_s=50_000)
        told = asyncio.create_task(here.pbx.ask("burst", events=flood, each=EACH))
        await eventually(lambda: here.events >= 100, "events go on", within=30)
        here.proxy.conditions = CLEAR
        await told
        dropped = await here.all_done_with(flood)
        events = here.bus.events()

        assert max(event["age_ms"] for event in events) <= age_s * 1000
        assert dropped > 0
        assert len(events) + dropped == flood
