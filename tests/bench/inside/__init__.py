"""Scripts that the Python of a program runs, without this project's folder: they see that program only."""

import asyncio
from pathlib import Path

from tests.bench.place import Program


async def output(program: Program, script: str, *arguments: object) -> str:
    """What a script of this folder writes."""
    command = (program.python, str(Path(__file__).with_name(script)), *map(str, arguments))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, cwd="/")
    written, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{script} of {program.name} failed: exit code {process.returncode}")
    return written.decode()
