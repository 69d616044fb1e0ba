"""Whose calls the PBX reports: wanted, reported or refused. Asks nobody: the PBX session does that."""

from collections import Counter
from collections.abc import Set as AbstractSet

from bridge.core.model import Changes

GIVEN_UP_AFTER = 2


class Monitoring:
    """The one register of monitored users of a link, by guid."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()
        self._monitored: set[str] = set()
        self._refused: Counter[str] = Counter()

    @property
    def monitored(self) -> AbstractSet[str]:
        """Users whose calls the PBX reports."""
        return self._monitored

    @property
    def refused(self) -> AbstractSet[str]:
        """Users whose calls the PBX does not report although it was asked."""
        return self._refused.keys()

    @property
    def pending(self) -> bool:
        """Some users have got no answer yet."""
        return len(self._monitored) + len(self._refused) < len(self._wanted)

    def apply(self, changes: Changes) -> None:
        """Take over whom a batch added and removed."""
        for guid in changes.unmonitor:
            self._wanted.discard(guid)
            self._monitored.discard(guid)
            self._refused.pop(guid, None)
        self._wanted.update(user.guid for user in changes.monitor)

    def accept(self, guid: str) -> None:
        """The PBX reports this user's calls; the answer may come after the user was removed."""
        if guid in self._wanted:
            self._monitored.add(guid)
        self._refused.pop(guid, None)

    def refuse(self, guid: str) -> bool:
        """The PBX does not report this user's calls. True the second time: nobody reports how they ended."""
        self._refused[guid] += 1
        return self._refused[guid] == GIVEN_UP_AFTER

    def forget_answers(self) -> None:
        """The PBX session is over, and its answers with it; the same users are wanted from the next one."""
        self._monitored.clear()
        self._refused.clear()
