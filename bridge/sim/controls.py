"""Call control of a simulated PBX (docs/wire.md#call-control). Later events show success."""

import asyncio
from functools import partial

from bridge.sim.arguments import Args, text, whole
from bridge.sim.calls import NORMAL, TAKEN_ELSEWHERE
from bridge.sim.desk import Desk
from bridge.sim.model import ALERT, PARKED, SETUP, TO_USER, Leg, No, SimUser, party
from bridge.sim.moves import SimCall, call_of
from bridge.sim.routes import route

ABSENT = 20
IGNORE_DIVERSIONS = 999
ANSWERS_ITSELF = frozenset({2, 3})
"""Facilities of docs/wire.md#facility-codes that make the phone of the one who is called answer."""


async def user_call(desk: Desk, args: Args) -> list[str]:
    """Place a call; returns the leg's number at once, 0 if refused. An unknown number is outside."""
    session, user = desk.monitored(args)
    to = _target(desk, args)
    if to is None or not user.registered:
        return desk.answer(0)
    call = SimCall(desk.exchange)
    leg = call.dial(user, route(desk.exchange, to, obey=False).peer)
    session.fresh_calls = [(placed, old) for placed, old in session.fresh_calls if not old.over]
    session.fresh_calls.append((asyncio.get_running_loop().time(), leg))
    caller = _caller(user, text(args, "srce164"))
    itself = whole(args, "rc") in ANSWERS_ITSELF
    desk.exchange.later(desk.profile.call_step_s, lambda: _proceed(desk, call, caller, to, itself))
    return desk.answer(leg.number)


def _target(desk: Desk, args: Args) -> str | None:
    """The user or the outside number that the request names; None for none, or for an unknown name."""
    number, name = text(args, "e164"), text(args, "cn") or text(args, "h323")
    if name:
        return name if desk.exchange.find(name) else None
    return number or None


def _proceed(desk: Desk, call: SimCall, caller: No, to: str, itself: bool) -> None:  # noqa: FBT001  (of a timer)
    leg = call.caller
    if leg is None or leg.over or leg.state != SETUP:
        return
    call.proceed()
    way = route(desk.exchange, to)
    if way.user is not None and not way.user.registered:
        call.disconnect(leg, ABSENT)
        return
    call.arrive(way, caller)
    call.alert()
    if way.user is not None and itself:
        call.answer()
    if way.user is None and desk.profile.far_end_answers_s is not None:
        desk.exchange.later(desk.profile.far_end_answers_s, call.answer)


def _caller(user: SimUser, shown: str) -> No:
    """The calling party as the callee sees it; srce164 overrides the number, a leading r withholds it."""
    if shown[:1] in {"r", "R"}:
        return No("peer")
    seen = party("peer", user)
    return No("peer", seen.cn, seen.dn, shown or seen.e164, seen.h323)


async def user_clear(desk: Desk, args: Args) -> list[str]:
    """Hang up. Cause 26 frees the phone at once; with others it plays a tone until it is on hook."""
    leg, call = desk.leg(args)
    cause = whole(args, "cause")
    others = [other for other in call.legs if other is not leg]
    if cause == TAKEN_ELSEWHERE or leg.state == PARKED:
        call.release(leg, by_user=False, cause=cause)
    else:
        call.disconnect(leg, cause)
    for other in others:
        if not other.over:
            call.release(other, by_user=False, cause=NORMAL if cause == TAKEN_ELSEWHERE else cause)
    return []


async def user_connect(desk: Desk, args: Args) -> list[str]:
    """Answer a ringing phone."""
    leg, call = desk.leg(args)
    call.answer_leg(leg)
    return []


async def user_hold(desk: Desk, args: Args) -> list[str]:
    """Put the remote party on hold."""
    leg, call = desk.leg(args)
    call.hold(desk.user_of(leg).cn)
    return []


async def user_retrieve(desk: Desk, args: Args) -> list[str]:
    """Retrieve the remote party."""
    leg, call = desk.leg(args)
    call.retrieve(desk.user_of(leg).cn)
    return []


async def user_transfer(desk: Desk, args: Args) -> list[str]:
    """Connect two calls of one user; ignore anything else."""
    mine, one = desk.leg(args, "a")
    theirs, other = desk.leg(args, "b")
    if one is not other and mine.guid == theirs.guid:
        one.transfer_legs(desk.user_of(mine), mine, other, theirs)
    return []


async def user_redirect(desk: Desk, args: Args) -> list[str]:
    """Divert an incoming call, with facility 999 whatever the target diverts; false for any other call."""
    return _divert(desk, args, obey=whole(args, "rc") != IGNORE_DIVERSIONS)


async def user_reroute(desk: Desk, args: Args) -> list[str]:
    """Divert an incoming call, as the diversions of its target say."""
    return _divert(desk, args, obey=True)


def _divert(desk: Desk, args: Args, *, obey: bool) -> list[str]:
    leg, call = desk.leg(args)
    to = _target(desk, args)
    if not leg.bits & TO_USER or to is None:
        return desk.answer(value=False)
    call.divert_leg(leg, desk.user_of(leg), route(desk.exchange, to, obey=obey))
    return desk.answer(value=True)


async def user_pickup(desk: Desk, args: Args) -> list[str]:
    """Pick up a ringing or parked call: by leg, by name, in a group, or in any active group."""
    _, user = desk.monitored(args)
    old = _to_pick_up(desk, user, args)
    call = call_of(desk.exchange, old) if old else None
    if old is None or call is None:
        return desk.answer(0)
    return desk.answer(call.take(old, party("ct", desk.user_of(old)), user).number)


def _to_pick_up(desk: Desk, user: SimUser, args: Args) -> Leg | None:
    number, name, group = whole(args, "call"), text(args, "cn"), text(args, "group")
    legs = [leg for leg in desk.exchange.legs.values() if _takeable(leg) and leg.guid != user.id]
    if number:
        parked = desk.exchange.legs.get(number)
        return parked if parked is not None and _takeable(parked) else None
    if name:
        wanted = desk.exchange.users.get(name)
        return next((leg for leg in legs if wanted is not None and leg.guid == wanted.id), None)
    groups = {group} if group else {name for name, active in user.groups if active}
    return next((leg for leg in legs if groups & {name for name, _ in desk.user_of(leg).groups}), None)


def _takeable(leg: Leg) -> bool:
    return bool(leg.bits & TO_USER) and leg.state in {SETUP, ALERT, PARKED}


async def user_park(desk: Desk, args: Args) -> list[str]:
    """Park a call at a user (default: its own); returns the number of the parked leg for the pickup.

    0 for an unknown user, or for a position that is taken.
    """
    leg, call = desk.leg(args)
    at = desk.exchange.users.get(text(args, "cn")) if text(args, "cn") else desk.user_of(leg)
    if at is None:
        return desk.answer(0)
    position = whole(args, "position")
    taken = {other.position for other in desk.exchange.legs.values() if _parked_at(other, at)}
    return desk.answer(0 if position in taken - {-1} else call.park_leg(leg, at, position).number)


def _parked_at(leg: Leg, user: SimUser) -> bool:
    return leg.guid == user.id and leg.state == PARKED


async def user_message(desk: Desk, args: Args) -> list[str]:
    """Send a text message; returns its number; msg-sent reports its delivery (docs/wire.md#messages)."""
    session, user = desk.monitored(args)
    to = desk.exchange.find(text(args, "h323") or text(args, "e164"))
    if to is None or not user.registered:
        return desk.answer(0)
    number = desk.sessions.new_handle()
    sender = text(args, "src_h323") or text(args, "src_e164") or user.h323
    cause = None if to.registered else ABSENT
    if to.registered:
        desk.exchange.messages.append((to.cn, sender, text(args, "msg")))
    tell = partial(session.message_done, whole(args, "user"), number, cause=cause)
    desk.exchange.later(desk.profile.call_step_s, tell)
    return desk.answer(number)
