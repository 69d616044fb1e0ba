"""`call`: a user calls a number or another user."""

from dataclasses import dataclass

from bridge.core.commands.fields import Dials, Flag, Number, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Started, Verb, text, whole
from bridge.core.model import User
from bridge.core.numbers import dialable, normal


@dataclass(frozen=True, slots=True)
class PlaceCall(Action):
    """Place a call for a user: to a number, or to an object by its short or long name."""

    user: User
    number: str = ""
    short_name: str = ""
    name: str = ""
    from_number: str = ""
    anonymous: bool = False
    facility: int = 0


def _check(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is required"
    targets = [name for name in ("number", "to_user", "name") if fields.get(name)]
    if len(targets) != 1:
        return "exactly one of 'number', 'to_user' and 'name' is required"
    for name in ("number", "from_number"):
        if fields.get(name) and dialable(str(fields[name])) is None:
            return f"'{name}' must be digits, * and #, optionally after a leading +"
    return None


def _plan(context: Context, fields: Fields) -> PlaceCall:
    state, pbx = context.state, context.pbx
    to_user = text(fields, "to_user")
    callee = find_user(state, pbx, to_user).record if to_user else None
    return PlaceCall(
        user=find_user(state, pbx, text(fields, "user")),
        number=dialable(text(fields, "number")) or "",
        short_name=callee.short_name if callee else "",
        name=text(fields, "name") or (callee.name if callee and not callee.short_name else ""),
        from_number=normal(text(fields, "from_number")),
        anonymous=fields.get("anonymous") is True,
        facility=whole(fields, "facility") or 0,
    )


VERB = Verb(
    group="basic",
    about="a user calls a number or another user",
    plan=_plan,
    fields={
        "user": Text(dials=Dials.CALLER, about="the user who calls; implied on the topic of a user"),
        "number": Text(64, dials=Dials.NUMBER, about="the number to call, as the user would dial it"),
        "to_user": Text(dials=Dials.USER, about="the user to call, as in the topic"),
        "name": Text(dials=Dials.NAME, about="the long name of the object to call"),
        "from_number": Text(64, dials=Dials.FROM_NUMBER, about="the number that the callee sees"),
        "anonymous": Flag(about="the callee sees no number"),
        "facility": Number(0, 999, dials=Dials.FACILITY, about="a code for an innovaphone phone"),
    },
    bare="number",
    check=_check,
    reply=Started,
)
