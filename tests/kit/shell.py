"""For tests: `innovaphone-mqtt command` in this process, which saves the start of the program."""

import asyncio
import json
from pathlib import Path
from typing import Any

from bridge.shell.commands import command_app


def command(*words: str, file: Path = Path("/nowhere")) -> tuple[int, str, str]:
    """Exit code, output and errors of a command, run in this process."""
    said: list[str] = []
    complained: list[str] = []
    app = command_app(file, said.append, complained.append)
    code = app(list(words), standalone_mode=False)
    return int(code or 0), "\n".join(said), "\n".join(complained)


async def ask(port: int, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and reply of a command to the bridge at a broker."""
    code, output, _ = await asyncio.to_thread(
        command, "--url", f"mqtt://127.0.0.1:{port}", "--pbx", "hq", *words
    )
    reply: dict[str, Any] = json.loads(output)
    return code, reply
