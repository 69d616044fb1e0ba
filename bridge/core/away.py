"""The users that a master lists and does not publish, because they are at home at another PBX. No I/O."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from bridge.core.records import Batch, UserRecord
from bridge.core.rules import Scope


class Away:
    """Who is at home at which other location, by guid. `changed` is called when a location comes or goes.

    A user that is missing from a list is gone, but not from a list with an unreadable record.
    """

    def __init__(self) -> None:
        self._locations: dict[str, str] = {}
        self._users: Counter[str] = Counter()
        self._unseen: set[str] | None = None
        self._torn = False
        self.changed: Callable[[], None] = lambda: None

    @property
    def locations(self) -> AbstractSet[str]:
        """The locations of these users."""
        return self._users.keys()

    def began(self) -> None:
        """A session begins with a list of all users."""
        self._unseen, self._torn = set(self._locations), False

    def reported(self, batch: Batch, scope: Scope) -> None:
        """Users have changed. `scope` is that of the master."""
        before = frozenset(self._users)
        for record in batch.users:
            self._note(record, scope)
        self._torn = self._torn or bool(batch.unreadable)
        if batch.list_complete:
            for guid in () if self._torn else self._unseen or ():
                self._forget(guid)
            self._unseen = None
        if batch.list_complete or before != self._users.keys():
            self.changed()

    def _note(self, record: UserRecord, scope: Scope) -> None:
        if self._unseen is not None:
            self._unseen.discard(record.guid)
        self._forget(record.guid)
        if record.active and scope.away(record) and len(self._locations) < scope.limits.users:
            self._locations[record.guid] = record.location
            self._users[record.location] += 1

    def _forget(self, guid: str) -> None:
        location = self._locations.pop(guid, None)
        if location is not None:
            self._users[location] -= 1
            if not self._users[location]:
                del self._users[location]
