"""Rate limits of commands, per PBX and per user, and which verb uses which. Plain data, no clock."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping

from bridge.core.commands.verbs import SETS

WINDOW_S = 60.0
RESYNC_S = 30.0
PINGS_PER_MINUTE = 60
USERS_REMEMBERED = 1000
URGENT_PER_CALL = 20, 6
"""`clear` must get through when calls do not: 20 times the limit of a PBX, 6 times that of a user."""
OTHERS_PER_CALL = 3
"""What else is asked for one user uses up less than the limit of the PBX, so that others can still call."""
QUERIES = frozenset(SETS.get("query", ()))
QUERIES_PER_MINUTE = 60
"""Each may make a small PBX search its whole list."""
MORE_CLEARS, MORE_ANSWERS = 64, 32
URGENT: Mapping[str, int] = {"answer": MORE_ANSWERS, "clear": MORE_CLEARS}
"""Verbs that somebody at a telephone waits for. Each has limits of its own, and this number of places in the
queue besides those of all verbs; answers never take the last ones, which are for ending calls."""


class RateLimit:
    """At most `most` in any period of `period_s`."""

    def __init__(self, most: int, period_s: float = WINDOW_S) -> None:
        self._most = most
        self._period_s = period_s
        self._times: list[float] = []  # rising; no deque, which takes 600 bytes even where it stays empty

    def left(self, now_s: float) -> bool:
        """Whether one more is within the limit."""
        del self._times[: bisect_right(self._times, now_s - self._period_s)]
        return len(self._times) < self._most

    def take(self, now_s: float) -> bool:
        """Count one, if it is within the limit; False if it is not."""
        left = self.left(now_s)
        if left:
            self._times.append(now_s)
        return left


class Rates:
    """The rate limits of one PBX. `ping`, `resync`, queries and the urgent verbs have their own.

    The bus does not say who sent a command. So the limit of the user that a command is about comes first, and
    a command that exceeds it does not count against the limit of the PBX.
    """

    def __init__(self, per_minute: int, calls_per_user: int) -> None:
        of_all, of_user = URGENT_PER_CALL
        self._shared = RateLimit(per_minute)
        self._urgent = {verb: RateLimit(per_minute * of_all) for verb in URGENT}
        self._pings = RateLimit(PINGS_PER_MINUTE)
        self._queries = RateLimit(QUERIES_PER_MINUTE)
        self._resyncs = RateLimit(1, RESYNC_S)
        self._per_user = {
            "call": calls_per_user,
            **dict.fromkeys(URGENT, calls_per_user * of_user),
        }
        self._others_per_user = calls_per_user * OTHERS_PER_CALL
        self._of_users: OrderedDict[tuple[str, str], RateLimit] = OrderedDict()
        self._limits = f"{per_minute} a minute, {calls_per_user} calls a user"

    def refusal(self, verb: str, guid: str, now_s: float) -> str | None:
        """Count a command, or say which limit it exceeds. `guid`: the user that it is about, or ""."""
        match verb:
            case "ping":
                return None if self._pings.take(now_s) else f"too many pings: {PINGS_PER_MINUTE} a minute"
            case "resync":
                return None if self._resyncs.take(now_s) else f"resync is limited to once in {RESYNC_S:g} s"
            case _ if verb in QUERIES:
                return (
                    None if self._queries.take(now_s) else f"too many queries: {QUERIES_PER_MINUTE} a minute"
                )
            case _:
                shared = self._urgent.get(verb, self._shared)
                user = self._of_user(verb, guid)
                free = shared.left(now_s) and user.take(now_s) and shared.take(now_s)
                return None if free else f"too many commands: {self._limits}"

    def _of_user(self, verb: str, guid: str) -> RateLimit:
        """The limit of one user. If there are too many users, the least recently used limit is forgotten.

        Verbs without a limit of their own share one, also those that are yet to come.
        """
        most = self._per_user.get(verb, self._others_per_user)
        key = (verb if verb in self._per_user else ""), guid
        limit = self._of_users.setdefault(key, RateLimit(most))
        self._of_users.move_to_end(key)
        if len(self._of_users) > USERS_REMEMBERED:
            self._of_users.popitem(last=False)
        return limit
