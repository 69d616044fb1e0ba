"""Drills with bugs planted in the bridge: each costs its link a restart at most, the witness nothing."""

import asyncio
import http.client
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bridge.sim.pbx import SimPbx
from tests.bus import eventually
from tests.drills.bench import Bench, Place
from tests.drills.drill import Drill
from tests.drills.planted import FOREVER, LINKS, ONCE, PLANTS, PROCESS
from tests.running import FAST, STAFF, pbx_section

BACK_S = 10.0
NEVER_ONLINE = ("decode", "fold", "pump", "journal", "read-back", "start")
"""With such a bug for ever a link cannot work, and must say so."""


class Stage:
    """A PBX for the links with bugs. The witness is the link `hq` of the bench, which has the workload."""

    def __init__(self, *, forever: bool) -> None:
        self._forever = forever
        self._pbx = SimPbx(STAFF, FAST)

    @asynccontextmanager
    async def around(self, folder: Path) -> AsyncIterator[Place]:
        """The PBX, and the folder that arms the bugs."""
        (folder / "plants").mkdir()
        async with SimPbx(STAFF, FAST) as self._pbx:
            yield Place(prefix=("env", f"{PLANTS}={folder / 'plants'}"), module="tests.drills.planted")

    def change(self, settings: dict[str, Any], _folder: Path) -> None:
        """A link for each bug."""
        settings["pbxs"] += [pbx_section(self._pbx, name=name) for name in LINKS]

    async def run(self, made: Bench) -> None:
        """All bugs at once: all links come back or say `offline`, and the witness notices nothing."""
        await eventually(lambda: self._online(made) == {*LINKS}, "all links are online", within=60)
        made.note("bugs")
        for name in (*LINKS, *PROCESS):
            file = made.folder / "plants" / name
            file.write_text(f"{FOREVER if self._forever else ONCE} 0", encoding="ascii")
        call = self._pbx.ring("Anna Müller", "0111")
        await self._provoke(made)
        await eventually(lambda: self._silent(made) == set(), "every bug is in the log", within=BACK_S)
        if self._forever:
            lost = {*NEVER_ONLINE}
            await eventually(lambda: not lost & self._online(made), "they say offline", within=BACK_S)
        else:
            await eventually(lambda: self._online(made) == {*LINKS}, "all are back", within=BACK_S)
        call.hang_up()
        if not self._forever:
            await self._work_again(made)
        await self._judge(made)

    async def _provoke(self, made: Bench) -> None:
        """Do what leads to the planted places: commands, a stranger's word, pages, a reload."""
        for name in LINKS:
            made.bus.send(f"innovaphone/{name}/command/ping", {"id": f"ping-{name}"})
        made.bus.publish("innovaphone/timer/state", "offline")
        assert made.program.process is not None
        made.program.process.send_signal(signal.SIGHUP)
        assert await asyncio.to_thread(_look_at, made.web_port) == HTTPStatus.INTERNAL_SERVER_ERROR

    async def _work_again(self, made: Bench) -> None:
        """A call after it all is told by every link."""
        infos = [f"innovaphone/{name}/info" for name in LINKS]
        await eventually(lambda: all(made.bus.now(info)["settled"] for info in infos), "all settled", BACK_S)
        call = self._pbx.ring("Anna Müller", "0222")
        await eventually(lambda: self._told(made, "0222", "ringing") == {*LINKS}, "a call is told", BACK_S)
        call.hang_up()
        await eventually(lambda: self._told(made, "0222", "missed") == {*LINKS}, "its end is told", BACK_S)

    def _told(self, made: Bench, number: str, kind: str) -> set[str]:
        """The links that have told this of a call."""
        return {
            name
            for name in LINKS
            for event in made.bus.events("anna", name)
            if event["call"]["remote"]["number"] == number and event["event_type"] == kind
        }

    def _online(self, made: Bench) -> set[str]:
        return {name for name in LINKS if made.bus.now(f"innovaphone/{name}/state") == "online"}

    def _silent(self, made: Bench) -> set[str]:
        """The bugs of which the log has no trace."""
        return {*LINKS, *PROCESS} - set(planted_in(made))

    async def _judge(self, made: Bench) -> None:
        said = planted_in(made)
        twice = {name for name in said if said.count(name) > len(LINKS.get(name, ("",)))}
        assert twice == set(), f"one line for each bug: {twice}"
        counted = dict(re.findall(r'_bugs_total\{pbx="([^"]*)"\} (\d+)\.0', await made.page()))
        assert {name for name in (*LINKS, "") if int(counted[name]) == 0} == set(), "all are counted"
        assert int(counted["hq"]) == 0
        witness = [line["event"] for line in lines(made) if line.get("pbx") == "hq"]
        assert [event for event in witness if event.endswith("down")] == [], "the witness was lost"


def lines(made: Bench) -> list[dict[str, Any]]:
    """The log, decoded."""
    return [json.loads(line) for line in made.program.log.splitlines()]


def bugs(made: Bench) -> list[dict[str, Any]]:
    """The lines that name a bug."""
    return [line for line in lines(made) if line["event"] == "bug"]


def planted_in(made: Bench) -> list[str]:
    """The planted bug of each of these lines; the trace of a group of tasks has a frame around it."""
    return [re.findall(r"PlantedError: (\S+)", line["exception"])[-1] for line in bugs(made)]


def _look_at(port: int) -> int:
    """Look at the page that has the bug."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status
    finally:
        connection.close()


def _drill(number: str, name: str, *, forever: bool) -> Drill:
    stage = Stage(forever=forever)
    return Drill(number, name, stage.run, stage.change, around=stage.around)


DRILLS = (
    _drill("25", "bugs once", forever=False),
    _drill("25b", "bugs for ever", forever=True),
)
