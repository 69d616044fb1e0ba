"""`clear`: hang up a call."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, USER, Number
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, whole


@dataclass(frozen=True, slots=True)
class HangUp(CallAction):
    """End a call; `cause` is a Q.850 code."""

    cause: int


def _plan(context: Context, fields: Fields) -> HangUp:
    return HangUp(find_call(context, fields), whole(fields, "cause") or context.clear_cause)


VERB = Verb(
    group="basic",
    about="hang up a call",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "cause": Number(1, 127, about="a Q.850 code; 26 frees the phone at once"),
    },
    bare="",
    check=names_call,
)
