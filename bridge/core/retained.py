"""How much of what a broker retains of our users is taken, and what of it is believed. Decodes nothing.

Whoever may write our state topics can leave anything there. Where the bridge has a memory of its own (the
file of a state directory, or that of the link before a reload), that memory counts and nothing else does.
Without one, or with one that is new and empty (a pod that was replaced), a state is believed in so far as it
could be ours: else calls that run would get no end. None of that is proof.
"""

import enum
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from bridge.core.model import Call, Instant
from bridge.core.restore import Memory, Remembered, remembered
from bridge.core.rules import Scope, SizeLimits

MARGIN = 1000
"""Users that were deleted while the bridge was away come on top of those that it may have."""
LEAST_BYTES, BYTES_A_USER = 32 * 2**20, 3072
ITEM_BYTES, CALL_BYTES = 100, 1000
"""What a group or a call costs in memory beyond its text, roughly."""
MISSED_AT_MOST = 100_000
TOO_EARLY_MS = 24 * 3600 * 1000
"""A computer without a battery for its clock may be behind by a while when the bridge starts."""
_CALL_ID = re.compile(r"([0-9a-f]{11})[0-9a-f]{8}-[1-9][0-9]{0,9}")


class Verdict(enum.Enum):
    """What is to be done with a retained state."""

    KNOWN = "known"
    READ = "read"
    FOREIGN = "foreign"


class Retained:
    """Judges the retained states of one PBX as they come; `users` are those that are taken."""

    def __init__(self, memory: Memory, scope: Scope, clock: Callable[[], Instant]) -> None:
        self.users: dict[str, Remembered | None] = dict(memory.users)
        self.left_out: Counter[str] = Counter()
        self._memory = memory
        self._scope = scope
        self._clock = clock
        self._states = self._bytes = 0

    def judge(self, topic_id: str, size: int) -> Verdict:
        """Decide before a state is decoded. What is known needs no reading: it is published again."""
        if topic_id in self.users:
            return Verdict.KNOWN
        if self._memory.whole and self._memory.users:
            return Verdict.FOREIGN
        return Verdict.READ if self._has_room(size) else self._leave_out()

    def take(self, topic_id: str, size: int, payload: object) -> Verdict:
        """Take what may be believed of a decoded state."""
        now = self._clock()
        found = remembered(topic_id, payload, self._scope, now)
        if found is None:
            return Verdict.FOREIGN
        record = found.user.record
        cost = size + ITEM_BYTES * len(record.groups + record.emails) + CALL_BYTES * len(found.calls)
        if not self._has_room(cost):
            return self._leave_out()
        self._states += 1
        self._bytes += cost
        self.users[topic_id] = _plausible(found, now)
        return Verdict.READ

    def _has_room(self, size: int) -> bool:
        most = self._scope.limits
        return self._states < most.users + MARGIN and self._bytes + size <= bytes_at_most(most)

    def _leave_out(self) -> Verdict:
        self.left_out["retained"] += 1
        return Verdict.FOREIGN


def bytes_at_most(most: SizeLimits) -> int:
    """How much of all states together is kept while a bridge starts."""
    return max(LEAST_BYTES, most.users * BYTES_A_USER)


def _plausible(found: Remembered, now: Instant) -> Remembered:
    """The user with the calls that carry an id of our making and no time to come."""
    last = found.user.last_call
    user = replace(
        found.user,
        since_ms=min(found.user.since_ms, now.unix_ms),
        changed_ms=min(found.user.changed_ms, now.unix_ms),
        missed=min(found.user.missed, MISSED_AT_MOST),
        last_call=last if last is not None and _could_be_ours(last, now) else None,
    )
    return Remembered(user, tuple(call for call in found.calls if _could_be_ours(call, now)))


def _could_be_ours(call: Call, now: Instant) -> bool:
    name = _CALL_ID.fullmatch(call.id)
    if name is None:
        return False
    moments = (int(name[1], 16), call.started_ms, call.answered_ms, call.ended_ms)
    return all(moment is None or moment <= now.unix_ms + TOO_EARLY_MS for moment in moments)
