"""`reachable`: ask the PBX whom a user would reach under a number or short name. Dials nothing."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.fields import USER, Text
from bridge.core.commands.found import FoundUser, found_user
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, names_user, text
from bridge.core.message import Json
from bridge.core.model import User
from bridge.core.numbers import dialable
from bridge.core.records import UserRecord


@dataclass(frozen=True, slots=True)
class FindDestination(Action):
    """Find the object that a user reaches by a number, or by a short name."""

    user: User
    number: str
    short_name: str


class Destination(TypedDict):
    """`complete`: false if digits are missing. `found`: who has the number; null for nobody of this PBX."""

    complete: bool
    found: FoundUser | None


class Reachable(TypedDict):
    """Whom the user would reach."""

    result: Destination


def _check(fields: Fields) -> str | None:
    if len([name for name in ("number", "short_name") if fields.get(name)]) != 1:
        return "exactly one of 'number' and 'short_name' is required"
    if fields.get("number") and dialable(text(fields, "number")) is None:
        return "'number' must be digits, * and #, optionally after a leading +"
    return names_user(fields)


def _plan(context: Context, fields: Fields) -> FindDestination:
    user = find_user(context.state, context.pbx, text(fields, "user"))
    return FindDestination(user, dialable(text(fields, "number")) or "", text(fields, "short_name"))


def _render(context: Context, _fields: Fields, answer: Json) -> Json:
    found = answer.get("found")
    user = found_user(context.state, found) if isinstance(found, UserRecord) else None
    return {"result": {"complete": answer.get("complete") is True, "found": user}}


VERB = Verb(
    group="query",
    about="ask the PBX whom a user would reach",
    plan=_plan,
    fields={
        "user": USER,
        "number": Text(64, about="the number, as the user would dial it"),
        "short_name": Text(about="the short name, instead of a number"),
    },
    bare="number",
    check=_check,
    reply=Reachable,
    render=_render,
)
