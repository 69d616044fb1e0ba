"""`park`: put a call aside, at the user or at another one, until somebody takes it by `pickup`."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, USER, Dials, Number, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import (
    CallAction,
    Context,
    Fields,
    Started,
    Verb,
    find_call,
    names_call,
    text,
    whole,
)
from bridge.core.model import User

_ANY = -1


@dataclass(frozen=True, slots=True)
class Park(CallAction):
    """Park a call at a user, at a position or (-1) at any."""

    at: User
    position: int


def _plan(context: Context, fields: Fields) -> Park:
    call, position = find_call(context, fields), whole(fields, "position")
    at = text(fields, "at")
    user = find_user(context.state, context.pbx, at) if at else context.state.users[call.user]
    return Park(call, user, _ANY if position is None else position)


VERB = Verb(
    group="control",
    about="put a call aside until somebody takes it by pickup",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "at": Text(dials=Dials.USER, about="the user where it waits, as in the topic; else the user itself"),
        "position": Number(_ANY, 9999, about="a position there; -1 or none: any"),
    },
    bare="",
    check=names_call,
    reply=Started,
)
