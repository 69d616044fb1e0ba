"""The state of an earlier run, read back from its state payloads. Pure and total: any payload is accepted.

A payload that cannot be ours yields nothing, and the caller erases its topic. Others can write state topics
too: retained.py decides how far a payload is trusted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from bridge.core import topics
from bridge.core.model import Call, Direction, Instant, Outcome, PbxState, RemoteParty, Switch, User
from bridge.core.records import CallState, Forwards, Group, Presence, UserRecord
from bridge.core.rules import Scope
from bridge.core.transaction import Transaction
from bridge.core.value import evolve

Word = TypeVar("Word", bound=StrEnum)
LARGEST = 2**53
"""The largest integer that every JSON library reads and writes exactly."""
LONGEST_TEXT = 1024
"""Longest text that is read, as in the records of a PBX."""
YEARS = range(1971, 9999)
"""Years in which a time zone can shift a moment neither before the epoch nor past the year 9999."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A user as an earlier run published it, with its running calls."""

    user: User
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """The users that the journal holds, by topic id; None for a topic that must be erased.

    `whole`: the journal holds every user that was published, so anything else at the broker is not ours. It
    may be new and empty.
    """

    users: Mapping[str, Remembered | None] = field(default_factory=dict)
    whole: bool = False


def remembered(topic: str, payload: object, scope: Scope, now: Instant) -> Remembered | None:
    """The user in a state payload; None if this bridge cannot have written it."""
    fields = _Fields(payload)
    user = _user(topic, fields, scope)
    if user is None:
        return None
    return Remembered(user, _calls(fields.items("calls")[: scope.limits.calls_per_user], user.guid, now))


def restore(
    epoch: str, found: Mapping[str, Remembered | None], scope: Scope, now: Instant
) -> tuple[PbxState, tuple[str, ...]]:
    """The state made of remembered users, and the topic ids that must be erased.

    A user has two topics if the bridge was killed while it was renamed. The one published last counts.
    A call has its id alone: of two with one id, the first is kept.
    """
    tx = Transaction(PbxState(epoch), scope, now)
    room = scope.limits.calls
    for user, running in _latest(found):
        tx.put_user(user)
        tx.users = tx.users.insert(user.guid, user)
        for call in running[:room]:
            if call.id not in tx.running.by_id:
                tx.running.put(call)
        room = max(0, room - len(running))
    state, _ = tx.finish()
    kept = set(state.topics.values())
    return state, tuple(topic for topic in found if topic not in kept)


def _latest(found: Mapping[str, Remembered | None]) -> Iterator[tuple[User, tuple[Call, ...]]]:
    """Each user once: the payload with the latest time, or the last of the mapping if times are equal."""
    latest: dict[str, Remembered] = {}
    for each in found.values():
        if each is None:
            continue
        other = latest.get(each.user.guid)
        if other is None or each.user.changed_ms >= other.user.changed_ms:
            latest[each.user.guid] = each
    return ((each.user, each.calls) for each in latest.values())


def _user(topic: str, fields: "_Fields", scope: Scope) -> User | None:
    guid = fields.text("guid")
    since = fields.moment("since")
    if not guid or since is None:
        return None
    switch = fields.sub("switch")
    return User(
        _record(topic, guid, fields, scope.user_id),
        since_ms=since,
        changed_ms=fields.moment("time") or since,
        missed=max(0, fields.number("missed")),
        last_call=_call(fields.sub("last_call"), guid, Instant(0, 0.0)),
        switch=Switch(switch.text("mode") == "manual", switch.flag("on")) if switch.fields else None,
        forwards=_forwards(fields.sub("forwards")) if scope.forwards else None,
    )


def _forwards(fields: "_Fields") -> Forwards | None:
    ends = (fields.text(name) or None for name in ("always", "busy", "no_answer"))
    return Forwards(*ends) if fields.fields else None


def _record(topic: str, guid: str, fields: "_Fields", user_id: str) -> UserRecord:
    presence = fields.sub("presence")
    activity = presence.text("activity")
    return UserRecord(
        guid=guid,
        name=fields.text("name"),
        display_name=fields.text("display_name"),
        short_name=topics.decode(topic) if user_id == "h323" and topics.decode(topic) != guid else "",
        number=fields.text("number"),
        type=fields.text("type"),
        registered=fields.flag("registered"),
        channels=fields.number("channels"),
        alerting=fields.number("alerting"),
        presence=Presence(
            "" if activity == "available" else activity, presence.text("status"), presence.text("note")
        ),
        groups=tuple(Group(group.text("name"), group.flag("active")) for group in fields.items("groups")),
        emails=tuple(email[:LONGEST_TEXT] for email in fields.values("emails") if isinstance(email, str)),
        location=fields.text("location"),
        node=fields.text("node"),
        is_switch=bool(fields.sub("switch").fields),
    )


def _calls(items: "tuple[_Fields, ...]", guid: str, now: Instant) -> tuple[Call, ...]:
    calls = (_call(fields, guid, now) for fields in items)
    return tuple(call for call in calls if call is not None and call.state is not CallState.ENDED)


def _call(fields: "_Fields", guid: str, now: Instant) -> Call | None:
    call_id, started = fields.text("id"), fields.moment("started_at")
    direction, state = fields.word("direction", Direction), fields.word("state", CallState)
    if not call_id or started is None or direction is None or state is None:
        return None
    began = Call(
        id=call_id,
        user=guid,
        leg_handle=None,
        direction=direction,
        state=state,
        started_ms=started,
        started_s=now.seconds_at(started),
    )
    return _with_progress(_with_ends(began, fields), fields, now)


def _with_ends(call: Call, fields: "_Fields") -> Call:
    return evolve(
        call,
        conference=fields.text("conference"),
        remote=_party(fields.sub("remote")) or RemoteParty(),
        diverted_from=_party(fields.sub("diverted_from")),
        first_diverted_from=_party(fields.sub("first_diverted_from")),
        transferred_by=_party(fields.sub("transferred_by")),
        transferred_to=_party(fields.sub("transferred_to")),
        parked_at=_party(fields.sub("parked_at")),
        picked_up_from=_party(fields.sub("picked_up_from")),
    )


def _with_progress(call: Call, fields: "_Fields", now: Instant) -> Call:
    """Durations continue from the published ones. They never shrink, even if the clock was set back."""
    answered = fields.moment("answered_at")
    cause = fields.sub("cause")
    ring_s, talk_s = fields.seconds("ring_s"), fields.seconds("talk_s")
    answered_s = None
    if answered is not None:
        answered_s = min(now.seconds_at(answered), now.monotonic_s - (talk_s or 0.0))
        ring_s = max(0, answered - call.started_ms) / 1000 if ring_s is None else ring_s
    return evolve(
        call,
        started_s=min(call.started_s, now.monotonic_s - (ring_s or 0.0)),
        held=fields.flag("held"),
        held_by_remote=fields.flag("held_by_remote"),
        rang=call.state is CallState.RINGING,
        answered_ms=answered,
        answered_s=answered_s,
        ended_ms=fields.moment("ended_at"),
        ring_s=ring_s,
        talk_s=talk_s,
        outcome=fields.word("outcome", Outcome),
        cause=cause.number("code") if cause.fields else None,
        uui=fields.text("uui") or None,
        command_id=fields.text("command_id") or None,
    )


def _party(fields: "_Fields") -> RemoteParty | None:
    if not fields.fields:
        return None
    return RemoteParty(
        fields.text("number"),
        fields.text("name"),
        fields.text("user") or None,
        fields.flag("anonymous"),
        fields.flag("internal"),
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """Reads typed fields from any value. A field of the wrong type reads as absent."""

    source: object

    @property
    def fields(self) -> Mapping[str, object]:
        return self.source if isinstance(self.source, dict) else {}

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        return value[:LONGEST_TEXT] if isinstance(value, str) else ""

    def flag(self, key: str) -> bool:
        return self.fields.get(key) is True

    def number(self, key: str) -> int:
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            return 0
        return value if abs(value) <= LARGEST else 0

    def seconds(self, key: str) -> float | None:
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if 0 <= value <= LARGEST else None

    def word(self, key: str, words: type[Word]) -> Word | None:
        value = self.text(key)
        return words(value) if value in set(words) else None

    def moment(self, key: str) -> int | None:
        """Unix milliseconds of an RFC 3339 time with a zone; None for any other text."""
        try:
            moment = datetime.fromisoformat(self.text(key))
        except ValueError:
            return None
        if moment.tzinfo is None or moment.year not in YEARS:
            return None
        return round(moment.timestamp() * 1000)

    def sub(self, key: str) -> "_Fields":
        return _Fields(self.fields.get(key))

    def values(self, key: str) -> tuple[object, ...]:
        value = self.fields.get(key)
        return tuple(value) if isinstance(value, list) else ()

    def items(self, key: str) -> "tuple[_Fields, ...]":
        return tuple(_Fields(value) for value in self.values(key))
