"""The working copy of one transition: copied once, changed freely, frozen at the end. Pure from outside."""

from dataclasses import dataclass, replace
from typing import TypeVar

from bridge.core import topics
from bridge.core.calls import GATEWAY, YOUNG
from bridge.core.model import (
    Call,
    Changes,
    Direction,
    Event,
    EventType,
    Far,
    Instant,
    PbxState,
    Switch,
    User,
)
from bridge.core.reports import Party, UserRecord
from bridge.core.rules import Rule, selects

Key = TypeVar("Key")
CONTEST = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """What the configuration wants of a PBX: who is published, whose calls are followed, the topic ids."""

    users: tuple[Rule, ...] = ()
    calls: tuple[Rule, ...] = ()
    user_id: str = "h323"
    encode_dots: bool = False

    def topic_id(self, record: UserRecord) -> str:
        """The topic level that a user wants."""
        return topics.topic_id(record, self.user_id, dots=self.encode_dots)

    def publishes(self, record: UserRecord) -> bool:
        """The user is shown on the bus."""
        return selects(self.users, record)

    def follows(self, record: UserRecord) -> bool:
        """The user's calls are shown too."""
        return selects(self.calls, record)


class Draft:
    """A mutable copy of a state that notes what changes. Lives inside one transition only."""

    def __init__(self, state: PbxState, scope: Scope, now: Instant) -> None:
        self._state = state
        self.scope = scope
        self.now = now
        self.users = dict(state.users)
        self.topics = dict(state.topics)
        self._claims = dict(state.claims)
        self._names = dict(state.names)
        self.calls = dict(state.calls)
        self.placed = dict(state.placed)
        self.unseen = None if state.unseen is None else set(state.unseen)
        self.torn = state.torn
        self.unsettled = set(state.unsettled)
        self._call_count = state.call_count
        self._seq = state.seq
        self._touched: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        self._events: list[Event] = []

    def put_user(self, user: User) -> None:
        """Add or replace a user and give it, and whoever competes for it, the right topic id."""
        known = self.users.get(user.guid)
        self.users[user.guid] = replace(user, changed_ms=self.now.unix_ms)
        self._touched[user.guid] = None
        if known is None or _identity(known.record) != _identity(user.record):
            self._unclaim(known)
            self._claim(user)

    def drop_user(self, guid: str) -> None:
        """Forget a user whose calls are closed already."""
        user = self.users.pop(guid)
        self._touched.pop(guid, None)
        self.unsettled.discard(guid)
        self._unclaim(user)

    def put_call(self, call: Call) -> None:
        """Add a call to its user, or replace the one with the same id."""
        calls = self.calls.get(call.user, ())
        known = any(other.id == call.id for other in calls)
        others = tuple(call if other.id == call.id else other for other in calls)
        self.calls[call.user] = others if known else (*calls, call)

    def drop_call(self, call: Call) -> None:
        """Take a call off its user."""
        rest = tuple(other for other in self.calls.get(call.user, ()) if other.id != call.id)
        if rest:
            self.calls[call.user] = rest
        else:
            self.calls.pop(call.user, None)

    def tell(self, kind: EventType, guid: str, call: Call | None, *, resync: bool = False) -> None:
        """Number one event of a user and keep it for the end."""
        self._seq += 1
        user = self.users[guid]
        switch: Switch | None = user.switch if call is None else None
        self._events.append(
            Event(self._seq, self.now.unix_ms, kind, guid, self.topics[guid], call, switch, resync)
        )

    def new_call_id(self) -> str:
        """An id no call of any run of any link has had."""
        self._call_count += 1
        return f"{self._state.epoch}-{self._call_count}"

    def inside(self, party: Party) -> Far:
        """A party with the topic id of the user it is, if exactly one fits its short name or its number."""
        user = self._user_named("short_name", party.short_name) or self._user_named("number", party.number)
        return _far(party, user)

    def claimed(self, party: Party) -> Far:
        """The same by the short name only: the PBX gives short names, callers give any number."""
        return _far(party, self._user_named("short_name", party.short_name))

    def far_end(self, party: Party, leg: Call) -> Far:
        """The same by the number too, where nobody outside can have claimed it."""
        if party.short_name:
            return self.claimed(party)
        return _far(party, self._user_at_far_end(party.number, leg))

    def finish(self) -> tuple[PbxState, Changes]:
        """The state after the transition, and what it changed."""
        state = replace(
            self._state,
            users=self.users,
            topics=self.topics,
            claims=self._claims,
            names=self._names,
            calls=self.calls,
            placed=self.placed,
            unseen=None if self.unseen is None else frozenset(self.unseen),
            torn=self.torn,
            unsettled=frozenset(self.unsettled),
            seq=self._seq,
            call_count=self._call_count,
        )
        gone = tuple(topic for topic in self._gone if state.user_of(topic) is None)
        return state, Changes(tuple(self._touched), gone, tuple(self._events))

    def _user_at_far_end(self, number: str, leg: Call) -> str | None:
        """The user with this number, where the number is no claim of somebody outside.

        Our own user dialled it, or the leg that answers this one is that user's. Both legs of a call inside
        have one conference and opposite directions; a call through a gateway has no second leg of a user.
        """
        user = self._user_named("number", number)
        if user is None or self.users[leg.user].record.type == GATEWAY:
            return None
        dialled = leg.direction is Direction.OUTBOUND and leg.state in YOUNG
        known = leg.remote.user == user and leg.remote.number == number
        (guid,) = self._names["number", number]
        other = any(
            call.conference == leg.conference != "" and call.direction is not leg.direction
            for call in self.calls.get(guid, ())
        )
        return user if dialled or known or other else None

    def _user_named(self, kind: str, name: str) -> str | None:
        guids = self._names.get((kind, name), frozenset())
        return self.topics[next(iter(guids))] if len(guids) == 1 else None

    def _claim(self, user: User) -> None:
        wanted = self.scope.topic_id(user.record)
        self._claims[wanted] = self._claims.get(wanted, frozenset()) | {user.guid}
        for key in _keys(user.record):
            self._names[key] = self._names.get(key, frozenset()) | {user.guid}
        self._settle_topics(wanted, user.guid)

    def _unclaim(self, user: User | None) -> None:
        if user is None:
            return
        for key in _keys(user.record):
            _discard(self._names, key, user.guid)
        wanted = self.scope.topic_id(user.record)
        _discard(self._claims, wanted, user.guid)
        self._gone[self.topics.pop(user.guid)] = None
        self._settle_topics(wanted)

    def _settle_topics(self, wanted: str, claimed_by: str | None = None) -> None:
        """A user who alone wants a topic id gets it; where several want it, each goes by its guid.

        With more than two, only the newcomer changes: the others go by their guids already.
        """
        guids = self._claims.get(wanted, frozenset())
        for guid in guids if len(guids) <= CONTEST else guids & {claimed_by}:
            topic = wanted if len(guids) == 1 else topics.encode(guid, dots=self.scope.encode_dots)
            before = self.topics.get(guid)
            if topic != before:
                self.topics[guid] = topic
                self._touched[guid] = None
                if before is not None:
                    self._gone[before] = None


def _far(party: Party, user: str | None) -> Far:
    return Far(party.number, party.display_name or party.name, user, party.anonymous)


def _identity(record: UserRecord) -> tuple[str, str, str]:
    return record.short_name, record.number, record.name


def _keys(record: UserRecord) -> tuple[tuple[str, str], ...]:
    """What a user can be found by."""
    named = (("short_name", record.short_name), ("number", record.number), ("name", record.name))
    return tuple(key for key in named if key[1])


def _discard(index: dict[Key, frozenset[str]], key: Key, guid: str) -> None:
    rest = index.get(key, frozenset()) - {guid}
    if rest:
        index[key] = rest
    else:
        index.pop(key, None)
