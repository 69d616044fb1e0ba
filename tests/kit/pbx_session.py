"""The one double of a PBX session: reports what its test gives it, notes what it is asked (PbxSession).

A test that needs another answer to an action derives from it and overrides `perform`.
"""

import asyncio
from collections.abc import Sequence

from bridge.core.backend import IgnoreEvents, InTime, PbxEvents
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.message import Json
from bridge.core.records import Batch, LegRecord, UserRecord
from bridge.core.status import About
from bridge.errors import LinkError

FIRST_HANDLE = 100


class FakePbxSession:
    """Lists its users, agrees to monitor them, and performs every action at once.

    `asked`: what it was asked for, by method, for an action by the name of its verb.
    """

    def __init__(self, users: Sequence[UserRecord] = ()) -> None:
        self.users = tuple(users)
        self.asked: list[str] = []
        self.monitored: set[str] = set()
        self._events: PbxEvents = IgnoreEvents()
        self._broken: asyncio.Queue[LinkError] = asyncio.Queue()
        self._handles = FIRST_HANDLE

    async def serve(self, events: PbxEvents) -> None:
        """Report the users, then what `report` is given, until `break_off`."""
        self.asked.append("serve")
        self._events = events
        events.began(About("fake 1"))
        events.reported(Batch(users=self.users, list_complete=True))
        raise await self._broken.get()

    def report(self, *legs: LegRecord) -> None:
        """Legs are new or have changed."""
        self._events.reported(Batch(legs=legs))

    def break_off(self, error: LinkError) -> None:
        """The session ends."""
        self._broken.put_nowait(error)

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Agree at once; nothing runs already."""
        del name, urgent
        self.asked.append("monitor")
        self.monitored.add(guid)
        self._events.monitored(guid)
        self._events.settled(guid)

    def unmonitor(self, guid: str) -> None:
        """Stop."""
        self.asked.append("unmonitor")
        self.monitored.discard(guid)

    def read_forwards(self, guid: str, name: str) -> None:
        """Nobody forwards anything."""
        del guid, name

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Do it. A call that is placed gets a leg that is being set up."""
        in_time()
        self.asked.append(type(action).__module__.rpartition(".")[2])
        if not isinstance(action, PlaceCall):
            return {}
        self._handles += 1
        call = self._events.placed(action.user.guid, self._handles, command_id)
        self.report(LegRecord(action.user.guid, self._handles))
        return {"call": call}

    async def rest(self) -> None:
        """Nothing needs to rest."""
