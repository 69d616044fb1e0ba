"""The state within one transition, and what changes of it. Must not judge calls."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar
from urllib.parse import unquote

from bridge.core import topics
from bridge.core.calls import GATEWAY, YOUNG, recognised
from bridge.core.model import (
    Call,
    Changes,
    Direction,
    Event,
    EventType,
    Instant,
    Monitor,
    PbxState,
    RemoteParty,
    Switch,
    User,
)
from bridge.core.persistent import Table
from bridge.core.presentation import TopicClass, remote_party
from bridge.core.records import LegRecord, Party, UserRecord
from bridge.core.rules import Scope
from bridge.core.running import Running
from bridge.core.value import evolve

Key = TypeVar("Key")
CONTEST = 2


class Transaction:
    """A state that records what changes. Used within one transition only."""

    def __init__(self, state: PbxState, scope: Scope, now: Instant) -> None:
        self._state = state
        self.scope = scope
        self.now = now
        self.users = state.users
        self.topics = state.topics
        self._claims = state.claims
        self._names = state.names
        self.running = Running(state)
        self.placed = dict(state.placed)
        self.text_messages = dict(state.text_messages)
        self.unseen = state.unseen
        self.torn = state.torn
        self.settled = state.settled
        self._call_count = state.call_count
        self._seq = state.seq
        self._touched: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        self._events: list[Event] = []
        self._monitor: dict[str, None] = {}
        self._unmonitor: dict[str, None] = {}
        self.quiet: dict[str, frozenset[str]] = {}
        self.reconfigured: dict[str, str] = {}
        self._left_out: Counter[str] = Counter()

    def put_user(self, user: User) -> None:
        """Add or replace a user, and settle its topic id and those of users who want the same one."""
        known = self.users.get(user.guid)
        if user.changed_ms != self.now.unix_ms:
            user = evolve(user, changed_ms=self.now.unix_ms)
        self.users = self.users.insert(user.guid, user)
        self._touched[user.guid] = None
        if known is not None and known.record is user.record:
            return
        if known is None or _identity(known.record) != _identity(user.record):
            self._unclaim(known)
            self._claim(user)

    def drop_user(self, guid: str) -> None:
        """Remove a user. Its calls must be closed already."""
        user = self.users[guid]
        self.users = self.users.discard(guid)
        self._touched.pop(guid, None)
        self.settled = self.settled.discard(guid)
        self._unclaim(user)

    def see(self, guid: str) -> None:
        """The list of this session has named a user, or one that is not ours."""
        if self.unseen is not None:
            self.unseen = self.unseen.discard(guid)

    def settle(self, guid: str) -> None:
        """The PBX has reported the running calls of a user, or will not."""
        if guid in self.users:
            self.settled = self.settled.insert(guid, None)

    def monitor(self, guid: str) -> None:
        """Ask for the calls of a user."""
        self._monitor[guid] = None

    def unmonitor(self, guid: str) -> None:
        """Stop asking for the calls of a user, until `monitor` is called for it.

        A user that is deleted and created again within one batch ends up in both lists: the PBX has forgotten
        the first one, so its monitor is given up and the second one gets its own.
        """
        self._monitor.pop(guid, None)
        self._unmonitor[guid] = None

    @property
    def is_full(self) -> bool:
        """There is no room for one more user. Users that this session has not confirmed do not count."""
        return len(self.users) - len(self.unseen or ()) >= self.scope.limits.users

    def leave_out(self, limit: str) -> None:
        """Count a record that is beyond a limit."""
        self._left_out[limit] += 1

    def unconfirmed(self, guid: str, record: LegRecord) -> Call | None:
        """The call of a user that is most like a record, if this session has not confirmed it yet.

        It may have been read back as it was published, so its parties are compared in that form.
        """
        if not self.running.in_doubt(guid):
            return None
        shown = self.scope.presentation
        published = shown.published(remote_party(record.remote), TopicClass.STATE).number
        call = self.running.like(guid, record, dict.fromkeys((record.remote.number, published)))
        return None if call is None else recognised(call, record, shown.recognised)

    def related(self, call: Call) -> list[Call]:
        """Other calls that may belong to the same conversation."""
        return self.running.related(call, self._guid_at(call.remote.user))

    def tell(
        self,
        kind: EventType,
        guid: str,
        call: Call | None,
        *,
        resync: bool = False,
        text_message: bool = False,
    ) -> None:
        """Record an event of a user under the next number."""
        self._seq += 1
        user = self.users[guid]
        switch: Switch | None = user.switch if call is None else None
        self._events.append(
            Event(
                self._seq, self.now.unix_ms, kind, guid, self.topics[guid], call, switch, resync, text_message
            )
        )

    def new_call_id(self) -> str:
        """A call id that is unique across runs and links."""
        self._call_count += 1
        return f"{self._state.epoch}-{self._call_count}"

    def inside(self, party: Party) -> RemoteParty:
        """The party with its topic id, if exactly one user has its short name or its number."""
        user = self._user_named("short_name", party.short_name) or self._user_named("number", party.number)
        return _party(party, user)

    def claimed(self, party: Party) -> RemoteParty:
        """The same by the short name only. Short names come from the PBX; a caller may send any number."""
        return _party(party, self._user_named("short_name", party.short_name))

    def is_other(self, guid: str, party: Party) -> bool:
        """Whether the party is a known user, and another one than this."""
        return any(other != guid for other in self._names.get(("short_name", party.short_name), ()))

    def far_end(self, party: Party, leg: Call) -> RemoteParty:
        """The same by the number too, if nobody outside can have chosen it."""
        if party.short_name:
            return self.claimed(party)
        return _party(party, self._user_at_far_end(party.number, leg))

    def finish(self) -> tuple[PbxState, Changes]:
        """The state after the transition, and what it changed."""
        state = PbxState(
            self._state.epoch,
            users=self.users,
            topics=self.topics,
            claims=self._claims,
            names=self._names,
            calls=self.running.finished(),
            running=self.running.by_id,
            joints=self.running.joints,
            confirmed=self.running.confirmed,
            placed=self.placed,
            text_messages=self.text_messages,
            unseen=self.unseen,
            torn=self.torn,
            settled=self.settled,
            seq=self._seq,
            call_count=self._call_count,
        )
        gone = tuple(topic for topic in self._gone if state.user_of(topic) is None)
        return state, Changes(
            users=tuple(self._touched),
            gone=gone,
            events=tuple(self._events),
            monitor=tuple(self._request(guid) for guid in self._monitor),
            unmonitor=tuple(self._unmonitor),
            quiet=self.quiet,
            left_out=dict(self._left_out),
            reconfigured=self.reconfigured,
        )

    def _request(self, guid: str) -> Monitor:
        return Monitor(guid, self.users[guid].record.name, urgent=self.running.in_doubt(guid))

    def _guid_at(self, topic_id: str | None) -> str | None:
        """The guid of the user with this topic id."""
        guids = () if topic_id is None else (*self._claims.get(topic_id, ()), unquote(topic_id))
        return next((guid for guid in guids if self.topics.get(guid) == topic_id), None)

    def _user_at_far_end(self, number: str, leg: Call) -> str | None:
        """The user with this number, if the number was not chosen by a caller outside.

        That is so if the leg's own user dialled it, or if that user has the opposite leg of the call: both
        legs of an internal call have one conference and opposite directions.
        """
        user = self._user_named("number", number)
        if user is None or self.users[leg.user].record.type == GATEWAY:
            return None
        dialled = leg.direction is Direction.OUTBOUND and leg.state in YOUNG
        known = leg.remote.user == user and leg.remote.number == number
        (guid,) = self._names["number", number]
        return user if dialled or known or self.running.meets(guid, leg) else None

    def _user_named(self, kind: str, name: str) -> str | None:
        guids = self._names.get((kind, name), ())
        return self.topics[guids[0]] if len(guids) == 1 else None

    def _claim(self, user: User) -> None:
        # Every user who wants a topic id stays noted, not only one: the last one who is left gets it back.
        # Two users who want the same id both get their guid instead, because a topic that silently changed
        # from one user to the other would show subscribers the wrong user's calls.
        wanted = self.scope.topic_id(user.record)
        self._claims = _with(self._claims, wanted, user.guid)
        for key in _keys(user.record):
            self._names = _with(self._names, key, user.guid)
        self._settle_topics(wanted, user.guid)

    def _unclaim(self, user: User | None) -> None:
        if user is None:
            return
        for key in _keys(user.record):
            self._names = _without(self._names, key, user.guid)
        wanted = self.scope.topic_id(user.record)
        self._claims = _without(self._claims, wanted, user.guid)
        # Its topic is only noted as gone: `finish` erases it unless another user has it by then.
        self._gone[self.topics[user.guid]] = None
        self.topics = self.topics.discard(user.guid)
        self._settle_topics(wanted)

    def _settle_topics(self, wanted: str, *claimed_by: str) -> None:
        """Give a topic id to the one user who wants it. If several want it, each gets its guid instead.

        With more than two, only the newcomer changes: the others have their guids already.
        """
        guids = self._claims.get(wanted, ())
        for guid in guids if len(guids) <= CONTEST else claimed_by:
            topic = wanted if len(guids) == 1 else topics.encode(guid, dots=self.scope.encode_dots)
            before = self.topics.get(guid)
            if topic != before:
                self.topics = self.topics.insert(guid, topic)
                self._touched[guid] = None
                if before is not None:
                    self._gone[before] = None


def _with(guids: Table[Key, tuple[str, ...]], key: Key, guid: str) -> Table[Key, tuple[str, ...]]:
    """The guids by key, with one more."""
    return guids.insert(key, (*guids.get(key, ()), guid))


def _without(guids: Table[Key, tuple[str, ...]], key: Key, guid: str) -> Table[Key, tuple[str, ...]]:
    """The guids by key, with one less; no key has none."""
    known = guids[key]
    at = known.index(guid)
    rest = known[:at] + known[at + 1 :]
    return guids.insert(key, rest) if rest else guids.discard(key)


def _party(party: Party, user: str | None) -> RemoteParty:
    return evolve(remote_party(party), user=user)


def _identity(record: UserRecord) -> tuple[str, str, str]:
    return record.short_name, record.number, record.name


def _keys(record: UserRecord) -> tuple[tuple[str, str], ...]:
    """The keys by which a user can be found."""
    named = (("short_name", record.short_name), ("number", record.number), ("name", record.name))
    return tuple(key for key in named if key[1])
