"""`pickup`: a user takes a call that rings, or is parked, at somebody else."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALLER, Dials, Subject, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Started, Verb, named_call, text
from bridge.core.model import Call, User

_FROM = ("call", "from_user", "group")


@dataclass(frozen=True, slots=True)
class PickUp(Action):
    """Take a call: this one, that of a user, one of a group, or whichever the PBX offers the user."""

    user: User
    call: Call | None = None
    from_user: User | None = None
    group: str = ""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The call that is named, if one is."""
        return () if self.call is None else (self.call,)


def _check(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is required"
    several = sum(name in fields for name in _FROM) > 1
    return "only one of 'call', 'from_user' and 'group' is possible" if several else None


def _plan(context: Context, fields: Fields) -> PickUp:
    state, pbx = context.state, context.pbx
    return PickUp(
        user=find_user(state, pbx, text(fields, "user")),
        call=named_call(context, text(fields, "call"), None) if "call" in fields else None,
        from_user=find_user(state, pbx, text(fields, "from_user")) if "from_user" in fields else None,
        group=text(fields, "group"),
    )


VERB = Verb(
    group="control",
    about="a user takes a call that rings, or is parked, at somebody else",
    plan=_plan,
    fields={
        "user": CALLER,
        "call": Text(dials=Dials.TAKEN, subject=Subject.CALL, about="the id of the call to take"),
        "from_user": Text(
            dials=Dials.TAKEN, subject=Subject.USER, about="the user whose call to take, as in the topic"
        ),
        "group": Text(dials=Dials.TAKEN, about="the group in which a call rings; without all three, any"),
    },
    bare="",
    check=_check,
    reply=Started,
)
