"""Drills in a network namespace: a real silent cut, and a name that changes its address."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.bus import eventually
from tests.drills.bench import INFO, STATE, Bench, Place
from tests.drills.drill import Drill
from tests.drills.system import command, no_root

SPACE, HERE, THERE = (f"hx{os.getpid()}{end}" for end in ("", "a", "b"))
"""Of this process: drills of several checkouts may run at once."""
OURS, THEIRS = (f"198.18.{os.getpid() >> 6 & 255}.{(os.getpid() & 63) * 4 + end}" for end in (1, 2))
SILENT_S = 20.0
NAME = "broker.test"


@asynccontextmanager
async def namespace(_folder: Path) -> AsyncIterator[Place]:
    """The bridge alone in a network namespace, its only way out a cable whose far end is ours."""
    await command("ip", "netns", "add", SPACE)
    try:
        await command("ip", "link", "add", HERE, "type", "veth", "peer", "name", THERE, "netns", SPACE)
        await command("ip", "address", "add", f"{OURS}/30", "dev", HERE)
        await command("ip", "link", "set", HERE, "up")
        for words in (f"address add {THEIRS}/30 dev {THERE}", f"link set {THERE} up", "link set lo up"):
            await command("ip", "-n", SPACE, *words.split())
        yield Place(OURS, ("ip", "netns", "exec", SPACE))
    finally:
        await command("ip", "netns", "delete", SPACE)


async def cable_cut(made: Bench) -> None:
    """Every packet is lost, both ways, without a word: both sides are noticed within 20 s by TCP alone."""
    await command("ip", "link", "set", HERE, "down")
    made.note("the cable is cut")
    start = time.monotonic()
    noticed = ('"pbx down"', '"mqtt down"')
    await eventually(lambda: all(line in made.program.log for line in noticed), "both are noticed", within=40)
    seconds = time.monotonic() - start
    made.history.add("figure", name="noticed_s", value=seconds)
    assert seconds < SILENT_S, f"noticed after {seconds:.1f} s only: {made.program.log}"
    await asyncio.sleep(120.0 if made.long else 0.0)
    await command("ip", "link", "set", HERE, "up")
    made.to_pbx.reset()
    made.note("the cable is mended")
    await made.truth()


def long_keepalive(settings: dict[str, Any], _folder: Path) -> None:
    """The keepalive of MQTT is not what finds the cut."""
    settings["mqtt"]["keepalive_s"] = 300


@asynccontextmanager
async def hosts(folder: Path) -> AsyncIterator[Place]:
    """The bridge with a hosts file of its own, in which the broker has a name."""
    file = folder / "hosts"
    file.write_text(f"127.0.0.1 localhost {NAME}\n")
    mounted = f'mount --bind {file} /etc/hosts && exec "$@"'
    yield Place("127.0.0.1", ("unshare", "--mount", "sh", "-c", mounted, "sh"))


async def name_changes(made: Bench) -> None:
    """The broker's name vanishes, then means another address: looked up at each attempt."""
    file = made.folder / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    made.note("the name is gone")
    made.to_broker.reset()
    await eventually(lambda: "the host name of the broker" in made.program.log, "the log names it", within=20)
    file.write_text(f"127.0.0.1 localhost\n127.0.0.1 {NAME}\n")
    made.note("the name is back")
    await made.truth()
    assert made.bus.now(STATE) == "online"
    assert made.bus.now(INFO)["link"] == "online"


def by_name(settings: dict[str, Any], _folder: Path) -> None:
    """The broker is known by its name, of which nobody can say that it is this machine."""
    settings["mqtt"]["insecure"] = True
    settings["mqtt"]["url"] = settings["mqtt"]["url"].replace("127.0.0.1", NAME)


DRILLS = (
    Drill("07c", "cable cut", cable_cut, long_keepalive, missing=no_root, around=namespace, truth_s=20.0),
    Drill("22", "name changes", name_changes, by_name, missing=no_root, around=hosts),
)
