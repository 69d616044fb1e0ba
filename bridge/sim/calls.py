"""One call of a simulated PBX, leg by leg: ringing, answered, held, ended. No network, no clock.

States: docs/wire.md#leg-state; messages: docs/wire.md#messages; their order, partly inferred:
docs/wire.md#sequences.
"""

import uuid
from collections.abc import Callable

from bridge.sim.exchange import Exchange
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
    WAITING,
    Leg,
    No,
    SimUser,
)

TAKEN_ELSEWHERE, NORMAL = 26, 16


class BasicCall:
    """One call: at most one calling leg and one or more called legs, either of which may be outside instead.

    Users are given by long name; the default is the user of the first leg.
    `outside`: what the end outside was told within the call, kind and text.
    """

    def __init__(self, exchange: Exchange, *, conf: str | None = None) -> None:
        self._exchange = exchange
        self.conf = conf or uuid.uuid4().hex
        self.caller: Leg | None = None
        self.called: list[Leg] = []
        self.outside: list[tuple[str, str]] = []
        exchange.calls.append(self)

    @property
    def legs(self) -> list[Leg]:
        """All legs that have not ended."""
        legs = ([self.caller] if self.caller else []) + self.called
        return [leg for leg in legs if not leg.over]

    def leg_of(self, cn: str) -> Leg:
        """The leg of a user in this call. Raises KeyError if there is none."""
        guid = self._exchange.users[cn].id
        for leg in self.legs:
            if leg.guid == guid and not leg.xfer_only:
                return leg
        raise KeyError(f"'{cn}' has no part in this call")

    def ring(self, user: SimUser, peer: No, *more: No) -> Leg:
        """The call arrives at a user: state 129, r-setup. A call that rings at several users is forked."""
        bits = TO_USER | (WAITING if user.type == "waiting" else 0)
        leg = self._exchange.new_leg(user, SETUP, bits, peer, self.conf)
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
        """The number is complete: state 3; its message has no documented name (docs/wire.md#messages)."""
        self._caller_to(CALL_PROC, "r-call-proc")

    def alert(self) -> None:
        """The called phones ring, and the caller hears it."""
        for leg in self.legs:
            if leg is not self.caller and leg.state == SETUP:
                self._to(leg, ALERT, "x-alert")
        self._caller_to(ALERT, "r-alert")

    def answer(self, by: str | None = None) -> None:
        """A user answers (default: the first that rings), or the outside end."""
        ringing = self._ringing()
        taker = self.leg_of(by) if by else next(iter(ringing), None)
        if taker is not None:
            self.answer_leg(taker)
        else:
            self._caller_to(CONNECT, "r-conn")

    def answer_leg(self, taker: Leg) -> None:
        """Answer a ringing leg, release the others with cause 26; ignore a leg that does not ring."""
        ringing = self._ringing()
        if taker not in ringing:
            return
        for leg in ringing:
            if leg is not taker:
                self.release(leg, by_user=False, cause=TAKEN_ELSEWHERE)
        self._to(taker, CONNECT, "x-conn")
        self._caller_to(CONNECT, "r-conn")

    def hang_up(self, by: str = "", cause: int = NORMAL, *, tone: bool = False) -> None:
        """End the call, by a user (long name, or "user") or by the outside end (or "remote").

        `tone`: the other phones stay off hook and hear a tone: 6 or 134, r-disc. They also do so if they
        are connected and their handle was opened with disc (docs/wire.md#monitoring).
        """
        guid = self._guid(by)
        for leg in self.legs:
            mine = leg.guid == guid
            waits = tone or (leg.state == CONNECT and self._exchange.wished(leg, "disc"))
            if waits and not mine and not leg.xfer_only:
                self.disconnect(leg, cause)
            elif not leg.over:
                self.release(leg, by_user=mine, cause=cause)

    def drop(self, cn: str = "", cause: int = TAKEN_ELSEWHERE) -> None:
        """Release one leg of several, like those of a forked call that another phone answered."""
        self.release(self._mine(cn), by_user=False, cause=cause)

    def release(self, leg: Leg, *, by_user: bool, cause: int | None) -> None:
        """End one leg: released by its user or by the remote party, then always `del`."""
        leg.state = DISC_RECEIVED if by_user else DISC_SENT
        leg.cause = cause
        self._exchange.tell(leg, "x-rel" if by_user else "r-rel")
        self.delete(leg)

    def disconnect(self, leg: Leg, cause: int) -> None:
        """The remote party is gone, the phone is still off hook: state 6 or 134, and `del` when on hook."""
        leg.state, leg.cause = DISC_SENT, cause
        self._exchange.tell(leg, "r-disc")
        self._exchange.later(self._exchange.on_hook_s, lambda: self._on_hook(leg))

    def delete(self, leg: Leg) -> None:
        """Report the end of a leg, once."""
        if not leg.over:
            leg.over = True
            self._exchange.tell(leg, "del")
        rest = self.legs
        if rest and all(other.xfer_only for other in rest):
            self.delete(rest[0])
        elif not rest and self in self._exchange.calls:
            self._exchange.calls.remove(self)

    def hold(self, cn: str = "") -> None:
        """A user puts the remote party on hold."""
        self._mark(self._mine(cn).guid, lambda bits, mine: bits | (HELD if mine else HELD_BY_PEER), "r-held")

    def retrieve(self, cn: str = "") -> None:
        """The user retrieves the remote party."""
        guid = self._mine(cn).guid
        self._mark(guid, lambda bits, mine: bits & ~(HELD if mine else HELD_BY_PEER), "r-retrieved")

    def hold_remote(self) -> None:
        """The outside end puts the user on hold."""
        self._mark("", lambda bits, _mine: bits | HELD_BY_PEER, "r-held")

    def retrieve_remote(self) -> None:
        """The outside end retrieves the user."""
        self._mark("", lambda bits, _mine: bits & ~HELD_BY_PEER, "r-retrieved")

    def _ringing(self) -> list[Leg]:
        return [leg for leg in self.legs if leg is not self.caller and leg.state in {SETUP, ALERT}]

    def _mine(self, cn: str) -> Leg:
        """The leg of a user, or the first leg. Raises KeyError if the call is over."""
        if cn:
            return self.leg_of(cn)
        for leg in self.legs:
            if not leg.xfer_only:
                return leg
        raise KeyError("the call is over")

    def _guid(self, by: str) -> str:
        if by in self._exchange.users:
            return self._exchange.users[by].id
        if by in {"", "remote"} or not self.legs:
            return ""
        if by == "user":
            return self.legs[0].guid
        raise KeyError(by)

    def _on_hook(self, leg: Leg) -> None:
        if not leg.over:
            leg.state = DISC_RECEIVED
            self._exchange.tell(leg, "x-rel")
            self.delete(leg)

    def _mark(self, guid: str, change: Callable[[int, bool], int], message: str) -> None:
        for leg in [leg for leg in self.legs if not leg.xfer_only]:
            mine = leg.guid == guid
            leg.bits = change(leg.bits, mine)
            self._exchange.tell(leg, "update" if mine else message)

    def _to(self, leg: Leg, state: int, message: str) -> None:
        leg.state = state
        self._exchange.tell(leg, message)

    def _caller_to(self, state: int, message: str) -> None:
        caller = self.caller
        if caller is not None and not caller.over and caller.state < state <= CONNECT:
            self._to(caller, state, message)
