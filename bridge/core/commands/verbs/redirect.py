"""`redirect`: send a ringing call to somebody else, past diversions where the PBX can do that."""

from dataclasses import dataclass

from bridge.core.commands.callee import CALLEE, Callee, find_callee, names_callee
from bridge.core.commands.fields import CALL, USER, Dials, Number
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, whole


@dataclass(frozen=True, slots=True)
class Redirect(CallAction):
    """Send a call to another callee; `facility` 999 ignores that one's diversions, with newer firmware."""

    callee: Callee
    facility: int = 0


def _plan(context: Context, fields: Fields) -> Redirect:
    call, callee = find_call(context, fields), find_callee(context, fields)
    return Redirect(call, callee, whole(fields, "facility") or 0)


VERB = Verb(
    group="control",
    about="send a ringing call to a number or another user",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        **CALLEE,
        "facility": Number(0, 999, dials=Dials.FACILITY, about="999 ignores diversions of the new callee"),
    },
    bare="number",
    check=lambda fields: names_call(fields) or names_callee(fields),
)
