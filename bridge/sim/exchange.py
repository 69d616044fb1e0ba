"""Who exists at a simulated PBX, which legs run, who must hear of it. Switches no calls, knows no network."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from bridge.sim.model import ALERT, TO_USER, Entry, Leg, No, SimUser, party

Later = Callable[[float, Callable[[], object]], object]
"""Do something after so many seconds."""


class Listener(Protocol):
    """Whoever wants to hear what happens: a SOAP session."""

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
        """A user, or how many calls it has, changed."""
        ...

    def leg_changed(self, leg: Leg, message: str, *, xfer: bool | None) -> None:
        """A leg changed; `leg.over` at its end. `xfer`: only for handles with (without) that wish."""
        ...

    def wishes(self, guid: str) -> frozenset[str]:
        """Whether a handle for this user was opened with "xfer" or "disc" (docs/wire.md#monitoring)."""
        ...


class Conversation(Protocol):
    """A call, as far as it must be known here."""

    @property
    def legs(self) -> list[Leg]:
        """All legs that run."""
        ...


class Exchange:
    """Users and legs of one PBX, and the listeners that hear of every change. `on_hook_s`: seconds."""

    def __init__(self, users: Iterable[SimUser], later: Later, *, on_hook_s: float) -> None:
        self.users: dict[str, SimUser] = {user.cn: user for user in users}
        self._names = {user.id: user.cn for user in self.users.values()}
        self.legs: dict[int, Leg] = {}
        self.calls: list[Conversation] = []
        self.listeners: list[Listener] = []
        self.later = later
        self.on_hook_s = on_hook_s
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
        """The newest entry of a contact replaces its older one and is the one that is shown."""
        user = self.users[cn]
        others = tuple(old for old in user.presence if old.contact != entry.contact)
        self.put_user(replace(user, presence=(entry, *others)))

    def new_leg(self, user: SimUser, state: int, bits: int, peer: No, conf: str) -> Leg:
        """A leg of a user; nobody is told yet."""
        number = self._free.popleft() if self._free else next(self._numbers)
        leg = Leg(number, user.id, state, bits, [peer, party("this", user)], conf)
        self.legs[leg.number] = leg
        return leg

    def tell(self, leg: Leg, message: str) -> None:
        """Let everybody hear of a leg, and of the counters it changed."""
        if leg.over:
            self.legs.pop(leg.number, None)
        for listener in self.listeners:
            listener.leg_changed(leg, message, xfer=leg.xfer_only or None)
        user = self.by_guid(leg.guid)
        if user is not None and self.counts(user.id) != self._counts.get(user.id, (0, 0)):
            self._tell_user(user)

    def tell_plain(self, leg: Leg, message: str) -> None:
        """Let only those hear who do not follow transfers; no counter changes."""
        for listener in self.listeners:
            listener.leg_changed(leg, message, xfer=False)

    def lose(self, leg: Leg) -> None:
        """A leg is over and nobody is told; the next new leg gets its number (docs/wire.md#robustness)."""
        leg.over = True
        del self.legs[leg.number]
        self._free.append(leg.number)
        self.calls = [call for call in self.calls if call.legs]

    def wished(self, leg: Leg, wish: str) -> bool:
        """Tell whether anybody follows the user of this leg with a wish: "xfer" or "disc"."""
        return any(wish in listener.wishes(leg.guid) for listener in self.listeners)

    def forget_all(self) -> None:
        """A reboot: all calls are gone and nobody hears of it; leg numbers start again."""
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
