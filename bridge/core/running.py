"""The running calls within one transition, indexed. Must not know the rules of the fold.

A PBX may name thousands of legs in one reply, so no step that is done for each leg may walk over all calls,
and none that is done for each transition.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from bridge.core.model import Call, PbxState
from bridge.core.persistent import Table
from bridge.core.records import LegRecord

RELATED_AT_MOST = 256
"""At most this many calls with one conference or one far end are examined: more are no conversation."""


class _Unconfirmed:
    """The calls of one user that this session has not confirmed, by what a record may say of them."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._ids: dict[object, dict[str, None]] = {}
        self._ranks: dict[str, int] = {}
        for call in calls:
            self._ranks[call.id] = len(self._ranks)
            for key in _likenesses(call):
                self._ids.setdefault(key, {})[call.id] = None

    def discard(self, call: Call) -> None:
        del self._ranks[call.id]
        for key in _likenesses(call):
            del self._ids[key][call.id]

    def like(self, conference: str, numbers: Iterable[str]) -> str | None:
        """By conversation first, then by remote number."""
        if conference:
            same = (("both", joint, number) for number in numbers for joint in (conference, ""))
            return self._oldest(same) or self._first(("conference", conference))
        return self._oldest(("number", number) for number in numbers)

    def _first(self, key: object) -> str | None:
        return next(iter(self._ids.get(key, ())), None)

    def _oldest(self, keys: Iterable[object]) -> str | None:
        found = (first for key in keys if (first := self._first(key)) is not None)
        return min(found, key=self._ranks.__getitem__, default=None)


def _likenesses(call: Call) -> tuple[object, ...]:
    conference, number = call.conference, call.remote.number
    return ("both", conference, number), ("conference", conference), ("number", number)


class _Legs:
    """The calls of one user: by id, by leg handle, and those that this session has not confirmed."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.calls = {call.id: call for call in calls}
        self.handles = {
            call.leg_handle: call.id for call in self.calls.values() if call.leg_handle is not None
        }
        self.in_doubt = sum(call.leg_handle is None for call in self.calls.values())
        self._unconfirmed: _Unconfirmed | None = None

    def put(self, call: Call) -> Call | None:
        known = self.calls.get(call.id)
        if known is not None:
            self._forget(known)
        self.calls[call.id] = call
        if call.leg_handle is not None:
            self.handles[call.leg_handle] = call.id
        else:
            self.in_doubt += 1
            self._unconfirmed = None
        return known

    def drop(self, call_id: str) -> Call:
        known = self.calls.pop(call_id)
        self._forget(known)
        return known

    def _forget(self, call: Call) -> None:
        if call.leg_handle is not None:
            self.handles.pop(call.leg_handle, None)
            return
        self.in_doubt -= 1
        if self._unconfirmed is not None:
            self._unconfirmed.discard(call)

    def like(self, record: LegRecord, numbers: Iterable[str]) -> Call | None:
        if self._unconfirmed is None:
            self._unconfirmed = _Unconfirmed(each for each in self.calls.values() if each.leg_handle is None)
        found = self._unconfirmed.like(record.conference, numbers)
        return None if found is None else self.calls[found]


def _joints(call: Call | None) -> dict[tuple[str, str], str]:
    """The id of a call by what it shares with others of its conversation."""
    if call is None:
        return {}
    joints = (("conference", call.conference), ("far", call.remote.number or call.remote.user or ""))
    return {joint: call.id for joint in joints if joint[1]}


class Running:
    """The calls of all users. Those of a user are copied when they are first looked at."""

    def __init__(self, state: PbxState) -> None:
        self._before = state.calls
        self._touched: dict[str, _Legs] = {}
        self._changed: dict[str, None] = {}
        self.by_id = state.running
        self.joints = state.joints
        self.confirmed = state.confirmed

    def of(self, guid: str) -> tuple[Call, ...]:
        """The calls of a user, oldest first."""
        legs = self._touched.get(guid)
        return self._before.get(guid, ()) if legs is None else tuple(legs.calls.values())

    def count_of(self, guid: str) -> int:
        """The number of calls of a user that this session has confirmed."""
        return len(self._legs(guid).handles)

    def oldest(self, guid: str) -> Call | None:
        """The call of a user that this session confirmed first."""
        legs = self._legs(guid)
        return next((legs.calls[call_id] for call_id in legs.handles.values()), None)

    def by_leg_handle(self, guid: str, leg_handle: int) -> Call | None:
        """The call of a user with this leg handle of the session."""
        legs = self._legs(guid)
        return legs.calls.get(legs.handles.get(leg_handle, ""))

    def in_doubt(self, guid: str) -> bool:
        """Whether this session has not confirmed all calls of a user."""
        legs = self._touched.get(guid)
        if legs is None:
            return any(call.leg_handle is None for call in self._before.get(guid, ()))
        return legs.in_doubt > 0

    def like(self, guid: str, record: LegRecord, numbers: Iterable[str]) -> Call | None:
        """The call of a user that is most like a record and not yet confirmed by this session.

        `numbers`: the forms in which the state may have the remote number of the record.
        """
        return self._legs(guid).like(record, numbers)

    def meets(self, guid: str, leg: Call) -> bool:
        """Tell whether a user has a leg of the same conference in the opposite direction."""
        others = map(self.by_id.__getitem__, self._joined(("conference", leg.conference)))
        return any(other.user == guid and other.direction is not leg.direction for other in others)

    def related(self, call: Call, far_user: str | None) -> list[Call]:
        """Other calls of the same conversation or far end, and those of the user `far_user` (a guid)."""
        own = () if far_user is None else (each.id for each in self.of(far_user)[:RELATED_AT_MOST])
        ids = chain(*map(self._joined, _joints(call)), own)
        return [self.by_id[each] for each in dict.fromkeys(ids) if each != call.id]

    def _joined(self, joint: tuple[str, str]) -> Iterable[str]:
        return islice(self.joints.get(joint, ()), RELATED_AT_MOST)

    def put(self, call: Call) -> None:
        """Add a call to its user, or replace the one with the same id."""
        known = self._legs(call.user).put(call)
        self.by_id = self.by_id.insert(call.id, call)
        self._note(call.user, known, call)

    def drop(self, call: Call) -> None:
        """Remove a call."""
        known = self._legs(call.user).drop(call.id)
        self.by_id = self.by_id.discard(call.id)
        self._note(call.user, known, None)

    def _note(self, guid: str, before: Call | None, after: Call | None) -> None:
        """Keep what is known of all calls together."""
        self._changed[guid] = None
        was = before is not None and before.leg_handle is not None
        self.confirmed += (after is not None and after.leg_handle is not None) - was
        left, joined = _joints(before), _joints(after)
        if left != joined:
            for joint, call_id in left.items() - joined.items():
                self._leave(joint, call_id)
            for joint, call_id in joined.items() - left.items():
                self.joints = self.joints.insert(joint, (*self.joints.get(joint, ()), call_id))

    def _leave(self, joint: tuple[str, str], call_id: str) -> None:
        ids = self.joints[joint]
        at = ids.index(call_id)
        rest = ids[:at] + ids[at + 1 :]
        self.joints = self.joints.insert(joint, rest) if rest else self.joints.discard(joint)

    def finished(self) -> Table[str, tuple[Call, ...]]:
        """All calls by user. Users without calls are left out."""
        after = self._before
        for guid in self._changed:
            calls = self.of(guid)
            after = after.insert(guid, calls) if calls else after.discard(guid)
        return after

    def _legs(self, guid: str) -> _Legs:
        legs = self._touched.get(guid)
        if legs is None:
            legs = self._touched[guid] = _Legs(self._before.get(guid, ()))
        return legs
