"""What travels within a running call: digits, texts, facilities, displays, media (docs/wire.md#call-control).

The messages of these have no documented names; those here are inferred (docs/wire.md#messages).
"""

from dataclasses import replace
from urllib.parse import quote

from bridge.sim.arguments import Args, text, true, whole
from bridge.sim.desk import Desk
from bridge.sim.model import CALL_PROC, HELD, HELD_BY_PEER, SETUP, Leg, No
from bridge.sim.moves import SimCall, call_of

ACCEPT, HOLD, RETRIEVE = 5, 37, 38
CONFERENCES = frozenset({4, 10})
"""Facilities of docs/wire.md#facility-codes that change calls."""


async def user_dtmf(desk: Desk, args: Args) -> list[str]:
    """Digits, which the other side hears, or the own phone with `recv`."""
    leg, call = desk.leg(args)
    digits = text(args, "dtmf")
    for heard in _listeners(leg, call, args, ("dtmf", digits)):
        heard.dtmf = digits
        desk.exchange.tell(heard, "r-dtmf")
        heard.dtmf = ""
    return []


async def user_uui(desk: Desk, args: Args) -> list[str]:
    """A text within the call; newer firmware encodes it (docs/wire.md#leg-information)."""
    leg, call = desk.leg(args)
    words = text(args, "uui")
    for heard in _listeners(leg, call, args, ("uui", words)):
        heard.uui = quote(words) if desk.profile.encodes_uui else words
        desk.exchange.tell(heard, "update")
    return []


async def user_info(desk: Desk, args: Args) -> list[str]:
    """Keys and a text for the display; a number completes one that is being dialled."""
    leg, call = desk.leg(args)
    digits = text(args, "cdpn")
    if digits and leg.state in {SETUP, CALL_PROC} and leg is call.caller:
        leg.put(replace(leg.peer, e164=leg.peer.e164 + digits))
        desk.exchange.tell(leg, "update")
    for name in ("cdpn", "key", "dsp"):
        if text(args, name):
            _listeners(leg, call, args, (name, text(args, name)))
    return []


def _listeners(leg: Leg, call: SimCall, args: Args, said: tuple[str, str]) -> list[Leg]:
    """The legs whose phones get it; an end outside remembers it, and so does each phone."""
    heard = [leg] if true(args, "recv") else [other for other in call.legs if other is not leg]
    for phone in heard:
        phone.phone.append(said)
    if not heard:
        call.outside.append(said)
    return heard


async def user_rc(desk: Desk, args: Args) -> list[str]:
    """A facility for the phone; few of them change calls."""
    leg, call = desk.leg(args)
    code = whole(args, "rc")
    leg.phone.append(("rc", str(code)))
    if code == ACCEPT:
        call.answer_leg(leg)
    elif code == HOLD:
        call.hold(desk.user_of(leg).cn)
    elif code == RETRIEVE:
        call.retrieve(desk.user_of(leg).cn)
    elif code in CONFERENCES:
        _join(desk, leg)
    return []


def _join(desk: Desk, leg: Leg) -> None:
    """A conference of three: all legs stay, nobody is held any more."""
    mine = [other for other in desk.exchange.legs.values() if other.guid == leg.guid and other.bits & HELD]
    for held in mine:
        call = call_of(desk.exchange, held)
        for other in call.legs if call else []:
            other.bits &= ~(HELD if other is held else HELD_BY_PEER)
            desk.exchange.tell(other, "update" if other is held else "r-retrieved")


async def user_ct_complete(desk: Desk, args: Args) -> list[str]:
    """Pretend a transfer: the phone shows another party, and the record has it."""
    leg, _ = desk.leg(args)
    shown = No("peer", e164=text(args, "e164"), h323=text(args, "h323"))
    leg.phone.append(("display", f"{shown.e164} {shown.h323}".strip()))
    leg.put(shown)
    desk.exchange.tell(leg, "r-ct")
    return []


async def user_media_transfer(desk: Desk, args: Args) -> list[str]:
    """Connect the media of two calls, of either or both sides; nothing of it is reported."""
    (mine, _), (theirs, _) = desk.leg(args, "a"), desk.leg(args, "b")
    sides = " ".join(name for name in ("user", "peer") if true(args, name))
    for leg in (mine, theirs):
        leg.phone.append(("media", sides))
    return []
