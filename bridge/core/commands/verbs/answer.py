"""`answer`: take a ringing call at the user's phone."""

from dataclasses import dataclass

from bridge.core.calls import YOUNG
from bridge.core.commands.fields import CALL, USER
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call
from bridge.core.model import Call, Direction


@dataclass(frozen=True, slots=True)
class AnswerCall(CallAction):
    """Answer a call, hands-free."""


def _rings(call: Call) -> bool:
    """Who is talking and hears a second call means that one."""
    return call.direction is Direction.INBOUND and call.state in YOUNG


def _plan(context: Context, fields: Fields) -> AnswerCall:
    return AnswerCall(find_call(context, fields, _rings))


VERB = Verb(
    group="control",
    about="answer a ringing call at the user's phone, hands-free",
    plan=_plan,
    fields={"user": USER, "call": CALL},
    bare="",
    check=names_call,
)
