"""Where a call goes: the diversions of the one who is called (docs/wire.md#admin). Rings nowhere."""

from collections.abc import Iterable
from dataclasses import dataclass

from bridge.sim.exchange import Exchange
from bridge.sim.model import Forward, No, SimUser, party

MOST_HOPS = 5
ALWAYS, BUSY, NO_ANSWER = "cfu", "cfb", "cfnr"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a call ends up: at a user, or outside at a number. `through`: who diverted it, in order."""

    user: SimUser | None
    number: str = ""
    through: tuple[SimUser, ...] = ()

    @property
    def peer(self) -> No:
        """Its end, as the caller sees it."""
        return party("peer", self.user) if self.user else No("peer", e164=self.number)

    @property
    def diverting(self) -> list[No]:
        """The parties that say who diverted it (docs/wire.md#parties)."""
        if not self.through:
            return []
        return [party("leg2", self.through[-1]), party("leg2orig", self.through[0])]


def route(exchange: Exchange, name: str, *, obey: bool = True) -> Route:
    """The way to a user or an outside number, by the diversions that apply at once: always, and when busy.

    A circle ends after some hops. Without `obey` the diversions do not count.
    """
    through: list[SimUser] = []
    called = exchange.find(name)
    while called is not None and obey and len(through) < MOST_HOPS:
        busy = exchange.counts(called.id)[0] > 0
        to = diversion(called, (ALWAYS, BUSY) if busy else (ALWAYS,))
        if to is None:
            break
        through.append(called)
        name = to.h323 or to.e164
        called = exchange.find(name)
    return Route(called, "" if called else name, tuple(through))


def diversion(user: SimUser, kinds: Iterable[str]) -> Forward | None:
    """The first diversion of the first kind that the user, or a template, has."""
    known = (*user.forwards, *user.inherited)
    return next((one for kind in kinds for one in known if one.kind == kind), None)
