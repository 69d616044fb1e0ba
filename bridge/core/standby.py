"""Chooses among the addresses of a PBX or a broker, and decides when to go back to the first. Reads no clock.

An address that was just up gets some more attempts, the others follow in turn. On another address than the
first, the primary, that one is looked at regularly; it must have answered for a while before it is served
again, and for longer each time that it did not keep its promise (docs/standby.md).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bridge.core.status import STAYED_S
from bridge.errors import LinkError, StandsBack, TakenOver

AGAIN, AGAIN_S = 2, 3.0
"""How often, and how long, an address that was up is tried again first: many outages are only a restart."""
FLAPS = 2
"""How many sessions in a row may break soon before the next address gets its turn."""
REJECTED_S = 60.0
"""An address that rejects the bridge is left out for so long: accounts lock after too many attempts."""
LOOK_S, LOOKS = 20.0, 3
"""The primary is looked at every LOOK_S, and at least LOOKS times before the bridge returns."""
SOON, LONGEST_S = 10, 3600.0
"""A primary left within SOON times `return_after_s` must answer for twice as long, up to LONGEST_S."""
CALM_S = 300.0
"""How long to wait for a moment in which nothing can be lost. Then the bridge returns all the same."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of one side without credentials, the primary first.

    `return_after_s`: how long the primary must have answered before the bridge returns to it.
    """

    names: tuple[str, ...] = ("",)
    return_after_s: float = 60.0


ONE = Addresses()
"""There is no choice."""


class AddressChoice:
    """Which address one side of a link uses. `place`: its number; 0 is the primary."""

    def __init__(self, addresses: Addresses) -> None:
        self.place = 0
        self._addresses = addresses
        self._lost_s: float | None = None
        self._again = self._flaps = 0
        self._rejected_until_s: dict[int, float] = {}
        self._returning = False
        self._returned_s: float | None = None
        self._good_since_s: float | None = None
        self._patience_s = addresses.return_after_s

    @property
    def name(self) -> str:
        """The address in use, or the next to be tried."""
        return self._addresses.names[self.place]

    @property
    def primary(self) -> str:
        """The first address."""
        return self._addresses.names[0]

    @property
    def several(self) -> bool:
        """There is a choice."""
        return len(self._addresses.names) > 1

    def down(self, cause: LinkError, lived_s: float | None, now_s: float) -> bool:
        """A session ended after `lived_s`, or an attempt failed: choose the address of the next attempt.

        True if that address has not rejected the bridge, although another one may have.
        """
        if self._returning:
            self._move(0, now_s)
            return True
        if lived_s is not None:
            self._lost_s, self._again = now_s, 0
            self._flaps = 0 if lived_s >= STAYED_S else self._flaps + 1
        if self._stays(cause, now_s):
            return False
        if not cause.heals:
            self._rejected_until_s[self.place] = now_s + REJECTED_S
        found = next((place for place in self._others() if self._usable(place, now_s)), None)
        if found is None:
            return False
        self._move(found, now_s)
        return True

    def look_in_s(self, random: Callable[[], float]) -> float:
        """The pause before the next look at the primary, random so that links do not agree."""
        return min(LOOK_S, self._addresses.return_after_s / LOOKS) * (0.75 + random() / 2)

    def looked(self, now_s: float, *, good: bool) -> None:
        """The primary has answered, or not."""
        if not good:
            self._good_since_s = None
        elif self._good_since_s is None:
            self._good_since_s = now_s

    def may_return(self, now_s: float) -> bool:
        """The primary has answered every look for long enough."""
        return self._good_since_s is not None and now_s - self._good_since_s >= self._patience_s

    def is_overdue(self, now_s: float) -> bool:
        """The bridge could have returned for so long that it must not wait for a calm moment any more."""
        return self.may_return(now_s - CALM_S)

    def returns(self) -> None:
        """The session is being ended, so that the next one is with the primary."""
        self._returning = True

    def _stays(self, cause: LinkError, now_s: float) -> bool:
        """Another bridge has our place: at another broker we would both serve. Or it was up just now."""
        if not self.several or isinstance(cause, TakenOver | StandsBack):
            return True
        soon = self._lost_s is not None and now_s - self._lost_s < AGAIN_S
        again = soon and cause.heals and self._again < AGAIN and self._flaps <= FLAPS
        self._again += again
        return again

    def _others(self) -> Iterator[int]:
        """All places in turn, our own last."""
        count = len(self._addresses.names)
        return ((self.place + step) % count for step in range(1, count + 1))

    def _usable(self, place: int, now_s: float) -> bool:
        return self._rejected_until_s.get(place, now_s) <= now_s

    def _move(self, place: int, now_s: float) -> None:
        if self._returning:
            self._returned_s = now_s
        elif self.place == 0 and place:
            self._judge_primary(now_s)
        self.place = place
        self._lost_s, self._flaps, self._returning, self._good_since_s = None, 0, False, None

    def _judge_primary(self, now_s: float) -> None:
        """It is left. If the bridge returned to it only recently, it must prove more the next time."""
        usual_s = self._addresses.return_after_s
        soon = self._returned_s is not None and now_s - self._returned_s < SOON * usual_s
        self._patience_s = min(2 * self._patience_s, max(LONGEST_S, usual_s)) if soon else usual_s
