"""The switching of a simulated PBX: who exists, which legs run, who must hear of it. No network here."""

import itertools
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from bridge.sim.model import (
    ALERT,
    CALL_PROC,
    CONNECT,
    DISC_RECEIVED,
    DISC_SENT,
    HELD,
    HELD_BY_PEER,
    SETUP,
    TO_USER,
    Entry,
    Leg,
    No,
    SimUser,
    party,
)

TAKEN_ELSEWHERE, NORMAL = 26, 16


class Listener(Protocol):
    """Whoever wants to hear what happens: a SOAP session."""

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool) -> None:
        """A user, or how many calls it has, changed."""
        ...

    def leg_changed(self, leg: Leg, message: str) -> None:
        """A leg changed; `leg.over` at its end."""
        ...


class Exchange:
    """Users and legs of one PBX, and the listeners that hear of every change."""

    def __init__(self, users: Iterable[SimUser]) -> None:
        self.users: dict[str, SimUser] = {user.cn: user for user in users}
        self.legs: dict[int, Leg] = {}
        self.calls: list[SimCall] = []
        self.listeners: list[Listener] = []
        self._numbers = itertools.count(1)
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
        return next((user for user in self.users.values() if user.id == guid), None)

    def counts(self, guid: str) -> tuple[int, int]:
        """How many calls a user has, and how many of them alert."""
        legs = [leg for leg in self.legs.values() if leg.guid == guid and not leg.xfer_only]
        return len(legs), sum(leg.state == ALERT and bool(leg.bits & TO_USER) for leg in legs)

    def put_user(self, user: SimUser, *, instead_of: str | None = None) -> None:
        """Add a user or change it, its long name too."""
        if instead_of is not None:
            del self.users[instead_of]
        self.users[user.cn] = user
        self._tell_user(user)

    def remove_user(self, cn: str) -> None:
        """Delete a user; its calls go on without anybody hearing of them."""
        user = self.users.pop(cn)
        for listener in self.listeners:
            listener.user_changed(user, 0, 0, gone=True)

    def set_presence(self, cn: str, entry: Entry) -> None:
        """The newest entry of a contact replaces its older one and is the one that is shown."""
        user = self.users[cn]
        others = tuple(old for old in user.presence if old.contact != entry.contact)
        self.put_user(replace(user, presence=(entry, *others)))

    def new_leg(self, user: SimUser, state: int, bits: int, peer: No, conf: str) -> Leg:
        """A leg of a user; nobody is told yet."""
        leg = Leg(next(self._numbers), user.id, state, bits, [peer, party("this", user)], conf)
        self.legs[leg.number] = leg
        return leg

    def tell(self, leg: Leg, message: str) -> None:
        """Let everybody hear of a leg, and of the counters it changed."""
        if leg.over:
            self.legs.pop(leg.number, None)
        for listener in self.listeners:
            listener.leg_changed(leg, message)
        user = self.by_guid(leg.guid)
        if user is not None and self.counts(user.id) != self._counts.get(user.id, (0, 0)):
            self._tell_user(user)

    def forget_all(self) -> None:
        """A reboot: all calls are gone and nobody hears of it."""
        self.legs.clear()
        self.calls.clear()
        self._counts.clear()

    def call_of(self, leg: Leg) -> "SimCall | None":
        """The call a leg belongs to."""
        return next((call for call in self.calls if leg in call.legs), None)

    def _tell_user(self, user: SimUser) -> None:
        channel, alert = self._counts[user.id] = self.counts(user.id)
        for listener in self.listeners:
            listener.user_changed(user, channel, alert, gone=False)


class SimCall:
    """One conversation: at most one calling leg, one or more called ones, or an outside end instead."""

    def __init__(self, exchange: Exchange, *, conf: str | None = None) -> None:
        self._exchange = exchange
        self.conf = conf or uuid.uuid4().hex
        self.caller: Leg | None = None
        self.called: list[Leg] = []
        exchange.calls.append(self)

    @property
    def legs(self) -> list[Leg]:
        """All legs that run."""
        legs = ([self.caller] if self.caller else []) + self.called
        return [leg for leg in legs if not leg.over]

    def leg_of(self, cn: str) -> Leg:
        """The leg of a user in this call."""
        guid = self._exchange.users[cn].id
        return next(leg for leg in self.legs if leg.guid == guid)

    def ring(self, user: SimUser, peer: No, *more: No) -> Leg:
        """The call arrives at a user: state 129, r-setup (wire reference 10.7)."""
        leg = self._exchange.new_leg(user, SETUP, TO_USER, peer, self.conf)
        leg.numbers.extend(more)
        self.called.append(leg)
        self._exchange.tell(leg, "r-setup")
        return leg

    def dial(self, user: SimUser, peer: No) -> Leg:
        """A user starts the call: state 1, x-setup."""
        self.caller = self._exchange.new_leg(user, SETUP, 0, peer, self.conf)
        self._exchange.tell(self.caller, "x-setup")
        return self.caller

    def proceed(self) -> None:
        """The caller's number is complete."""
        self._caller_to(CALL_PROC, "r-call-proc")

    def alert(self) -> None:
        """The called phones ring, and the caller hears it."""
        for leg in self.called:
            if not leg.over:
                self._to(leg, ALERT, "x-alert")
        self._caller_to(ALERT, "r-alert")

    def answer(self, by: str | None = None) -> None:
        """Somebody answers; the other phones that rang are released with cause 26."""
        taker = self.leg_of(by) if by else next((leg for leg in self.called if not leg.over), None)
        for leg in [leg for leg in self.called if leg is not taker and not leg.over]:
            self.release(leg, by_user=False, cause=TAKEN_ELSEWHERE)
        if taker is not None:
            self._to(taker, CONNECT, "x-conn")
        self._caller_to(CONNECT, "r-conn")

    def hang_up(self, by: str = "", cause: int = NORMAL) -> None:
        """The end of the call, by a user (long name) or, without one, by the outside end."""
        guid = self._exchange.users[by].id if by else ""
        for leg in self.legs:
            self.release(leg, by_user=leg.guid == guid, cause=cause)

    def release(self, leg: Leg, *, by_user: bool, cause: int | None) -> None:
        """One leg ends: released by its user or by the far side, then always `del`."""
        leg.state = DISC_RECEIVED if by_user else DISC_SENT
        leg.cause = cause
        self._exchange.tell(leg, "x-rel" if by_user else "r-rel")
        self.delete(leg)

    def disconnect(self, leg: Leg, cause: int) -> None:
        """The far side is gone but the phone is off hook: state 6 or 134 until `delete`."""
        leg.state, leg.cause = DISC_SENT, cause
        self._exchange.tell(leg, "r-disc")

    def delete(self, leg: Leg) -> None:
        """The last that is heard of a leg, once."""
        if not leg.over:
            leg.over = True
            self._exchange.tell(leg, "del")
        if not self.legs and self in self._exchange.calls:
            self._exchange.calls.remove(self)

    def hold(self, cn: str) -> None:
        """A user puts the other on hold."""
        self._mark(cn, lambda bits, mine: bits | (HELD if mine else HELD_BY_PEER), "r-held")

    def retrieve(self, cn: str) -> None:
        """The user takes the other back."""
        self._mark(cn, lambda bits, mine: bits & ~(HELD if mine else HELD_BY_PEER), "r-retrieved")

    def divert(self, cn: str, to: str) -> Leg:
        """A diversion takes the call from a user to another (leg2, wire reference 10.3)."""
        users = self._exchange.users
        old = self.leg_of(cn)
        peer = next(number for number in old.numbers if number.type == "peer")
        first = next((number for number in old.numbers if number.type == "leg2orig"), None)
        origin = replace(first or party("leg2", users[cn]), type="leg2orig")
        leg = self.ring(users[to], peer, party("leg2", users[cn]), origin)
        self.release(old, by_user=False, cause=None)
        return leg

    def pick_up(self, by: str, cn: str) -> Leg:
        """Somebody takes the call that rings at a user: No picking and ct at the new leg."""
        users = self._exchange.users
        old = self.leg_of(cn)
        peer = next(number for number in old.numbers if number.type == "peer")
        leg = self.ring(users[by], peer, No("picking"), party("ct", users[cn]))
        self.release(old, by_user=False, cause=TAKEN_ELSEWHERE)
        self.answer(by)
        return leg

    def park(self, cn: str, at: str) -> None:
        """A user's leg is cleared with No parked-to; the far end waits."""
        leg = self.leg_of(cn)
        leg.put(party("parked-to", self._exchange.users[at]))
        self.release(leg, by_user=False, cause=NORMAL)

    def transfer(self, cn: str, other: "SimCall") -> None:
        """A user joins this call with another one and drops out: the rest get r-ct with No ct."""
        user = self._exchange.users[cn]
        mine, theirs = self.leg_of(cn), other.leg_of(cn)
        ends = {id(self): _peer(theirs), id(other): _peer(mine)}
        for call in (self, other):
            for leg in [leg for leg in call.legs if leg.guid != user.id]:
                leg.put(replace(ends[id(call)], type="peer"))
                leg.put(party("ct", user))
                leg.conf, leg.bits = self.conf, leg.bits & ~(HELD | HELD_BY_PEER)
                self._exchange.tell(leg, "r-ct")
        for call, leg in ((self, mine), (other, theirs)):
            call.release(leg, by_user=False, cause=NORMAL)
        if other in self._exchange.calls:
            self.called.extend(other.legs)
            self._exchange.calls.remove(other)

    def _mark(self, cn: str, change: Callable[[int, bool], int], message: str) -> None:
        guid = self._exchange.users[cn].id
        for leg in self.legs:
            mine = leg.guid == guid
            leg.bits = change(leg.bits, mine)
            self._exchange.tell(leg, "update" if mine else message)

    def _to(self, leg: Leg, state: int, message: str) -> None:
        leg.state = state
        self._exchange.tell(leg, message)

    def _caller_to(self, state: int, message: str) -> None:
        if self.caller is not None and not self.caller.over:
            self._to(self.caller, state, message)


def _peer(leg: Leg) -> No:
    return next(number for number in leg.numbers if number.type == "peer")
