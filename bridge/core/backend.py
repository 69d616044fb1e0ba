"""The seam between a link and its PBX: what flows up, what is asked for. Another backend fits here too.

No implementation here: link.py sees only this, and pbx/session.py speaks SOAP behind it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Protocol

from bridge.core.commands.verb import Action
from bridge.core.message import Json
from bridge.core.records import Batch
from bridge.core.status import About


class PbxEvents(Protocol):
    """What a PBX session reports. None of these raises, and none but `kept` waits."""

    def began(self, about: About) -> None:
        """A session is open; the list of users follows."""
        ...

    def reported(self, batch: Batch) -> None:
        """Users changed, or legs of users whose calls are monitored."""
        ...

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """A command has started a call of this user; the id of the call.

        It comes before any event of the leg is reported, so that the events carry the command's id.
        """
        ...

    def settled(self, guid: str) -> None:
        """The running calls of this user have been reported."""
        ...

    def monitored(self, guid: str) -> None:
        """The PBX reports the calls of this user from now on, those that run first."""
        ...

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX does not report the calls of this user; it will be asked again later."""
        ...

    async def kept(self) -> None:
        """Return when what was reported survives a crash: to ask for more acknowledges it."""
        ...

    def alive(self, seconds: float, *, events: bool) -> None:
        """A poll came back after so long, with events or without."""
        ...


class IgnoreEvents:
    """Hears nothing (PbxEvents): for listeners that override what they want to hear."""

    def began(self, about: About) -> None:
        """Ignored."""

    def reported(self, batch: Batch) -> None:
        """Ignored."""

    def placed(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """No call gets an id: a listener that ignores this must not be given commands."""
        del guid, leg_handle, command_id
        return ""

    def settled(self, guid: str) -> None:
        """Ignored."""

    def monitored(self, guid: str) -> None:
        """Ignored."""

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """Ignored."""

    async def kept(self) -> None:
        """Nothing is kept, so there is nothing to wait for."""

    def alive(self, seconds: float, *, events: bool) -> None:
        """Ignored."""


InTime = Callable[[], object]
"""Raises CommandError once the time of a command is over."""


def at_any_time() -> None:
    """What is not bound to a time."""


class PbxSession(Protocol):
    """What can be asked of an open session. All raise LinkErrors when the session breaks.

    `in_time` is asked directly before each request that carries a command out: the process may have stood
    still since the command was looked at last.
    """

    async def serve(self, events: PbxEvents) -> None:
        """Report until the session breaks; then raise the one LinkError that says why."""
        ...

    def monitor(self, guid: str, name: str, *, urgent: bool) -> None:
        """Follow the calls of a user, soon; at once those whose calls are in doubt."""
        ...

    def unmonitor(self, guid: str) -> None:
        """Stop following a user."""
        ...

    async def perform(self, action: Action, *, command_id: str | None, in_time: InTime) -> Json:
        """Do what a command wants; what its reply says besides `ok`.

        Raises CommandError: refused where the PBX says no, pbx_offline once the session is to end.
        """
        ...

    async def rest(self) -> None:
        """Return when leaving does no harm: a second after the last call was placed at the latest."""
        ...


OpenPbx = Callable[[int], AbstractAsyncContextManager[PbxSession]]
"""Opens a session context; the argument counts attempts, so that a standby address gets its turn."""
Asked = Callable[[str, bool, float], None]
"""Hears of each request to a PBX: the operation, whether it was answered, how many seconds it took."""
Address = tuple[str, int]


def unheard(_operation: str, _good: bool, _seconds: float) -> None:  # noqa: FBT001  (a callback)
    """Nobody counts the requests."""


class Backend(Protocol):
    """One configured PBX, by whatever interface it is reached. Nothing is opened yet.

    `operations` names the requests that `asked` may hear of: each has its own series in the metrics.
    """

    operations: ClassVar[Sequence[str]]

    @property
    def tls_addresses(self) -> Sequence[Address]:
        """The host and port of each address whose certificate can expire."""
        ...

    def sessions(self, asked: Asked = unheard) -> OpenPbx:
        """How a link opens its sessions, one after another."""
        ...
