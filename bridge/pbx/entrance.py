"""How many sessions log in to one host, and read their first list from it, at the same time.

Several PBXs may share a box, which is small: a hundred logins at once keep it from its calls. Other hosts
have an entrance of their own, so a box that is down holds up no other. Opens no connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bridge.errors import Unreachable

WAIT_S, START_S = 60.0, 15.0
"""How long a session waits for its turn, and how long the turn lasts if the list does not end before."""


class Turn:
    """The right to start a session; given back once, when its list is complete or it has failed."""

    def __init__(self, entrance: asyncio.Semaphore) -> None:
        self._entrance = entrance
        self._over = False

    def end(self) -> None:
        """Let the next one start. Does nothing the second time."""
        if not self._over:
            self._over = True
            self._entrance.release()


class Entrance:
    """The entrance of one host."""

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[Turn]:
        """Wait for a turn, which ends at the latest with this context. Raises Unreachable if none comes."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise Unreachable(
                f"too many sessions with {host} are starting: no turn in {WAIT_S:g} s"
            ) from None
        turn = Turn(self._free)
        late = asyncio.get_running_loop().call_later(START_S, turn.end)
        try:
            yield turn
        finally:
            late.cancel()
            turn.end()


class Entrances:
    """The entrances of all hosts, shared by all PBXs of a process. `at_once`: how many start at each."""

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
        self._hosts: dict[str, Entrance] = {}

    @asynccontextmanager
    async def turn(self, url: str) -> AsyncIterator[Turn]:
        """Wait for a turn at the host of this URL, whatever its port and path. Raises Unreachable."""
        host = urlsplit(url).hostname or ""
        entrance = self._hosts.setdefault(host, Entrance(self.at_once))
        async with entrance.turn(host) as turn:
            yield turn
