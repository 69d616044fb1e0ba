"""For tests: the whole bridge in this process, or the real program as another one."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from bridge import app
from bridge.config.schema import Config
from bridge.sim.model import SimUser
from bridge.sim.operations import Profile
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.session import Habits

STAFF = (
    SimUser("API", "api", groups=(("all", True),)),
    SimUser("Anna Müller", "anna", "21", "Anna", groups=(("all", False), ("sales", True))),
    SimUser("Bert O'Neil", "bert", "22", "Bert", groups=(("all", False),)),
    SimUser("Carla & Co", "carla/x", "23", "Carla", groups=(("all", False),)),
    SimUser("Night", "night", object="bool", type="", groups=(("all", False),)),
)
EVERYBODY = (("all", False),)
PEOPLE = (
    SimUser("API", "api", groups=(("all", True),)),
    SimUser("Anna", "anna", "21", groups=EVERYBODY),
    SimUser("Bert", "bert", "22", groups=EVERYBODY, loc="Berlin"),
    SimUser("Carla", "carla", "23", groups=EVERYBODY, loc="Wien"),
)
"""Users of a system: some of the master, one at each of two locations."""
MAY_NOT_CLEAR = """
user bridge
topic readwrite innovaphone/hq/state
topic read innovaphone/hq/command/#
topic read innovaphone/hq/user/+/command/+
topic readwrite innovaphone/hq/user/+/state
topic write innovaphone/hq/user/+/event
topic write innovaphone/hq/info
topic readwrite innovaphone/hq/response/+
"""
"""Rights of a bridge that may read command topics only, so that what is retained there stays."""
FAST = SimOptions(
    profile=Profile(call_step_s=0.02, far_end_answers_s=0.02), habits=Habits(batch=3), session_linger_s=0.5
)


def pbx_section(sim: SimPbx, **changes: Any) -> dict[str, Any]:
    """The configuration of a simulated PBX."""
    section = {
        "name": "hq",
        "url": sim.soap_url,
        "username": "admin",
        "password": "secret",
        "session_user": "API",
        "resync_grace_s": 0.3,
        "end_grace_s": 0.3,
    }
    return {**section, **changes}


def configuration(port: int, *pbxs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A whole configuration."""
    mqtt = {"url": f"mqtt://127.0.0.1:{port}"}
    return {"mqtt": mqtt, "pbxs": list(pbxs), "http": {"listen": "off"}, **more}


@asynccontextmanager
async def bridge(settings: dict[str, Any]) -> AsyncIterator[asyncio.Event]:
    """The bridge in this process; ended by the event or at the end of the context."""
    config, stop = Config.model_validate(settings), asyncio.Event()
    task = asyncio.create_task(app.run(config, config.pbxs, stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


class Program:
    """The real program with a configuration file; its log goes to a file, which nothing can fill up.

    `prefix` is a command that runs it somewhere else; `module` stands for it with changes of a test;
    `arguments` follow the name of the file.
    """

    started: ClassVar[set["Program"]] = set()  # those that a failed test leaves running are ended after it

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        *,
        prefix: Sequence[str] = (),
        module: str = "bridge",
        arguments: Sequence[str] = (),
    ) -> None:
        self._arguments = arguments
        self._prefix = prefix
        self._module = module
        self.file = folder / "bridge.yaml"
        self.file.write_text(json.dumps(settings))
        self.process: asyncio.subprocess.Process | None = None
        self._log = folder / "bridge.log"
        self._log_starts = 0

    @property
    def log(self) -> str:
        """The log lines of this run."""
        return self._log.read_bytes()[self._log_starts :].decode()

    @property
    def whole_log(self) -> str:
        """The log lines of all runs."""
        return self._log.read_text(encoding="utf-8")

    async def start(
        self,
        *,
        before: Callable[[], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> asyncio.subprocess.Process:
        """Start it. `before` sets limits in the new process."""
        with self._log.open("ab") as log:
            self._log_starts = log.tell()
            run = (sys.executable, "-m", self._module, "run", "-c", str(self.file))
            command = (*self._prefix, *run, *self._arguments)
            self.process = await asyncio.create_subprocess_exec(
                *command, stderr=log, preexec_fn=before, env={**os.environ, **(environment or {})}
            )
        self.started.add(self)
        return self.process

    @classmethod
    async def end_all(cls) -> None:
        """End those that still run."""
        while cls.started:
            program = cls.started.pop()
            if program.process is not None and program.process.returncode is None:
                await program.end(signal.SIGKILL)

    async def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code and the log."""
        assert self.process is not None
        self.process.send_signal(number)
        code = await self.process.wait()
        return code, self.log


async def program(*arguments: str) -> tuple[int, str, str]:
    """Run the command line; exit code, output and errors."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *arguments), stdout=pipe, stderr=pipe
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def stands_back(program: Program) -> int:
    """How many lines of its log say that another bridge has its place.

    A newer Mosquitto says who took a session; else the bridge asks the bus after the second loss.
    """
    return len(re.findall(r"another (client uses our client id|bridge serves the PBX).*error", program.log))
