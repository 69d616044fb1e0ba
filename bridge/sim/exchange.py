"""Users and legs of a simulated PBX, and the listeners to notify. Switches no calls, knows no network."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from bridge.sim.model import ALERT, TO_USER, Entry, Leg, No, SimUser, party

Later = Callable[[float, Callable[[], object]], object]
"""Call a function after a number of seconds."""


class Listener(Protocol):
    """Receives all changes: a SOAP session."""

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
        """A user or its number of calls changed."""
        ...

    def leg_changed(self, leg: Leg, message: str, *, xfer: bool | None) -> None:
        """A leg changed; `leg.over` marks its end. `xfer`: only for handles opened with (without) xfer."""
        ...

    def wishes(self, guid: str) -> frozenset[str]:
        """Whether a handle for this user was opened with "xfer" or "disc" (docs/wire.md#monitoring)."""
        ...


class Conversation(Protocol):
    """A call, as far as this module needs it."""

    @property
    def legs(self) -> list[Leg]:
        """All legs that have not ended."""
        ...


class Exchange:
    """Users and legs of one PBX, and the listeners that it notifies.

    `on_hook_s`: time to on hook; `no_answer_s`: time to the diversion of a call that nobody answers.
    `messages`: the text messages that were delivered: to whom, from whom, and the text.
    """

    def __init__(
        self, users: Iterable[SimUser], later: Later, *, on_hook_s: float, no_answer_s: float
    ) -> None:
        self.users: dict[str, SimUser] = {user.cn: user for user in users}
        self._names = {user.id: user.cn for user in self.users.values()}
        self.legs: dict[int, Leg] = {}
        self.calls: list[Conversation] = []
        self.listeners: list[Listener] = []
        self.later = later
        self.on_hook_s = on_hook_s
        self.no_answer_s = no_answer_s
        self.messages: list[tuple[str, str, str]] = []
        self._numbers = itertools.count(1)
        self._free: deque[int] = deque()
        self._counts: dict[str, tuple[int, int]] = {}

    def find(self, name: str) -> SimUser | None:
        """A user by long name, short name or number."""
        if not name:
            return None
        for attribute in ("cn", "h323", "e164"):
            for user in self.users.values():
                if getattr(user, attribute) == name:
                    return user
        return None

    def by_guid(self, guid: str) -> SimUser | None:
        """A user by guid."""
        return self.users.get(self._names.get(guid, ""))

    def counts(self, guid: str) -> tuple[int, int]:
        """How many calls a user has, and how many of them alert."""
        legs = [leg for leg in self.legs.values() if leg.guid == guid and not leg.xfer_only]
        return len(legs), sum(leg.state == ALERT and bool(leg.bits & TO_USER) for leg in legs)

    def put_user(self, user: SimUser, *, instead_of: str | None = None, cfg: bool = False) -> None:
        """Add a user or change it, its long name too."""
        if instead_of is not None:
            del self.users[instead_of]
        self.users[user.cn] = user
        self._names[user.id] = user.cn
        self._tell_user(user, cfg=cfg)

    def remove_user(self, cn: str) -> None:
        """Delete a user; its legs end first, whatever they were doing."""
        user = self.users[cn]
        for leg in [leg for leg in self.legs.values() if leg.guid == user.id]:
            leg.over = True
            self.tell(leg, "del")
        self.calls = [call for call in self.calls if call.legs]
        del self.users[cn]
        del self._names[user.id]
        self._counts.pop(user.id, None)
        for listener in self.listeners:
            listener.user_changed(user, 0, 0, gone=True, cfg=False)

    def set_presence(self, cn: str, entry: Entry) -> None:
        """Set a presence; it replaces the older entry of its contact and becomes the visible one."""
        user = self.users[cn]
        others = tuple(old for old in user.presence if old.contact != entry.contact)
        self.put_user(replace(user, presence=(entry, *others)))

    def new_leg(self, user: SimUser, state: int, bits: int, peer: No, conf: str) -> Leg:
        """Create a leg without notifying anybody."""
        number = self._free.popleft() if self._free else next(self._numbers)
        leg = Leg(number, user.id, state, bits, [peer, party("this", user)], conf)
        self.legs[leg.number] = leg
        return leg

    def tell(self, leg: Leg, message: str) -> None:
        """Notify all listeners of a leg and of the user's call counters."""
        if leg.over:
            self.legs.pop(leg.number, None)
        for listener in self.listeners:
            listener.leg_changed(leg, message, xfer=leg.xfer_only or None)
        user = self.by_guid(leg.guid)
        if user is not None and self.counts(user.id) != self._counts.get(user.id, (0, 0)):
            self._tell_user(user)

    def tell_plain(self, leg: Leg, message: str) -> None:
        """Notify only handles opened without xfer; the counters stay as they are."""
        for listener in self.listeners:
            listener.leg_changed(leg, message, xfer=False)

    def lose(self, leg: Leg) -> None:
        """End a leg without notice; the next new leg gets its number (docs/wire.md#robustness)."""
        leg.over = True
        del self.legs[leg.number]
        self._free.append(leg.number)
        self.calls = [call for call in self.calls if call.legs]

    def wished(self, leg: Leg, wish: str) -> bool:
        """Whether a handle for the user of this leg was opened with "xfer" or "disc"."""
        return any(wish in listener.wishes(leg.guid) for listener in self.listeners)

    def forget_all(self) -> None:
        """Reboot: drop all calls without notice and restart the leg numbers."""
        for leg in self.legs.values():
            leg.over = True
        self.legs.clear()
        self.calls.clear()
        self._counts.clear()
        self._free.clear()
        self._numbers = itertools.count(1)

    def _tell_user(self, user: SimUser, *, cfg: bool = False) -> None:
        channel, alert = self._counts[user.id] = self.counts(user.id)
        for listener in self.listeners:
            listener.user_changed(user, channel, alert, gone=False, cfg=cfg)
