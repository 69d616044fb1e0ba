"""The seam to a PBX: all that a link, the check and the metrics know of the interface behind it.

Types only, no implementation. Users are named by guid here, so no handle of a user and no word of a protocol
passes. bridge/pbx implements the SOAP interface; docs/adding-a-backend.md says how another one is added.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol

from bridge.core.commands.verb import Action
from bridge.core.message import Json
from bridge.core.records import Batch
from bridge.core.status import About


class PbxEvents(Protocol):
    """What a session reports to its listener. No method raises, and only `kept` waits."""

    def began(self, about: About) -> None:
        """The session is open. The complete list of users comes next."""
        ...

    def reported(self, batch: Batch) -> None:
        """Users have changed, or legs of users whose calls are monitored."""
        ...

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """A command has started a call of this user. Returns the id of the call.

        It should come before any event of the leg, so that all of them carry the command's id; later
        will do.
        """
        ...

    def sent(self, guid: str, handle: int, command_id: str | None) -> str:
        """A command has sent a text message for this user. Returns the id of the call in its events.

        It must come before the record of its end: without it nobody is told.
        """
        ...

    def monitored(self, guid: str) -> None:
        """The PBX now reports the calls of this user, starting with those that are running."""
        ...

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX refused to report the calls of this user. The session asks again later."""
        ...

    def forwards_unread(self, name: str, reason: str) -> None:
        """The PBX does not tell the forwards of this user."""
        ...

    def settled(self, guid: str) -> None:
        """All running calls of this user have been reported: a call that is missing has ended unseen."""
        ...

    async def kept(self) -> None:
        """Return when everything reported so far would survive a crash of the bridge, and more may come.

        A session calls this before it acknowledges to the PBX, which then forgets what it has sent.
        """
        ...

    def alive(self, seconds: float, *, events: bool) -> None:
        """The PBX has answered after this time, with events or without: a sign of life."""
        ...


class IgnoreEvents:
    """A listener that ignores everything (PbxEvents). Subclasses override what they need."""

    def began(self, about: About) -> None:
        """Ignored."""

    def reported(self, batch: Batch) -> None:
        """Ignored."""

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """There is no state that could give the call an id: do not send commands through such a session."""
        del guid, leg_handle, command_id
        return ""

    def sent(self, guid: str, handle: int, command_id: str | None) -> str:
        """As `placed`."""
        return self.placed(guid, handle, command_id)

    def monitored(self, guid: str) -> None:
        """Ignored."""

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """Ignored."""

    def forwards_unread(self, name: str, reason: str) -> None:
        """Ignored."""

    def settled(self, guid: str) -> None:
        """Ignored."""

    async def kept(self) -> None:
        """Nothing is kept, so there is nothing to wait for."""

    def alive(self, seconds: float, *, events: bool) -> None:
        """Ignored."""


InTime = Callable[[], object]
"""Raises CommandError when the deadline of a command has passed."""


def at_any_time() -> None:
    """The check for requests that have no deadline of their own."""


class PbxSession(Protocol):
    """An open session. Every method raises a LinkError when the session breaks."""

    async def serve(self, events: PbxEvents) -> None:
        """Report until the session breaks, then raise the LinkError that says why."""
        ...

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Have the calls of a user reported, soon; `urgent` ones, whose calls are in doubt, first."""
        ...

    def unmonitor(self, guid: str) -> None:
        """Stop the reports of a user's calls."""
        ...

    def read_forwards(self, guid: str, name: str) -> None:
        """Have the forwards of a user reported, soon. A backend that cannot read them does nothing."""
        ...

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Perform the action of a command. Returns the fields that its reply has besides `ok`.

        Those of a query are as the `render` of its verb takes them: with records in place of users and calls.

        `in_time` must be called right before each request: the process may have been suspended since the
        deadline was last checked. Raises CommandError: `refused` when the PBX says no, `pbx_offline` when
        the session is about to end.
        """
        ...

    async def rest(self) -> None:
        """Return when ending the session can no longer take a call with it that was just placed."""
        ...


OpenPbx = Callable[[int], AbstractAsyncContextManager[PbxSession]]
"""Opens a session at the address with this number in `Backend.addresses`."""
Asked = Callable[[str, bool, float], None]
"""Called for each request to a PBX with the operation, whether it was answered, and its time in seconds.

Not for the request that waits for events.
"""
Address = tuple[str, int]
"""Host and port."""


def unheard(_operation: str, _good: bool, _seconds: float) -> None:  # noqa: FBT001  (a callback)
    """The requests are not counted."""


class Backend(Protocol):
    """One configured PBX and the interface by which it is reached. Making one connects to nothing.

    `operations`: what every bridge may ask for. Their series in the metrics begin at zero; those of other
    operations begin at the first use.
    """

    operations: ClassVar[Sequence[str]]

    @property
    def addresses(self) -> Sequence[str]:
        """Where the PBX is reached, the primary first, without credentials. At least one."""
        ...

    @property
    def tls_addresses(self) -> Sequence[Address]:
        """The addresses that present a certificate, whose expiry the bridge watches."""
        ...

    def sessions(self, asked: Asked = unheard) -> OpenPbx:
        """How one link opens its sessions, one after the other."""
        ...
