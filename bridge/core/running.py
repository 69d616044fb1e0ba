"""The running calls within one transition, indexed. Must not know the rules of the fold.

A PBX may name thousands of legs in one reply, so no step that is done for each leg may walk over all calls.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice

from bridge.core.model import Call, Direction
from bridge.core.records import LegRecord

RELATED_AT_MOST = 256
"""At most this many calls with one conference or one far end are examined: more are no conversation."""


class _Index:
    """Call ids by some key, oldest first."""

    def __init__(self) -> None:
        self._ids: dict[object, dict[str, None]] = {}

    def add(self, key: object, call_id: str) -> None:
        self._ids.setdefault(key, {})[call_id] = None

    def discard(self, key: object, call_id: str) -> None:
        ids = self._ids.get(key, {})
        ids.pop(call_id, None)
        if not ids:
            self._ids.pop(key, None)

    def ids(self, key: object) -> Iterable[str]:
        return self._ids.get(key, ())

    def first(self, key: object) -> str | None:
        return next(iter(self.ids(key)), None)


class _Legs:
    """The calls of one user: by id, by leg handle, and those that this session has not confirmed."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.calls: dict[str, Call] = {}
        self._handles: dict[int, str] = {}
        self._ranks: dict[str, int] = {}
        self._unconfirmed = _Index()
        self._conferences = _Index()
        for call in calls:
            self.put(call)

    def put(self, call: Call) -> None:
        known = self.calls.get(call.id)
        if known is not None:
            self._forget(known)
        self._ranks.setdefault(call.id, len(self._ranks))
        self.calls[call.id] = call
        self._conferences.add((call.conference, call.direction), call.id)
        if call.leg_handle is not None:
            self._handles[call.leg_handle] = call.id
            return
        for key in _keys(call.conference, call.remote.number):
            self._unconfirmed.add(key, call.id)

    def drop(self, call_id: str) -> None:
        self._forget(self.calls.pop(call_id))

    def _forget(self, call: Call) -> None:
        self._conferences.discard((call.conference, call.direction), call.id)
        if call.leg_handle is not None:
            self._handles.pop(call.leg_handle, None)
            return
        for key in _keys(call.conference, call.remote.number):
            self._unconfirmed.discard(key, call.id)

    @property
    def handles(self) -> Mapping[int, str]:
        return self._handles

    def by_leg_handle(self, leg_handle: int) -> Call | None:
        return self.calls.get(self._handles.get(leg_handle, ""))

    def meets(self, leg: Call) -> bool:
        others = (direction for direction in Direction if direction is not leg.direction)
        return any(self._conferences.first((leg.conference, other)) is not None for other in others)

    def like(self, record: LegRecord, numbers: Iterable[str]) -> Call | None:
        """The unconfirmed call most like a record: by conversation first, then by remote number."""
        conference = record.conference
        if conference:
            same = (("both", joint, number) for number in numbers for joint in (conference, ""))
            first = self._oldest(same) or self._unconfirmed.first(("conference", conference))
        else:
            first = self._oldest(("number", number) for number in numbers)
        return None if first is None else self.calls[first]

    def _oldest(self, keys: Iterable[object]) -> str | None:
        found = (first for key in keys if (first := self._unconfirmed.first(key)) is not None)
        return min(found, key=self._ranks.__getitem__, default=None)


def _keys(conference: str, number: str) -> tuple[object, ...]:
    return ("both", conference, number), ("conference", conference), ("number", number)


class _Related:
    """All calls, by the keys that join them to others of a conversation."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self._index = _Index()
        self._calls: dict[str, Call] = {}
        for call in calls:
            self.put(call)

    def put(self, call: Call) -> None:
        self.drop(call)
        self._calls[call.id] = call
        for key in (("user", call.user), *_beyond(call)):
            self._index.add(key, call.id)

    def drop(self, call: Call) -> None:
        known = self._calls.pop(call.id, None)
        if known is not None:
            for key in (("user", known.user), *_beyond(known)):
                self._index.discard(key, call.id)

    def to(self, call: Call, far_user: str | None) -> list[Call]:
        keys = [*_beyond(call), ("user", far_user)]
        ids = chain.from_iterable(islice(self._index.ids(key), RELATED_AT_MOST) for key in keys)
        return [self._calls[each] for each in dict.fromkeys(ids) if each != call.id]


def _beyond(call: Call) -> tuple[object, ...]:
    """The keys that a call shares with others of its conversation."""
    joints = (("conference", call.conference), ("far", call.remote.number or call.remote.user))
    return tuple(joint for joint in joints if joint[1])


class Running:
    """The calls of all users. Those of a user are copied when they are first changed."""

    def __init__(self, calls: Mapping[str, tuple[Call, ...]]) -> None:
        self._before = calls
        self._touched: dict[str, _Legs] = {}
        self._related: _Related | None = None
        self._count: int | None = None

    @property
    def count(self) -> int:
        """The number of calls that this session has confirmed."""
        if self._count is None:
            self._count = sum(call.leg_handle is not None for call in self._all())
        return self._count

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
        return self._legs(guid).by_leg_handle(leg_handle)

    def like(self, guid: str, record: LegRecord, numbers: Iterable[str]) -> Call | None:
        """The call of a user that is most like a record and not yet confirmed by this session.

        `numbers`: the forms in which the state may have the remote number of the record.
        """
        return self._legs(guid).like(record, numbers)

    def meets(self, guid: str, leg: Call) -> bool:
        """Tell whether a user has a leg of the same conference in the opposite direction."""
        return bool(leg.conference) and self._legs(guid).meets(leg)

    def related(self, call: Call, far_user: str | None) -> list[Call]:
        """Other calls of the same conversation or far end, and those of the user `far_user` (a guid)."""
        if self._related is None:
            self._related = _Related(self._all())
        return self._related.to(call, far_user)

    def put(self, call: Call) -> None:
        """Add a call to its user, or replace the one with the same id."""
        legs = self._legs(call.user)
        before = len(legs.handles)
        legs.put(call)
        self._recount(len(legs.handles) - before)
        if self._related is not None:
            self._related.put(call)

    def drop(self, call: Call) -> None:
        """Remove a call."""
        legs = self._legs(call.user)
        before = len(legs.handles)
        legs.drop(call.id)
        self._recount(len(legs.handles) - before)
        if self._related is not None:
            self._related.drop(call)

    def _recount(self, more: int) -> None:
        self._count = None if self._count is None else self._count + more

    def finished(self) -> Mapping[str, tuple[Call, ...]]:
        """All calls by user. Users without calls are left out."""
        if not self._touched:
            return self._before
        after = {**self._before, **{guid: self.of(guid) for guid in self._touched}}
        for guid, legs in self._touched.items():
            if not legs.calls:
                del after[guid]
        return after

    def _legs(self, guid: str) -> _Legs:
        legs = self._touched.get(guid)
        if legs is None:
            legs = self._touched[guid] = _Legs(self._before.get(guid, ()))
        return legs

    def _all(self) -> Iterator[Call]:
        untouched = (calls for guid, calls in self._before.items() if guid not in self._touched)
        touched = (legs.calls.values() for legs in self._touched.values())
        return chain(chain.from_iterable(untouched), chain.from_iterable(touched))
