"""`clear`: hang up a call."""

from dataclasses import dataclass

from bridge.core.commands.fields import Number, Text
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, whole


@dataclass(frozen=True, slots=True)
class HangUp(CallAction):
    """End a call; `cause` is a Q.850 code."""

    cause: int


def _plan(context: Context, fields: Fields) -> HangUp:
    return HangUp(find_call(context, fields), whole(fields, "cause") or context.clear_cause)


VERB = Verb(
    group="basic",
    plan=_plan,
    fields={"user": Text(), "call": Text(), "cause": Number(1, 127)},
    bare="",
    check=names_call,
)
