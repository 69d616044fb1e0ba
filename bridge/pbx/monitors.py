"""Which users a session monitors, and which it should: bookkeeping of their handles, without I/O.

Legs and the answer that says whose handle they have come over different connections. A leg that arrives
before that answer waits here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

from bridge.core.records import LegRecord
from bridge.pbx.decode import HeardLeg

EARLY_AT_MOST = 1000
AGAIN_FIRST_S, AGAIN_LONGEST_S = 5.0, 600.0
_ALL_BUT_USER = attrgetter(*LegRecord.__struct_fields__[1:])
"""For a copy with another user, which each leg of a Poll gets: half as dear as `replace`."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The name under which a user was refused, when to ask again, and the delay before that."""

    name: str
    due_s: float
    delay_s: float


class Monitors:
    """The handles of monitored users, the users to ask for next, handles to return, and early legs.

    Times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._guids: dict[int, str] = {}
        self._handles: dict[str, int] = {}
        self._wanted: dict[str, str] = {}
        self._urgent: dict[str, str] = {}
        self._refused: dict[str, _Refusal] = {}
        self._to_return: list[int] = []
        self._asking = self._given_up = ""
        self._early: list[HeardLeg] = []

    def monitor(self, guid: str, name: str, *, urgent: bool) -> bool:
        """Note a user to monitor. False if that changes nothing, or the PBX has refused this very name."""
        refusal = self._refused.get(guid)
        if guid in self._handles or (refusal is not None and refusal.name == name):
            return False
        self._refused.pop(guid, None)
        urgent = urgent or guid in self._urgent
        noted = (self._urgent if urgent else self._wanted).get(guid) == name
        self._wanted.pop(guid, None)
        (self._urgent if urgent else self._wanted)[guid] = name
        return not noted

    def unmonitor(self, guid: str) -> bool:
        """Note that a user is no longer to be monitored. True if its handle must be returned to the PBX."""
        self._wanted.pop(guid, None)
        self._urgent.pop(guid, None)
        self._refused.pop(guid, None)
        if guid == self._asking:
            self._given_up = guid
        handle = self._handles.pop(guid, None)
        if handle is None:
            return False
        del self._guids[handle]
        self._to_return.append(handle)
        return True

    def handle_of(self, guid: str) -> int | None:
        """The session's handle for a user."""
        return self._handles.get(guid)

    def next_wanted(self, now_s: float) -> tuple[str, str] | None:
        """Take the guid and name of the user to ask for next: urgent ones first, due refusals last."""
        self._asking = self._given_up = ""
        for waiting in (self._urgent, self._wanted):
            if waiting:
                self._asking = next(iter(waiting))
                return self._asking, waiting.pop(self._asking)
        for guid, refusal in self._refused.items():
            if refusal.due_s <= now_s:
                self._refused[guid] = replace(refusal, due_s=math.inf)  # until `refused` says when again
                self._asking = guid
                return guid, refusal.name
        return None

    def refused(self, guid: str, name: str, now_s: float) -> bool:
        """Note a refusal, to ask again after a growing delay. False if the user was unmonitored meanwhile."""
        if guid == self._given_up:
            return False
        last = self._refused.get(guid)
        delay_s = AGAIN_FIRST_S if last is None else min(last.delay_s * 2, AGAIN_LONGEST_S)
        self._refused[guid] = _Refusal(name, now_s + delay_s, delay_s)
        return True

    def again_s(self) -> float | None:
        """When to ask again for the next refused user, if there is one."""
        return min((refusal.due_s for refusal in self._refused.values()), default=None)

    def next_to_return(self) -> int | None:
        """Take a handle to return to the PBX."""
        return self._to_return.pop() if self._to_return else None

    def monitored(self, guid: str, handle: int) -> tuple[LegRecord, ...]:
        """Note the handle of a user. Returns the user's legs that were reported before it was known.

        If the user was unmonitored while the PBX was asked, the handle is returned instead. That holds even
        if the user is wanted once more by now: it may have been deleted and created again.
        """
        if guid == self._given_up:
            self._given_up = ""
            self._to_return.append(handle)
            return ()
        self._refused.pop(guid, None)
        self._guids[handle] = guid
        self._handles[guid] = handle
        mine = self.resolved(leg for leg in self._early if leg.user_handle == handle)
        self._early = [leg for leg in self._early if leg.user_handle != handle]
        return mine

    def resolved(self, legs: Iterable[HeardLeg]) -> tuple[LegRecord, ...]:
        """The legs of monitored users, each with its user's guid; others are left out."""
        known = ((leg.record, self._guids.get(leg.user_handle)) for leg in legs)
        return tuple(LegRecord(guid, *_ALL_BUT_USER(record)) for record, guid in known if guid is not None)

    def keep_early(self, legs: Iterable[HeardLeg]) -> None:
        """Let legs of unknown handles wait for `monitored`. The oldest are dropped if there are too many."""
        self._early.extend(leg for leg in legs if leg.user_handle not in self._guids)
        del self._early[:-EARLY_AT_MOST]

    def forget_early(self) -> None:
        """Drop the legs that wait: no answer is outstanding that could say whose they are."""
        self._early.clear()
