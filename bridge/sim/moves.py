"""Calls that change hands: diverted, picked up, parked, transferred. No network here."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from bridge.sim.calls import NORMAL, TAKEN_ELSEWHERE, BasicCall
from bridge.sim.exchange import Exchange
from bridge.sim.model import (
    CONNECT,
    DISC_SENT,
    HELD,
    HELD_BY_PEER,
    PARKED,
    TO_USER,
    Forward,
    Leg,
    No,
    SimUser,
    party,
)
from bridge.sim.routes import NO_ANSWER, Route, diversion, route

FORWARDED = None
"""No cause is documented for a leg that ends by a diversion."""


class SimCall(BasicCall):
    """A call with all its moves. Users are given by long name."""

    def divert(self, cn: str, to: str) -> Leg:
        """Divert the call from one user to another (leg2, docs/wire.md#parties)."""
        user = self._exchange.users[cn]
        self.divert_leg(self.leg_of(cn), user, Route(self._exchange.users[to]))
        return self.leg_of(to)

    def divert_leg(self, old: Leg, user: SimUser, way: Route) -> None:
        """Divert a leg to a user or outside; an internal caller sees a new remote party."""
        first = next((number for number in old.numbers if number.type == "leg2orig"), None)
        origin = replace(first or party("leg2", user), type="leg2orig")
        last = party("leg2", (user, *way.through)[-1])
        self._ring_at(way, old.peer, (last, origin))
        self._show_caller(way.peer)
        self.release(old, by_user=False, cause=FORWARDED)
        self.alert()

    def arrive(self, way: Route, caller: No) -> None:
        """Ring at the end of a way; an internal caller sees who diverted the call."""
        self._ring_at(way, caller, way.diverting)
        if way.through:
            self._show_caller(way.peer)

    def _ring_at(self, way: Route, caller: No, diverting: Iterable[No]) -> None:
        """Ring at a phone, or at a group and all active members of the group of its name; outside nowhere."""
        if way.user is None:
            return
        everybody = self._exchange.users.values() if way.user.type == "broadcast" else ()
        members = [user for user in everybody if (way.user.cn, True) in user.groups and user.registered]
        for user in (way.user, *members):
            leg = self.ring(user, caller, *diverting)
            unanswered = diversion(user, (NO_ANSWER,))
            if unanswered is not None:
                self._exchange.later(self._exchange.no_answer_s, partial(self._no_answer, leg, unanswered))

    def _no_answer(self, leg: Leg, to: Forward) -> None:
        user = self._exchange.by_guid(leg.guid)
        if user is not None and leg in self._ringing():
            self.divert_leg(leg, user, route(self._exchange, to.h323 or to.e164))

    def pick_up(self, by: str, cn: str) -> Leg:
        """A user picks up the call that rings at another: No picking and ct at the new leg."""
        user = self._exchange.users[cn]
        return self.take(self.leg_of(cn), party("ct", user), self._exchange.users[by])

    def take(self, old: Leg, origin: No, by: SimUser) -> Leg:
        """Pick up a ringing or parked leg."""
        leg = self.ring(by, old.peer, No("picking"), origin)
        self.release(old, by_user=False, cause=NORMAL if old.state == PARKED else TAKEN_ELSEWHERE)
        self._show_caller(party("peer", by))
        self._to(leg, CONNECT, "x-conn")
        self._caller_to(CONNECT, "r-conn")
        return leg

    def park(self, cn: str, at: str) -> Leg:
        """Park a user's call: its leg ends with No parked-to; a leg in state 8 waits at the other user."""
        return self.park_leg(self.leg_of(cn), self._exchange.users[at])

    def park_leg(self, old: Leg, at: SimUser, position: int = -1) -> Leg:
        """The same for a leg."""
        parked = self._exchange.new_leg(at, PARKED, TO_USER, old.peer, self.conf)
        parked.position = position
        self.called.append(parked)
        self._exchange.tell(parked, "update")
        old.put(party("parked-to", at))
        self.release(old, by_user=False, cause=NORMAL)
        return parked

    def transfer(self, cn: str, other: "SimCall") -> None:
        """A user connects this call with another one and leaves: the remaining legs get r-ct with No ct."""
        self.transfer_legs(self._exchange.users[cn], self.leg_of(cn), other, other.leg_of(cn))

    def transfer_legs(self, user: SimUser, mine: Leg, other: "SimCall", theirs: Leg) -> None:
        """Transfer by the two legs of the user."""
        ends = ((self, theirs.peer), (other, mine.peer))
        rest = [(leg, far) for call, far in ends for leg in call.legs if leg not in {mine, theirs}]
        for leg, far in rest:
            leg.put(replace(far, type="peer"))
            leg.put(party("ct", user))
            leg.conf, leg.bits = self.conf, leg.bits & ~(HELD | HELD_BY_PEER)
            self._exchange.tell(leg, "r-ct")
        self.called.extend(leg for leg in other.legs if leg is not theirs)
        self._leave(mine, theirs.peer)
        other.release(theirs, by_user=False, cause=NORMAL)
        other.caller, other.called = None, []
        if other in self._exchange.calls:
            self._exchange.calls.remove(other)

    def _leave(self, leg: Leg, to: No) -> None:
        """End the leg of a user who transferred, except for handles opened with xfer."""
        if not self._exchange.wished(leg, "xfer"):
            self.release(leg, by_user=False, cause=NORMAL)
            return
        ended = replace(leg, state=DISC_SENT, cause=NORMAL)
        self._exchange.tell_plain(ended, "r-rel")
        self._exchange.tell_plain(replace(ended, over=True), "del")
        leg.xfer_only = True
        leg.bits &= ~(HELD | HELD_BY_PEER)
        leg.put(replace(to, type="xfer"))
        self._exchange.tell(leg, "r-ct")

    def _show_caller(self, far: No) -> None:
        if self.caller is not None and not self.caller.over:
            self.caller.put(far)
            self._exchange.tell(self.caller, "r-ct" if self.caller.state == CONNECT else "update")


def call_of(exchange: Exchange, leg: Leg) -> SimCall | None:
    """The call of a leg."""
    return next((call for call in exchange.calls if isinstance(call, SimCall) and leg in call.legs), None)
