"""Leads one side of a link back to its primary address: looks at it, waits for a calm moment, ends sessions.

Chooses no address (core/standby.py does) and opens no session but the looks that it is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from random import random

from bridge.core.standby import AddressChoice
from bridge.errors import SessionLost

RECHECK_S = 0.25
LEAVE_S = 10.0
"""How long a session may take to end when it was asked to. One that is still being opened cannot be asked."""


class WayBack:
    """Runs beside the sessions with a standby.

    `look`: whether the primary would serve us; raises nothing. `calm`: nothing can be lost now. `said` hears
    of each return.
    """

    def __init__(
        self,
        choice: AddressChoice,
        *,
        look: Callable[[], Awaitable[bool]],
        calm: Callable[[], bool],
        clock: Callable[[], float],
        said: Callable[[], None],
    ) -> None:
        self._choice = choice
        self._look = look
        self._calm = calm
        self._clock = clock
        self._said = said

    async def beside(
        self, serving: Coroutine[None, None, None], leave: Callable[[], Awaitable[object]]
    ) -> None:
        """Serve one session until it breaks. Once the primary should be served again, `leave` ends it."""
        if self._choice.place == 0:
            await serving
            return
        session = asyncio.create_task(serving, name="on standby")
        found = asyncio.create_task(self._found(), name="way back")
        try:
            await asyncio.wait({session, found}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                found.result()
                self._choice.returns()
                self._said()
                await leave()
                await asyncio.wait({session}, timeout=LEAVE_S)
            if not session.done():
                raise SessionLost("the session with the standby was ended")
            await session
        finally:
            for task in (session, found):
                task.cancel()
            await asyncio.gather(session, found, return_exceptions=True)

    async def _found(self) -> None:
        """Return when the primary has answered for long enough, and has just done so in a calm moment."""
        while True:
            await self._pause(self._choice.look_in_s(random))
            good = await self._look()
            self._choice.looked(self._clock(), good=good)
            if self._ready():
                return

    async def _pause(self, seconds: float) -> None:
        """Wait for the next look, or for a calm moment if only that is missing."""
        if not self._choice.may_return(self._clock()):
            await asyncio.sleep(seconds)
            return
        end_s = self._clock() + seconds
        while True:
            if self._ready() or self._clock() >= end_s:
                return
            await asyncio.sleep(RECHECK_S)

    def _ready(self) -> bool:
        """A busy PBX has no calm moment, and new calls are at the primary: do not wait for ever."""
        now_s = self._clock()
        return self._choice.may_return(now_s) and (self._calm() or self._choice.is_overdue(now_s))
