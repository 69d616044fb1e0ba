"""`calls`: ask the PBX for the running calls of a user, also of one whose calls are not published."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core import calls as legs
from bridge.core import render
from bridge.core.calls import Parties
from bridge.core.commands.fields import USER
from bridge.core.commands.found import with_room
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, names_user, text
from bridge.core.message import Json
from bridge.core.model import Call, Direction, Instant, User
from bridge.core.payloads import Party
from bridge.core.presentation import TopicClass
from bridge.core.records import CallState, LegRecord
from bridge.core.transaction import Transaction

BEGINNING = Instant(0, 0.0)


@dataclass(frozen=True, slots=True)
class ListCalls(Action):
    """Read the running calls of a user."""

    user: User


class SeenCall(TypedDict):
    """A call as one look shows it: without its times, its end and its texts. The keys are those of a call.

    `call`: the id that events use; null for a call that the bridge does not report.
    """

    call: str | None
    conference: str
    direction: Direction
    state: CallState
    remote: Party
    diverted_from: Party | None
    first_diverted_from: Party | None
    transferred_by: Party | None
    transferred_to: Party | None
    parked_at: Party | None
    picked_up_from: Party | None
    held: bool
    held_by_remote: bool


class CallList(TypedDict):
    """Calls. `left_out`: how many more there are."""

    calls: list[SeenCall]
    left_out: int


class Running(TypedDict):
    """The calls that run now."""

    result: CallList


def _render(context: Context, fields: Fields, answer: Json) -> Json:
    user = find_user(context.state, context.pbx, text(fields, "user"))
    found = answer.get("legs")
    # The leg of a Boolean object is the value of a switch (docs/wire.md#switches).
    records = found if isinstance(found, tuple) and not user.record.is_switch else ()
    parties = Transaction(context.state, context.scope, BEGINNING)
    seen = [_seen(context, user, record, parties) for record in records]
    shown = with_room(seen)
    return {"result": {"calls": shown, "left_out": len(seen) - len(shown)}}


def _seen(context: Context, user: User, record: LegRecord, parties: Parties) -> SeenCall:
    """A leg in the words of the topics, with its users where they are known."""
    fresh = legs.opened("", user.guid, user.record.type, record, BEGINNING)
    call = legs.advanced(fresh, user.record.type, record, parties, BEGINNING)
    known = next((each.id for each in context.state.calls.get(user.guid, ()) if _same(each, call)), None)
    shown = render.call(call, context.scope.presentation, TopicClass.RESPONSE)
    return {
        "call": known,
        "conference": shown["conference"],
        "direction": shown["direction"],
        "state": shown["state"],
        "remote": shown["remote"],
        "diverted_from": shown["diverted_from"],
        "first_diverted_from": shown["first_diverted_from"],
        "transferred_by": shown["transferred_by"],
        "transferred_to": shown["transferred_to"],
        "parked_at": shown["parked_at"],
        "picked_up_from": shown["picked_up_from"],
        "held": shown["held"],
        "held_by_remote": shown["held_by_remote"],
    }


def _same(known: Call, call: Call) -> bool:
    """The handles of the answer mean nothing; the conference tells calls apart, but for a call to oneself."""
    return (known.conference, known.direction) == (call.conference, call.direction)


VERB = Verb(
    group="query",
    about="ask the PBX for the running calls of a user",
    plan=lambda context, fields: ListCalls(find_user(context.state, context.pbx, text(fields, "user"))),
    fields={"user": USER},
    bare="",
    check=names_user,
    reply=Running,
    render=_render,
)
