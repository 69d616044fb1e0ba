"""A PBX as the fuzzed histories know it, and what it still has to report.

This is the truth that the bus is compared with. Shares no code with the bridge but the records it reports.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.core.records import CallState, UserRecord
from bridge.pbx.decode import HeardLeg
from bridge.pbx.wire import PollSlice
from tests.fuzz.people import Leg, Person, View

News = UserRecord | HeardLeg | None


@dataclass(slots=True, eq=False)
class Session:
    """A session of the bridge with the PBX. `queue`: what Polls will bring; None ends the first list.

    `drops` tells which record of a user is no longer to be shown. `handles`: user handles given out,
    also those given back since. `legs`: leg handles; one is free for another leg when the end of its
    leg has been polled, or at once when nobody hears of that.
    """

    drops: Callable[[UserRecord], bool]
    queue: deque[News] = field(default_factory=deque)
    handles: dict[int, str] = field(default_factory=dict)
    legs: dict[Leg, int] = field(default_factory=dict)
    queued: int = 0
    taken: int = 0

    def put(self, news: News, *, before_end: bool = False) -> None:
        """Let a record wait for a Poll; before the end of the first list, where that comes last."""
        if before_end and self.queue and self.queue[-1] is None:
            self.queue.insert(len(self.queue) - 1, news)
        else:
            self.queue.append(news)
        self.queued += 1

    def take(self, most: int, width: int) -> list[PollSlice]:
        """What one Poll brings, in slices of users and legs side by side as decoding makes them."""
        items = self._next(most)
        self.taken += len(items)
        users = [item for item in items if not isinstance(item, HeardLeg)]
        legs = [item for item in items if isinstance(item, HeardLeg)]
        over = {heard.record.leg_handle for heard in legs if heard.record.ended}
        self.legs = {leg: number for leg, number in self.legs.items() if number not in over}
        return [
            _slice(users[start : start + width], legs[start : start + width])
            for start in range(0, max(len(users), len(legs), 1), width)
        ]

    def report(self, leg: Leg) -> None:
        """Queue how a leg stands, for each handle of its user."""
        heard = [handle for handle, guid in self.handles.items() if guid == leg.guid]
        for handle in heard:
            self.put(HeardLeg(handle, leg.record(self._number(leg))))
        if leg.over and not heard:
            self.legs.pop(leg, None)

    def monitor(self, guid: str, running: list[Leg]) -> int:
        """A user handle; the running legs of the user will be reported."""
        handle = len(self.handles) + 1
        self.handles[handle] = guid
        for leg in running:
            self.put(HeardLeg(handle, leg.record(self._number(leg))))
        return handle

    def _next(self, most: int) -> list[News]:
        """So many records, but none of a user behind the one that drops it: that comes with the next Poll."""
        items: list[News] = []
        dropped: set[str] = set()
        while self.queue and len(items) < most:
            item = self.queue[0]
            if isinstance(item, UserRecord):
                if item.guid in dropped:
                    break
                dropped |= {item.guid} if self.drops(item) else set()
            items.append(self.queue.popleft())
        return items

    def _number(self, leg: Leg) -> int:
        used = frozenset(self.legs.values())
        return self.legs.setdefault(leg, next(free for free in range(1, 999) if free not in used))


class Exchange:
    """The people and legs of a PBX, and the one session that hears of their changes."""

    def __init__(self, view: View) -> None:
        self.people: dict[str, Person] = {}
        self.legs: list[Leg] = []
        self.session: Session | None = None
        self._view = view
        self._conferences = 0

    def legs_of(self, guid: str) -> list[Leg]:
        """The running legs of a person."""
        return [leg for leg in self.legs if leg.guid == guid]

    def channels(self, guid: str) -> int:
        """How many legs keep a person's phone busy; a parked one does not."""
        return sum(leg.state is not CallState.PARKED for leg in self.legs_of(guid))

    def new_conference(self) -> str:
        """A guid for a conversation."""
        self._conferences += 1
        return f"conf-{self._conferences}"

    def records(self) -> tuple[UserRecord, ...]:
        """What a list of everybody says."""
        return tuple(person.record(channels=self.channels(person.guid)) for person in self.people.values())

    def open(self) -> Session:
        """A new session; the list of everybody waits in it, and its end."""
        session = self.session = Session(self._view.drops)
        for record in self.records():
            session.put(record)
        session.put(None)
        return session

    def changed(self, person: Person, *, before_end: bool = False) -> None:
        """A person appeared or changed; the ids of calls that are not shown then need not stay."""
        self.people[person.guid] = person
        if not self._view.monitors(person):
            self.excuse(person.guid)
        if self.session is not None:
            record = person.record(channels=self.channels(person.guid))
            self.session.put(record, before_end=before_end)

    def vanish(self, person: Person, *, before_end: bool = False) -> None:
        """A person left the view of the session; legs go on unseen."""
        del self.people[person.guid]
        self.excuse(person.guid)
        if self.session is not None:
            self.session.put(person.record(active=False), before_end=before_end)

    def excuse(self, guid: str) -> None:
        """The running calls of a user may get other ids, and other first events."""
        for leg in self.legs_of(guid):
            leg.told, leg.unheard = None, False

    def monitor(self, guid: str) -> int:
        """A user handle, 0 where there is no such user."""
        if self.session is None or guid not in self.people:
            return 0
        return self.session.monitor(guid, self.legs_of(guid))

    def tell(self, leg: Leg, *, silent: bool = False) -> None:
        """A leg is new or changed, or over and forgotten; `silent`: only its user's count tells of it."""
        if leg.over:
            self.legs.remove(leg)
        elif leg not in self.legs:
            self.legs.append(leg)
        if self.session is None:
            return
        if silent:
            self.session.legs.pop(leg, None)
        else:
            self.session.report(leg)
        person = self.people.get(leg.guid)
        if person is not None:
            self.session.put(person.record(channels=self.channels(leg.guid)))

    def reboot(self) -> None:
        """The session and all calls are gone, and nobody is told."""
        self.session = None
        self.legs.clear()


def _slice(users: list[UserRecord | None], legs: list[HeardLeg]) -> PollSlice:
    named = tuple(user for user in users if user is not None)
    return PollSlice(named, tuple(legs), list_complete=len(named) < len(users))
