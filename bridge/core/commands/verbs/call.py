"""`call`: a user calls a number or another user."""

from dataclasses import dataclass

from bridge.core.commands.callee import CALLEE, Callee, find_callee, names_callee, undialable
from bridge.core.commands.fields import CALLER, Dials, Flag, Number, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Started, Verb, text, whole
from bridge.core.model import User
from bridge.core.numbers import normal


@dataclass(frozen=True, slots=True)
class PlaceCall(Action):
    """Place a call for a user."""

    user: User
    callee: Callee
    from_number: str = ""
    anonymous: bool = False
    facility: int = 0


def _check(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is required"
    return names_callee(fields) or undialable(fields, "from_number")


def _plan(context: Context, fields: Fields) -> PlaceCall:
    callee = find_callee(context, fields)
    return PlaceCall(
        user=find_user(context.state, context.pbx, text(fields, "user")),
        callee=callee,
        from_number=normal(text(fields, "from_number")),
        anonymous=fields.get("anonymous") is True,
        facility=whole(fields, "facility") or 0,
    )


VERB = Verb(
    group="basic",
    about="a user calls a number or another user",
    plan=_plan,
    fields={
        "user": CALLER,
        **CALLEE,
        "from_number": Text(64, dials=Dials.FROM_NUMBER, about="the number that the callee sees"),
        "anonymous": Flag(about="the callee sees no number"),
        "facility": Number(0, 999, dials=Dials.FACILITY, about="a code for an innovaphone phone"),
    },
    bare="number",
    check=_check,
    reply=Started,
)
