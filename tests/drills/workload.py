"""Calls and commands, numbered, at a steady rate, as of a busy office and its machines. Checks nothing."""

import asyncio
import contextlib
import itertools
import random
import re
import time
from datetime import UTC, datetime, timedelta

from bridge.sim.model import LegNews, SimUser, UserNews
from bridge.sim.moves import SimCall
from bridge.sim.pbx import SimPbx
from tests.bus import Observer
from tests.drills.history import Entry, History

PEOPLE = tuple(
    SimUser(f"Person {number}", f"p{number}", str(100 + number), f"P{number}", groups=(("all", False),))
    for number in range(8)
)
STAFF = (SimUser("API", "api", groups=(("all", True),)), *PEOPLE)
COMMAND_LIVES_S = 5.0
COMMAND = "innovaphone/hq/command/call"
ASKED = re.compile(rb"e164>(9\d{6})<")
"""The number in a request to place a call; those of the calls from outside begin with a 0."""


class Workload:
    """Rings people and asks the bridge to place calls until it is stopped. `seed` makes it repeatable."""

    def __init__(self, pbx: SimPbx, bus: Observer, history: History, *, seed: int = 1) -> None:
        self._pbx = pbx
        self._bus = bus
        self._history = history
        self._random = random.Random(seed)  # noqa: S311  (no secret)
        self._numbers = itertools.count(1)
        self._known: set[str] = set()
        self._done = 0
        pbx.sessions.heard = self._heard

    async def run(self, *, calls_per_s: float = 20.0, commands_per_s: float = 5.0) -> None:
        """Work until cancelled. A call makes four to six events."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commands(commands_per_s))
            while True:
                tasks.create_task(self._call())
                await asyncio.sleep(1 / calls_per_s)

    def hang_up_all(self) -> None:
        """The office closes."""
        for call in list(self._pbx.exchange.calls):
            if isinstance(call, SimCall):
                _hang_up(call)

    def note_done(self) -> None:
        """Write down which call commands the PBX has carried out since the last time."""
        requests = self._pbx.requests("UserCall")
        offset = time.monotonic() - asyncio.get_running_loop().time()
        for request in requests[self._done :]:
            at = request.at + offset
            self._history.entries.append(Entry(at, "done", {"number": str(request.args["e164"])}))
        self._done = len(requests)

    def note_sent(self, at: float, data: bytes) -> None:
        """Write down when the bridge sent which call commands to the PBX."""
        for number in ASKED.findall(data):
            self._history.entries.append(Entry(at, "sent", {"number": number.decode()}))

    async def _call(self) -> None:
        call = self._pbx.ring(self._random.choice(PEOPLE).cn, f"0{next(self._numbers):06}")
        await asyncio.sleep(self._random.uniform(0.05, 0.3))
        if self._random.random() < 0.5 and call.legs:
            call.answer()
            await asyncio.sleep(self._random.uniform(0.05, 0.5))
        _hang_up(call)

    async def _commands(self, per_s: float) -> None:
        while True:
            number = f"9{next(self._numbers):06}"
            person = self._random.choice(PEOPLE)
            until = datetime.now(UTC) + timedelta(seconds=COMMAND_LIVES_S)
            request = {"id": number, "user": person.h323, "number": number, "expires_at": until.isoformat()}
            self._history.add("asked", number=number, expires=time.monotonic() + COMMAND_LIVES_S)
            for _ in range(2 if self._random.random() < 0.2 else 1):
                self._bus.send(COMMAND, request)
            await asyncio.sleep(1 / per_s)
            self._hang_up_placed()

    def _hang_up_placed(self) -> None:
        for call in list(self._pbx.exchange.calls):
            leg = call.caller if isinstance(call, SimCall) else None
            if leg is not None and leg.peer.e164.startswith("9") and isinstance(call, SimCall):
                _hang_up(call)

    def _heard(self, news: UserNews | LegNews) -> None:
        """The bridge has got a record of a leg for certain."""
        if isinstance(news, UserNews):
            return
        number = next((end.e164 for end in news.numbers if end.type == "peer"), "")
        over, known = not news.active, number in self._known
        (self._known.discard if over else self._known.add)(number)
        self._history.add("leg", number=number, over=over, known=known)


def _hang_up(call: SimCall) -> None:
    """It may be over already: the PBX may have been rebooted meanwhile."""
    with contextlib.suppress(KeyError):
        if call.legs:
            call.hang_up()
