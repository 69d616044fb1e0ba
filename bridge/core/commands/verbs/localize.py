"""`localize`: ask the PBX how a user dials a number. Dials nothing."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.fields import USER, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, names_user, text
from bridge.core.model import User
from bridge.core.numbers import dialable


@dataclass(frozen=True, slots=True)
class LocalizeNumber(Action):
    """Convert a number to what the user dials, with the prefixes of the user's node."""

    user: User
    number: str


class Local(TypedDict):
    """A number as the user dials it."""

    number: str


class Localized(TypedDict):
    """How the user dials the number."""

    result: Local


def _check(fields: Fields) -> str | None:
    if "number" not in fields:
        return "'number' is required"
    if dialable(text(fields, "number")) is None:
        return "'number' must be digits, * and #, optionally after a leading +"
    return names_user(fields)


def _plan(context: Context, fields: Fields) -> LocalizeNumber:
    user = find_user(context.state, context.pbx, text(fields, "user"))
    return LocalizeNumber(user, dialable(text(fields, "number")) or "")


VERB = Verb(
    group="query",
    about="ask the PBX how a user dials a number",
    plan=_plan,
    fields={"user": USER, "number": Text(64, about="the number")},
    bare="number",
    check=_check,
    reply=Localized,
    render=lambda _context, _fields, answer: {"result": answer},
)
