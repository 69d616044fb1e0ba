"""`display`: show another number or name of the remote party on the phone of a call. It dials nothing."""

from dataclasses import dataclass

from bridge.core.commands.callee import undialable
from bridge.core.commands.fields import CALL, USER, Dials, Text
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, text
from bridge.core.numbers import dialable


@dataclass(frozen=True, slots=True)
class ShowParty(CallAction):
    """Show a number and a name as the remote party of a call."""

    number: str
    name: str


def _check(fields: Fields) -> str | None:
    if not (fields.get("number") or fields.get("name")):
        return "'number' or 'name' is required"
    return names_call(fields) or undialable(fields, "number")


def _plan(context: Context, fields: Fields) -> ShowParty:
    number = dialable(text(fields, "number")) or ""
    return ShowParty(find_call(context, fields), number, text(fields, "name"))


VERB = Verb(
    group="control",
    about="show another number or name of the remote party on the phone of a call",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "number": Text(64, dials=Dials.SHOWN_NUMBER, about="the call's own, or one of commands.from_numbers"),
        "name": Text(about="the name to show"),
    },
    check=_check,
)
