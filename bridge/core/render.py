"""The payloads of docs/topics.md, written out by hand so that a rename inside never changes them. Pure."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import overload

from bridge.core import causes, payloads
from bridge.core.model import Call, Direction, Event, PbxState, RemoteParty, Switch, User
from bridge.core.presentation import Presentation, TopicClass
from bridge.core.records import CallState, Forwards

_ALERTING = frozenset({CallState.SETUP, CallState.RINGING})


def user_state(state: PbxState, pbx: str, guid: str, shown: Presentation) -> payloads.UserState:
    """The payload of a user: the present state, the running calls, the last call."""
    user = state.users[guid]
    record = user.record
    calls = state.calls.get(guid, ())
    payload: payloads.UserState = {
        "schema": payloads.SCHEMA,
        "pbx": pbx,
        "user": state.topics[guid],
        "guid": guid,
        "name": record.name,
        "display_name": record.display_name,
        "number": record.number,
        "type": record.type,
        "active": record.active,
        "registered": record.registered,
        "call_state": call_state(calls),
        "alerting": record.alerting,
        "channels": record.channels,
        "presence": _presence(user),
        "groups": [{"name": group.name, "active": group.active} for group in record.groups],
        "emails": list(record.emails),
        "location": record.location,
        "node": record.node,
        "calls": [call(one, shown, TopicClass.STATE) for one in calls],
        "last_call": call(user.last_call, shown, TopicClass.STATE) if user.last_call else None,
        "missed": user.missed,
        "since": rfc3339(user.since_ms),
        "time": rfc3339(user.changed_ms),
    }
    if user.switch:
        payload["switch"] = _switch(user.switch)
    if user.forwards:
        payload["forwards"] = _forwards(state, user.forwards, shown)
    return payload


def call_state(calls: tuple[Call, ...]) -> payloads.CallWord:
    """The state of a user's calls in one word; the first that matches."""
    if not calls:
        return "idle"
    connected = [one for one in calls if one.state is CallState.CONNECTED]
    alerting = [one.direction for one in calls if one.state in _ALERTING]
    if Direction.INBOUND in alerting:
        return "ringing"
    if any(not (one.held or one.held_by_remote) for one in connected):
        return "connected"
    if connected:
        return "held"
    return "dialing" if alerting else "idle"


def call(one: Call, shown: Presentation, topic_class: TopicClass) -> payloads.Call:
    """The JSON of a call, with its parties as topics of this class show them. Must not be changed."""
    key = (one.id, topic_class) if shown.steps else one.id
    return shown.recent.get(key, one) or shown.recent.put(key, one, _call(one, shown, topic_class))


def _call(one: Call, shown: Presentation, topic_class: TopicClass) -> payloads.Call:
    return {
        "id": one.id,
        "conference": one.conference,
        "direction": one.direction,
        "state": one.state,
        "remote": shown.party(one.remote, topic_class),
        "diverted_from": shown.party_or_none(one.diverted_from, topic_class),
        "first_diverted_from": shown.party_or_none(one.first_diverted_from, topic_class),
        "transferred_by": shown.party_or_none(one.transferred_by, topic_class),
        "transferred_to": shown.party_or_none(one.transferred_to, topic_class),
        "parked_at": shown.party_or_none(one.parked_at, topic_class),
        "picked_up_from": shown.party_or_none(one.picked_up_from, topic_class),
        "held": one.held,
        "held_by_remote": one.held_by_remote,
        "started_at": rfc3339(one.started_ms),
        "answered_at": rfc3339(one.answered_ms),
        "ended_at": rfc3339(one.ended_ms),
        "ring_s": one.ring_s,
        "talk_s": one.talk_s,
        "outcome": one.outcome,
        "cause": None if one.cause is None else {"code": one.cause, "text": causes.text(one.cause)},
        "uui": one.uui,
        "command_id": one.command_id,
    }


def event(one: Event, epoch: str, pbx: str, shown: Presentation) -> payloads.Event:
    """The payload of an event. The outbox overwrites `queued` and `age_ms` if it is sent late."""
    payload: payloads.Event = {
        "schema": payloads.SCHEMA,
        "id": f"{epoch}-{one.seq}",
        "seq": one.seq,
        "epoch": epoch,
        "time": rfc3339(one.time_ms),
        "event_type": one.type,
        "pbx": pbx,
        "user": one.user_topic,
        "call": call(one.call, shown, TopicClass.EVENT) if one.call else None,
        "queued": False,
        "age_ms": 0,
    }
    if one.switch:
        payload["switch"] = _switch(one.switch)
    if one.resync:
        payload["reason"] = "resync"
    if one.text_message:
        payload["text_message"] = True
    return payload


@overload
def rfc3339(unix_ms: int) -> str: ...
@overload
def rfc3339(unix_ms: None) -> None: ...
@overload
def rfc3339(unix_ms: int | None) -> str | None: ...
def rfc3339(unix_ms: int | None) -> str | None:
    """Unix milliseconds as RFC 3339 in UTC with milliseconds and Z."""
    return None if unix_ms is None else _moment(unix_ms)


@lru_cache(1024)
def _moment(unix_ms: int) -> str:
    """Kept: the times of a call are shown with each of its events and states."""
    seconds, ms = divmod(unix_ms, 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(1024)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _presence(user: User) -> payloads.Presence:
    presence = user.record.presence
    return {
        "activity": presence.activity or "available",
        "status": presence.status,
        "note": presence.note,
    }


def _forwards(state: PbxState, forwards: Forwards, shown: Presentation) -> payloads.Forwards:
    """The numbers are shown as those of parties are: one may be a mobile phone at home."""

    def end(number: str | None) -> str | None:
        if number is None:
            return None
        known = {*state.names.get(("number", number), ()), *state.names.get(("short_name", number), ())}
        topic = state.topics[known.pop()] if len(known) == 1 else None
        return shown.published(RemoteParty(number, user=topic), TopicClass.STATE).number

    return {
        "always": end(forwards.always),
        "busy": end(forwards.busy),
        "no_answer": end(forwards.no_answer),
    }


def _switch(switch: Switch) -> payloads.Switch:
    return {"mode": "manual" if switch.manual else "auto", "on": switch.on}
