"""Runs the bridge as `python -m bridge` does, and notes each turn of the loop that took long.

A turn is measured in CPU of the thread, so that what else the machine does is not counted. When the program
ends, the file `blocks.json` of the current folder has the time of each and its length.
"""

import asyncio
import json
import runpy
import time
from pathlib import Path

LONG_S = 0.002
blocks: list[tuple[float, float]] = []
run = asyncio.events.Handle._run


def measured(handle: asyncio.events.Handle) -> None:
    """One callback."""
    start_s = time.thread_time()
    run(handle)
    seconds = time.thread_time() - start_s
    if seconds > LONG_S:
        blocks.append((time.monotonic(), seconds))


setattr(asyncio.events.Handle, "_run", measured)  # noqa: B010  (the type checker knows it as a method)
try:
    runpy.run_module("bridge", run_name="__main__", alter_sys=True)
finally:
    Path("blocks.json").write_text(json.dumps(blocks), encoding="ascii")
