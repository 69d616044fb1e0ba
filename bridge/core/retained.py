"""Decides which retained states of our users to accept, and what to believe of them. Decodes nothing.

Any client with write access to our state topics can leave anything there. If the bridge has a memory of its
own (the file in the state directory, or the link before a reload), only that memory counts. Without one, or
with an empty one (a new pod), a state is believed as far as it could be ours: otherwise running calls would
never get their `ended`. That is plausibility, not proof.
"""

import enum
import re
from collections import Counter
from collections.abc import Callable

from bridge.core.model import Call, Instant
from bridge.core.restore import Memory, Remembered, remembered
from bridge.core.rules import Scope, SizeLimits
from bridge.core.value import evolve

MARGIN = 1000
"""Users that were deleted while the bridge was down come on top of the configured maximum."""
LEAST_BYTES, BYTES_A_USER = 32 * 2**20, 3072
ITEM_BYTES, CALL_BYTES = 100, 1000
"""Rough memory use of a group or a call, besides its text."""
MISSED_AT_MOST = 100_000
TOO_EARLY_MS = 24 * 3600 * 1000
"""A computer without a real-time clock may be behind when the bridge starts."""
_CALL_ID = re.compile(r"([0-9a-f]{11})[0-9a-f]{8}-[1-9][0-9]{0,9}")


class Verdict(enum.Enum):
    """The decision on a retained state: nothing to do, decode it, or erase it."""

    KNOWN = "known"
    READ = "read"
    FOREIGN = "foreign"


class Retained:
    """Judges the retained states of one PBX as they come; `users` are the accepted ones."""

    def __init__(self, memory: Memory, scope: Scope, clock: Callable[[], Instant]) -> None:
        self.users: dict[str, Remembered | None] = dict(memory.users)
        self.left_out: Counter[str] = Counter()
        self._memory = memory
        self._scope = scope
        self._clock = clock
        self._states = self._bytes = 0

    def judge(self, topic_id: str, size: int) -> Verdict:
        """Decide before a state is decoded. A known user's state need not be read: it is published again."""
        if topic_id in self.users:
            return Verdict.KNOWN
        if self._memory.whole and self._memory.users:
            return Verdict.FOREIGN
        return Verdict.READ if self._has_room(size) else self._leave_out()

    def take(self, topic_id: str, size: int, payload: object) -> Verdict:
        """Accept what is plausible in a decoded state."""
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
    """The memory limit for all retained states together while a bridge starts."""
    return max(LEAST_BYTES, most.users * BYTES_A_USER)


def _plausible(found: Remembered, now: Instant) -> Remembered:
    """The user, with only those calls whose id has our form and whose times are not in the future."""
    last = found.user.last_call
    user = evolve(
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
