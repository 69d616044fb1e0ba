"""Runs the bridge as `python -m bridge` does, and notes each turn of the loop that took long.

A turn is measured in CPU of the thread, so that what else the machine does is not counted. When the program
ends, the file `blocks.json` of the current folder has the time of each and its length. As soon as there is a
file `trim`, all memory that is free goes back to the system, and the file goes: what is left is kept.
"""

import asyncio
import ctypes
import gc
import json
import runpy
import threading
import time
from pathlib import Path

LONG_S, LOOK_S = 0.002, 0.2
blocks: list[tuple[float, float]] = []
run = asyncio.events.Handle._run


def measured(handle: asyncio.events.Handle) -> None:
    """One callback."""
    start_s = time.thread_time()
    run(handle)
    seconds = time.thread_time() - start_s
    if seconds > LONG_S:
        blocks.append((time.monotonic(), seconds))


def trim() -> None:
    """Wait for the file, and trim."""
    asked = Path("trim")
    while not asked.exists():
        time.sleep(LOOK_S)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    asked.unlink()


threading.Thread(target=trim, daemon=True).start()
setattr(asyncio.events.Handle, "_run", measured)  # noqa: B010  (the type checker knows it as a method)
try:
    runpy.run_module("bridge", run_name="__main__", alter_sys=True)
finally:
    Path("blocks.json").write_text(json.dumps(blocks), encoding="ascii")
