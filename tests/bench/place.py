"""Where a row is measured: a broker, an ear, and the programs that are compared, side by side."""

import asyncio
import json
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.bench import usage
from tests.bench.control import ROOT, Helper
from tests.bench.ear import Ear
from tests.bus import Mosquitto

BROKER = ("max_queued_messages 0",)
"""Without a limit: the ear must miss nothing, however busy the machine is."""
GRACE_S = 0.3
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """An installation of the bridge: the name of its column, and its Python."""

    name: str
    python: str = sys.executable


@dataclass(slots=True)
class Subject:
    """One program under test with the PBX that feeds it. `pid` is the process whose CPU counts."""

    name: str
    source: Helper
    pid: int

    @property
    def cpu_s(self) -> float:
        """CPU so far."""
        return usage.cpu_s(self.pid)


class Place:
    """Everything up, inside `async with`; whatever was started in it ends with it."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.broker = Mosquitto(self.folder, *BROKER)
        self._ear: Ear | None = None

    async def __aenter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        await self._stack.enter_async_context(self.broker)
        self._ear = await Ear.open(self.broker.port)
        self._stack.callback(self._ear.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def ear(self) -> Ear:
        """Hears everything of this broker."""
        assert self._ear is not None
        return self._ear

    async def helper(self, module: str, *arguments: str) -> tuple[Helper, dict[str, Any]]:
        """Start a helper; it ends with the place."""
        helper, said = await Helper.start(module, *arguments)
        self._stack.push_async_callback(helper.end)
        return helper, said

    async def pbx(self, *arguments: str) -> tuple[Helper, str]:
        """A PBX and its address."""
        helper, said = await self.helper("pbx", *arguments)
        return helper, f"http://127.0.0.1:{said['port']}/PBX0/user.soap"

    async def process(self, command: list[str], name: str) -> tuple[asyncio.subprocess.Process, Path]:
        """Start a program outside of the project's folder, so that it finds its own packages only."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.folder, stderr=file, stdout=file
            )
        self._stack.push_async_callback(_end, process)
        return process, log

    async def bridge(
        self,
        program: Program,
        name: str,
        *pbx: str,
        monitor: bool = True,
        settings: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
    ) -> Subject:
        """The bridge with a PBX of its own, up to its first Poll.

        `settings` of the PBX, and `more` of the rest of the configuration.
        """
        source, url = await self.pbx(*pbx)
        section = self.section(name, url, monitor=monitor) | (settings or {})
        process, log = await self.run(program, name, [section], more=more)
        await self._polls(source, process, log)
        return Subject(name, source, process.pid)

    @staticmethod
    async def _polls(source: Helper, process: asyncio.subprocess.Process, log: Path) -> None:
        """Wait for the first Poll; say what the program says when none comes."""
        first, end = asyncio.create_task(source.ask("first")), asyncio.create_task(process.wait())
        await asyncio.wait((first, end), timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            raise RuntimeError(f"the program does not poll: {_tail(log)}")
        end.cancel()

    async def run(
        self,
        program: Program,
        name: str,
        sections: list[dict[str, Any]],
        *,
        inside: str = "",
        more: dict[str, Any] | None = None,
    ) -> tuple[asyncio.subprocess.Process, Path]:
        """Start the bridge with these PBXs; its process and its log.

        `inside`: a script of the folder `inside` that runs it.
        """
        config = {
            "mqtt": {
                "url": f"mqtt://127.0.0.1:{self.broker.port}",
                "base_topic": "bench",
                "client_id_prefix": f"bench-{name}",
            },
            "pbxs": sections,
            "http": {"listen": "off"},
            "log": {"level": "warning", "format": "text"},
            "commands": {"rate_per_minute": 6000, "calls_per_user_per_minute": 6000},
        }
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps(config | (more or {})))
        start = [str(ROOT / "tests" / "bench" / "inside" / inside)] if inside else ["-m", "bridge"]
        return await self.process([program.python, *start, "run", "-c", str(file)], name)

    async def ended(self, process: asyncio.subprocess.Process) -> None:
        """End a program in good order."""
        await _end(process)

    @staticmethod
    def section(name: str, url: str, *, monitor: bool = True) -> dict[str, Any]:
        """A PBX in the configuration."""
        return {
            "name": name,
            "url": url,
            "username": "admin",
            "password": "secret",
            "session_user": "API",
            "settle_s": GRACE_S,  # as 0.1.0 calls both times; it is still read
            "monitor_per_s": 10_000,
            "request_timeout_s": 60,
            "calls": [] if monitor else [{"exclude": True}],
        }

    async def naive(self, name: str, *pbx: str, monitor: bool = True) -> Subject:
        """The naive chain with a PBX of its own, up to its first Poll."""
        source, url = await self.pbx("--for-zeep", *pbx)
        command = [sys.executable, "-m", "tests.bench.naive", url, str(self.broker.port), name]
        process = await asyncio.create_subprocess_exec(*command, *(["--monitor"] * monitor), cwd=ROOT)
        self._stack.push_async_callback(_end, process)
        await asyncio.wait_for(source.ask("first"), START_S)
        return Subject(name, source, process.pid)

    async def paho(self, name: str) -> Subject:
        """Paho alone."""
        source, _ = await self.helper("paho_alone", str(self.broker.port), name)
        return Subject(name, source, source.pid)

    async def settled(self, subject: Subject, users: int, *, monitored: bool = True) -> None:
        """Give it the list; wait until all users are published, monitored, and known to have no call."""
        await subject.source.ask("list_all")
        await self.ear.heard(subject.name, "state", users)
        await subject.source.ask("monitored", users=users if monitored else 0)
        await asyncio.sleep(3 * GRACE_S)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until nothing more is published."""
        before = -1
        while (now := sum(self.ear.counts.values())) != before:
            before = now
            await asyncio.sleep(0.2)

    async def burst(self, subject: Subject, events: int, each: int = 20) -> float:
        """Have it publish so many events, as fast as it can; CPU seconds for each."""
        heard = self.ear.count(subject.name, "event")
        start_s = subject.cpu_s
        arguments = {} if subject.pid == subject.source.pid else {"each": each}
        await subject.source.ask("burst", events=events, **arguments)
        await self.ear.heard(subject.name, "event", heard + events)
        await self.quiet()
        return (subject.cpu_s - start_s) / events


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-2000:]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()
