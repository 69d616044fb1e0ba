"""Whose calls a session follows, and whose it should: bookkeeping without I/O.

A leg may be reported before the answer that names its user's handle has arrived, because the two come
over different connections: such legs wait here.
"""

from collections.abc import Iterable

from bridge.core.reports import LegRecord

EARLY_AT_MOST = 1000


class Follows:
    """Handles of followed users, users to follow next, and legs that came too early."""

    def __init__(self) -> None:
        self.by_handle: dict[int, str] = {}
        self._handles: dict[str, int] = {}
        self._wanted: dict[str, str] = {}
        self._urgent: dict[str, str] = {}
        self._surplus: list[int] = []
        self._early: list[LegRecord] = []

    def want(self, guid: str, name: str, *, urgent: bool) -> bool:
        """Note a user to follow; False when it is followed or noted already."""
        if guid in self._handles or guid in self._urgent or (guid in self._wanted and not urgent):
            return False
        self._wanted.pop(guid, None)
        (self._urgent if urgent else self._wanted)[guid] = name
        return True

    def unwant(self, guid: str) -> bool:
        """Note that a user is not to be followed; True when a handle is to be given back."""
        self._wanted.pop(guid, None)
        self._urgent.pop(guid, None)
        handle = self._handles.pop(guid, None)
        if handle is None:
            return False
        del self.by_handle[handle]
        self._surplus.append(handle)
        return True

    def handle_of(self, guid: str) -> int | None:
        """The session's handle for a user."""
        return self._handles.get(guid)

    def next_wanted(self) -> tuple[str, str] | None:
        """Guid and name of the user to follow next; it is no longer noted then."""
        for waiting in (self._urgent, self._wanted):
            if waiting:
                guid = next(iter(waiting))
                return guid, waiting.pop(guid)
        return None

    def next_surplus(self) -> int | None:
        """A handle to give back."""
        return self._surplus.pop() if self._surplus else None

    def followed(self, guid: str, handle: int) -> tuple[LegRecord, ...]:
        """The PBX follows a user now; returns its legs that were reported before we knew."""
        self.by_handle[handle] = guid
        self._handles[guid] = handle
        mine = tuple(leg for leg in self._early if leg.follow == handle)
        self._early = [leg for leg in self._early if leg.follow != handle]
        return mine

    def keep_early(self, legs: Iterable[LegRecord]) -> None:
        """Let the legs of unknown handles wait; the oldest go when there are too many."""
        self._early.extend(leg for leg in legs if leg.follow not in self.by_handle)
        del self._early[:-EARLY_AT_MOST]

    def forget_early(self) -> None:
        """No answer is outstanding: what still waits belongs to nobody."""
        self._early.clear()
