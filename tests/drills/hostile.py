"""Drills with a hostile or a poor environment: full disks, few descriptors, garbage, second bridges."""

import asyncio
import json
import random
import re
import resource
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.bus import eventually
from tests.drills.bench import HERE, STATE, Bench, Place
from tests.drills.drill import Drill, durable, fence
from tests.drills.garbage import pieces
from tests.drills.system import command, no_root
from tests.running import Program, stands_back

COMMANDS = "innovaphone/hq/command"
FEW = 64
AT_ONCE = 200


def no_faketime() -> str:
    """Why the clock cannot be moved here."""
    return "" if faketime() else "install libfaketime (apt install faketime)"


def faketime() -> Path | None:
    """Where libfaketime is."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


async def two_bridges(made: Bench) -> None:
    """A second bridge for the same PBX: one of them stands back, commands run once."""
    folder = made.folder / "second"
    folder.mkdir()
    settings = json.loads(made.program.file.read_text())
    second = Program(folder, {**settings, "http": {"listen": "off"}})
    made.note("a second bridge starts")
    await second.start()
    try:
        logs = (made.program, second)
        await eventually(lambda: any(map(stands_back, logs)), "one stands back", within=30)
        await made.truth()
        assert sum(program.log.count('"event": "mqtt up"') for program in logs) <= 6, "they fight"
    finally:
        await second.end(signal.SIGKILL)
    made.note("the second bridge is killed")
    if stands_back(made.program):
        await made.restart()
    await made.truth()


async def garbage(made: Bench) -> None:
    """Commands that are none: a refusal each, no call at the PBX, memory flat."""
    count = 100_000 if made.long else 2_000
    before = made.memory()
    for number, (topic, payload) in enumerate(pieces(random.Random(3), count)):  # noqa: S311  (no secret)
        arrived = made.bus.send_bytes(f"{COMMANDS}/{topic}", payload)
        if number % AT_ONCE == 0:
            await eventually(arrived, "the broker has it", within=30)
    await fence(made)
    assert made.pbx.requests("UserCall") == [], "garbage was obeyed"
    grown = made.memory() - before
    made.history.add("figure", name="grown_MiB", value=grown)
    assert grown < 32, f"memory grew by {grown:.0f} MiB"


async def old_commands(made: Bench) -> None:
    """A retained command, and a thousand that were sent while the bridge was away: none is executed."""
    made.bus.publish(f"{COMMANDS}/call", {"user": "p1", "number": "8000000"}, retain=True)
    await made.program.end(signal.SIGTERM)
    for number in range(1000):
        made.bus.send(f"{COMMANDS}/call", {"id": f"old-{number}", "user": "p1", "number": f"8{number:06}"})
    made.bus.publish(f"{COMMANDS}/call", {"user": "p1", "number": "8000001"}, retain=True)
    await made.program.start()
    await made.truth()
    await fence(made)
    assert made.pbx.requests("UserCall") == [], "an old command was executed"


async def disk_full(made: Bench) -> None:
    """The state directory is full: events go on from memory, one line and a metric say so, and it heals."""
    ballast = made.folder / "state" / "ballast"
    await made.shown(lambda page: 'state_store_up{pbx="hq"} 1.0' in page, "the store works")
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            made.note("the disk is full")
    await made.shown(lambda page: 'state_store_up{pbx="hq"} 0.0' in page, "the store is down", within=30)
    assert made.program.log.count("state directory down") == 1
    await made.truth()
    ballast.unlink()
    made.note("the disk has room")
    await made.shown(lambda page: 'state_store_up{pbx="hq"} 1.0' in page, "the store is back", within=30)
    await made.restart()
    await made.truth()


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[Place]:
    """A file system of 16 MiB as state directory."""
    state = folder / "state"
    state.mkdir()
    await command("mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs", str(state))
    try:
        yield HERE
    finally:
        await command("umount", str(state))


async def few_descriptors(made: Bench) -> None:
    """With 64 descriptors at most it runs, and recovers when a crowd at the web port used them up."""
    await made.program.end(signal.SIGTERM)

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, FEW))

    await made.program.start(before=before)
    await made.truth()
    crowd = [await asyncio.open_connection("127.0.0.1", made.web_port) for _ in range(FEW)]
    made.note("a crowd at the web port")
    made.to_broker.reset()
    await eventually(lambda: made.bus.now(STATE) == "offline", "the broker lost the bridge")
    for _, writer in crowd:
        writer.close()
    made.note("the crowd is gone")
    await made.truth()


JUMPS = (("+1h", 3600), ("-1h", -3600), ("+1d", 86_400), ("-1d", -86_400), ("+0", 0))
NEAR_S = 60.0
_COUNTED = re.compile(r"^innovaphone_mqtt_clock_jumps_total (\S+)$", re.MULTILINE)
_BEAT = re.compile(r"^innovaphone_mqtt_loop_beat_timestamp_seconds (\S+)$", re.MULTILINE)


def _jumps(page: str) -> float:
    """How many jumps a page of metrics counts."""
    found = _COUNTED.search(page)
    return float(found[1]) if found else 0.0


def _has_jumped(offset_s: float, before: float, page: str) -> bool:
    """The bridge lives at this distance from our time, and has counted that.

    It may have counted more: libfaketime reads its file without a lock, and tells one of two threads that
    look at the same moment a wrong time, once.
    """
    beat = _BEAT.search(page)
    there = beat is not None and abs(float(beat[1]) - time.time() - offset_s) < NEAR_S
    return there and _jumps(page) > before


async def clock_jumps(made: Bench) -> None:
    """The wall clock goes an hour and a day back and forth: nobody reconnects, durations stay right."""
    stamp, library = made.folder / "clock", faketime()
    await made.program.end(signal.SIGTERM)
    stamp.write_text("+0")
    environment = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(stamp)}
    options = {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
    await made.program.start(environment={**environment, **options})
    await made.truth()
    accepted = made.to_broker.accepted
    for jump, offset_s in JUMPS:
        before = _jumps(await made.page())
        made.note(f"clock {jump}")
        fresh = stamp.with_suffix(".new")
        fresh.write_text(jump)
        fresh.rename(stamp)  # at once: a look at a file that is empty for a moment would be a jump of its own
        await made.shown(partial(_has_jumped, offset_s, before), "the jump is counted")
        await asyncio.sleep(10.0 if made.long else 0.0)
        await made.truth()
    assert made.to_broker.accepted == accepted, "the bridge has reconnected"
    assert len(made.pbx.requests("Initialize")) == 2, "the PBX session was opened anew"
    assert all(abs(event["call"]["ring_s"] or 0) < 60 for event in made.bus.events() if event["call"])


def no_expiry(settings: dict[str, Any], _folder: Path) -> None:
    """Garbage may come as fast as it likes."""
    settings["commands"]["rate_per_minute"] = 6000


DRILLS = (
    Drill("12", "two bridges", two_bridges, lost=None, ends=None),
    Drill("16", "garbage commands", garbage, no_expiry, load=False),
    Drill("17", "old commands", old_commands, load=False),
    Drill("18", "clock jumps", clock_jumps, missing=no_faketime),
    Drill("21", "disk full", disk_full, durable, missing=no_root, around=small_disk),
    Drill("24", "few descriptors", few_descriptors),
)
