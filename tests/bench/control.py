"""Processes of the bench that obey lines of JSON: both ends of that conversation."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Order = dict[str, Any]
LONGEST_LINE = 2**24


class Helper:
    """A started process of the bench; `ask` gives an order and waits for its answer."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, module: str, *arguments: str) -> tuple["Helper", Order]:
        """Start a module of the bench; with what it says first."""
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", f"tests.bench.{module}", *arguments)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, cwd=ROOT, limit=LONGEST_LINE
        )
        helper = cls(process)
        return helper, await helper.heard()

    async def ask(self, do: str, **arguments: object) -> Order:
        """Give an order, and wait until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        return await self.heard()

    async def heard(self) -> Order:
        """The next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a helper has ended: exit code {await self._process.wait()}")
        answer: Order = json.loads(line)
        return answer

    async def end(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


def say(**what: object) -> None:
    """Write one line to who started us."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def obey(perform: Callable[[Order], Awaitable[Order]]) -> None:
    """Perform the orders of standard input, one after another, until it ends."""
    reader = asyncio.StreamReader(LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        say(**await perform(json.loads(line)))
