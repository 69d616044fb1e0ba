"""How often commands may come: allowances of a period, and which verb uses which. Plain data, no clock."""

from collections import OrderedDict, deque

WINDOW_S = 60.0
RESYNC_S = 30.0
PINGS_PER_MINUTE = 60
USERS_REMEMBERED = 1000
CLEARS_PER_CALL = 20, 6
"""`clear` ends what a call began: 20 times the allowance of a PBX, 6 times that of a user."""
PRESENCES_PER_CALL = 3
"""One user's presences are fewer than the allowance of all: the others can still call."""
ENDING = frozenset({"clear", "answer"})


class RateLimit:
    """At most this many in any period, a minute if nothing else is said."""

    def __init__(self, most: int, period_s: float = WINDOW_S) -> None:
        self._most = most
        self._period_s = period_s
        self._times: deque[float] = deque()

    def left(self, now_s: float) -> bool:
        """Tell whether there is one left."""
        while self._times and now_s - self._times[0] >= self._period_s:
            self._times.popleft()
        return len(self._times) < self._most

    def take(self, now_s: float) -> bool:
        """Use one up, if there is one left."""
        left = self.left(now_s)
        if left:
            self._times.append(now_s)
        return left


class Rates:
    """The allowances of one PBX. `ping`, `resync` and the verbs that end a call each have their own.

    One publisher cannot be told from another: so one user's commands use up one user's allowance first, and
    what is refused for that reason takes nothing from the allowance of all.
    """

    def __init__(self, per_minute: int, calls_per_user: int) -> None:
        of_all, of_user = CLEARS_PER_CALL
        self._shared = RateLimit(per_minute)
        self._ending = RateLimit(per_minute * of_all)
        self._pings = RateLimit(PINGS_PER_MINUTE)
        self._resyncs = RateLimit(1, RESYNC_S)
        self._per_user = {
            "call": calls_per_user,
            "presence": calls_per_user * PRESENCES_PER_CALL,
            **dict.fromkeys(ENDING, calls_per_user * of_user),
        }
        self._of_users: OrderedDict[tuple[str, str], RateLimit] = OrderedDict()
        self._limits = f"{per_minute} a minute, {calls_per_user} calls a user"

    def refusal(self, verb: str, guid: str, now_s: float) -> str | None:
        """Use up what a request needs, or say which limit it meets. `guid`: the user it is about, or ""."""
        match verb:
            case "ping":
                return None if self._pings.take(now_s) else f"too many pings: {PINGS_PER_MINUTE} a minute"
            case "resync":
                return None if self._resyncs.take(now_s) else f"resync is limited to once in {RESYNC_S:g} s"
            case _:
                shared = self._ending if verb in ENDING else self._shared
                user = self._of_user(verb, guid)
                free = shared.left(now_s) and (user is None or user.left(now_s))
                if free and user is not None:
                    user.take(now_s)
                return None if free and shared.take(now_s) else f"too many commands: {self._limits}"

    def _of_user(self, verb: str, guid: str) -> RateLimit | None:
        """The allowance of one user, the one that was used least lately forgotten when there are too many."""
        most = self._per_user.get(verb)
        if most is None:
            return None
        key = verb, guid
        allowance = self._of_users.setdefault(key, RateLimit(most))
        self._of_users.move_to_end(key)
        if len(self._of_users) > USERS_REMEMBERED:
            self._of_users.popitem(last=False)
        return allowance
