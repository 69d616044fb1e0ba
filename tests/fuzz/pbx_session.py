"""The PBX session of the fuzzed histories, as the real link sees it: it reports when a rule says so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bridge.core.backend import PbxEvents, PbxSession
from bridge.core.records import Batch
from bridge.core.status import About
from bridge.core.value import evolve
from bridge.pbx.wire import PollSlice
from tests.fuzz.exchange import Exchange, Session
from tests.kit.pbx_session import FakePbxSession


class FuzzSession(FakePbxSession):
    """A session whose rules decide what the link hears, and when. Nobody sends commands in these histories.

    `wanted`: users whose monitoring was asked for. `settling`: users that are monitored, and how many records
    must have been taken until all their running calls have come.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.serving = False
        self.by_handle: dict[int, str] = {}
        self.wanted: dict[str, None] = {}
        self.settling: list[tuple[str, int]] = []

    @property
    def heard(self) -> PbxEvents:
        """The link that hears this session."""
        return self._events

    async def serve(self, events: PbxEvents) -> None:
        """Open the session; the rules report through `heard`."""
        self._events, self.serving = events, True
        events.began(About("v", "s", "l"))
        raise await self._broken.get()

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Note a user to monitor."""
        del name, urgent
        if guid not in self.by_handle.values():
            self.wanted[guid] = None

    def unmonitor(self, guid: str) -> None:
        """Note a user not to monitor."""
        self.wanted.pop(guid, None)
        self.by_handle = {handle: other for handle, other in self.by_handle.items() if other != guid}

    def resolved(self, part: PollSlice) -> Batch:
        """What the session makes of a slice: legs with the guids of their users, those of nobody left out."""
        known = ((heard.record, self.by_handle.get(heard.user_handle)) for heard in part.legs)
        legs = tuple(evolve(record, user=guid) for record, guid in known if guid is not None)
        return Batch(part.users, legs, part.list_complete, part.unreadable)

    def ask(self, exchange: Exchange, pick: int) -> None:
        """Ask the PBX to monitor one of those who wait for it."""
        guid = list(self.wanted)[pick % len(self.wanted)]
        del self.wanted[guid]
        handle = exchange.monitor(guid)
        if handle:
            self.by_handle[handle] = guid
            self.heard.monitored(guid)
            self.settling.append((guid, self.session.queued))
        else:
            self.heard.not_monitored(guid, guid, "there is no such user")


class Opener:
    """Opens sessions when a rule allows it. Until `remembers` is true, a session lists the users at once."""

    def __init__(self, exchange: Exchange, remembers: Callable[[], bool]) -> None:
        self.current: FuzzSession | None = None
        self._exchange = exchange
        self._remembers = remembers
        self._let_in = asyncio.Event()

    def let_in(self) -> None:
        """The PBX takes one session."""
        self._let_in.set()

    @asynccontextmanager
    async def __call__(self, _attempt: int) -> AsyncIterator[PbxSession]:
        """See OpenPbx."""
        if not self._remembers():
            yield FakePbxSession(self._exchange.records())
            return
        await self._let_in.wait()
        self._let_in.clear()
        made = self.current = FuzzSession(self._exchange.open())
        try:
            yield made
        finally:
            self.current = None
