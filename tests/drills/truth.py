"""What a PBX knows, observed while it changes: each state a user has had since a moment. Judges nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.sim.model import Leg, SimUser
from bridge.sim.pbx import SimPbx

View = tuple[str, tuple[str, ...]]
"""A display name, and the far ends of the running calls."""


class Truth:
    """Hears every change of a simulated PBX.

    Users change all the time, and what is on the bus is a moment behind: it is true when it is what the
    PBX knew at some time since the fault was over.
    """

    def __init__(self, pbx: SimPbx) -> None:
        self._pbx = pbx
        self.views: dict[str, set[View]] = {}
        for user in pbx.exchange.users.values():
            self._note(user)

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
        """See Listener."""
        self._note(user)

    def leg_changed(self, leg: Leg, message: str, *, xfer: bool | None) -> None:
        """See Listener."""
        user = self._pbx.exchange.by_guid(leg.guid)
        if user is not None:
            self._note(user)

    def wishes(self, guid: str) -> frozenset[str]:
        """See Listener: nobody is monitored in a special way."""
        return frozenset()

    def _note(self, user: SimUser) -> None:
        legs = (leg for leg in self._pbx.exchange.legs.values() if leg.guid == user.id)
        view = user.dn, tuple(sorted(leg.peer.e164 for leg in legs))
        self.views.setdefault(user.h323, set()).add(view)


@contextmanager
def observed(pbx: SimPbx) -> Iterator[Truth]:
    """The truth of a PBX from now on."""
    truth = Truth(pbx)
    pbx.exchange.listeners.append(truth)
    try:
        yield truth
    finally:
        pbx.exchange.listeners.remove(truth)
