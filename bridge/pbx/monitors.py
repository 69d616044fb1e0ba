"""Whose calls a session follows, and whose it should: bookkeeping without I/O.

A leg may be reported before the answer that names its user's handle has arrived, because the two come
over different connections: such legs wait here.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.core.records import LegRecord
from bridge.pbx.decode import HeardLeg

EARLY_AT_MOST = 1000
AGAIN_FIRST_S, AGAIN_LONGEST_S = 5.0, 600.0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Under which name a user was asked for in vain, when to ask again, and how long that is."""

    name: str
    due_s: float
    delay_s: float


class Monitors:
    """Handles of followed users, users to follow next or once more, and legs that came too early.

    Times are of one monotonic clock, in seconds.
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
        """Note a user to follow; False when it is followed already, or noted, or refused under this name."""
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
        """Note that a user is not to be followed; True when a handle is to be given back."""
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
        """Guid and name of the user to ask for next, who is no longer noted then."""
        self._asking = self._given_up = ""
        for waiting in (self._urgent, self._wanted):
            if waiting:
                self._asking = next(iter(waiting))
                return self._asking, waiting.pop(self._asking)
        for guid, refusal in self._refused.items():
            if refusal.due_s <= now_s:
                self._refused[guid] = replace(refusal, due_s=math.inf)
                self._asking = guid
                return guid, refusal.name
        return None

    def refused(self, guid: str, name: str, now_s: float) -> bool:
        """The PBX does not follow this user: ask again, later each time. False: nobody wants it any more."""
        if guid == self._given_up:
            return False
        last = self._refused.get(guid)
        delay_s = AGAIN_FIRST_S if last is None else min(last.delay_s * 2, AGAIN_LONGEST_S)
        self._refused[guid] = _Refusal(name, now_s + delay_s, delay_s)
        return True

    def again_s(self) -> float | None:
        """When the next refused user is to be asked for again."""
        return min((refusal.due_s for refusal in self._refused.values()), default=None)

    def next_to_return(self) -> int | None:
        """A handle to give back."""
        return self._to_return.pop() if self._to_return else None

    def monitored(self, guid: str, handle: int) -> tuple[LegRecord, ...]:
        """The PBX follows a user now; returns its legs that were reported before we knew.

        Who was given up while the PBX was asked is another user when it is back: the handle goes back.
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
        """The legs of the users who are followed, each with its user's guid."""
        known = ((leg.record, self._guids.get(leg.user_handle)) for leg in legs)
        return tuple(replace(record, user=guid) for record, guid in known if guid is not None)

    def keep_early(self, legs: Iterable[HeardLeg]) -> None:
        """Let the legs of unknown handles wait; the oldest go when there are too many."""
        self._early.extend(leg for leg in legs if leg.user_handle not in self._guids)
        del self._early[:-EARLY_AT_MOST]

    def forget_early(self) -> None:
        """No answer is outstanding: what still waits belongs to nobody."""
        self._early.clear()
