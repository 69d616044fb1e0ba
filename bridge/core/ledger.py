"""Memory of requests: ids that were seen, and how many were let through lately. Plain data, no clock."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from bridge.core.commands import Address
from bridge.core.journal import COMMANDS_AT_MOST
from bridge.core.message import Json

REMEMBERED_S = 600.0
REMEMBERED_AT_MOST = COMMANDS_AT_MOST
WINDOW_S = 60.0


@dataclass(slots=True)
class Entry:
    """One id: when it came, its reply once there is one, and who else waits for that reply."""

    at_s: float
    reply: Json | None = None
    waiting: list[Address] = field(default_factory=list)


class Ledger:
    """Ids of the last ten minutes, at most ten thousand of them, the oldest forgotten first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def open(self, request_id: str, now_s: float) -> Entry | None:
        """Note a new id and return None, or return the entry of one that was seen."""
        self._forget(now_s)
        known = self._entries.get(request_id)
        if known is None:
            if len(self._entries) >= REMEMBERED_AT_MOST:
                self._entries.popitem(last=False)
            self._entries[request_id] = Entry(now_s)
        return known

    def put_back(self, request_id: str, at_s: float, reply: Json) -> None:
        """Remember an id of an earlier run, with its reply."""
        self._entries[request_id] = Entry(at_s, reply)

    def close(self, request_id: str, reply: Json) -> tuple[Address, ...]:
        """Store the reply of an id, or forget the id if the reply asks to try again.

        Return the addresses of the duplicates that wait for it.
        """
        entry = self._entries.get(request_id)
        if entry is None:
            return ()
        waiting, entry.waiting = tuple(entry.waiting), []
        entry.reply = reply
        if reply.get("retryable"):
            del self._entries[request_id]
        return waiting

    def _forget(self, now_s: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if now_s - oldest.at_s < REMEMBERED_S:
                return
            self._entries.popitem(last=False)


class Allowance:
    """At most so many in any minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        """Use one up, if there is one left."""
        while self._times and now_s - self._times[0] >= WINDOW_S:
            self._times.popleft()
        if len(self._times) >= self._per_minute:
            return False
        self._times.append(now_s)
        return True
