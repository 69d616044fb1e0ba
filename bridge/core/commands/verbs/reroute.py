"""`reroute`: send a ringing call to somebody else, whose diversions are obeyed."""

from dataclasses import dataclass

from bridge.core.commands.callee import CALLEE, Callee, find_callee, names_callee
from bridge.core.commands.fields import CALL, USER
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call


@dataclass(frozen=True, slots=True)
class Reroute(CallAction):
    """Send a call to another callee, or on to where that one's calls are diverted."""

    callee: Callee


def _plan(context: Context, fields: Fields) -> Reroute:
    return Reroute(find_call(context, fields), find_callee(context, fields))


VERB = Verb(
    group="control",
    about="send a ringing call to a number or another user, and obey diversions there",
    plan=_plan,
    fields={"user": USER, "call": CALL, **CALLEE},
    bare="number",
    check=lambda fields: names_call(fields) or names_callee(fields),
)
