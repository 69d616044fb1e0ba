"""`message`: send a text message for a user."""

from dataclasses import dataclass

from bridge.core.commands.callee import CALLEE, Callee, find_callee, names_callee, undialable
from bridge.core.commands.fields import CALLER, Dials, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Started, Verb, text
from bridge.core.model import User
from bridge.core.numbers import normal
from bridge.errors import CommandError


@dataclass(frozen=True, slots=True)
class SendMessage(Action):
    """Send a text message for a user, to a number or to an object by its short name."""

    user: User
    callee: Callee
    text: str
    from_number: str


def _check(fields: Fields) -> str | None:
    if not ("user" in fields and fields.get("text")):
        return "'user' and 'text' are required"
    return names_callee(fields) or undialable(fields, "from")


def _plan(context: Context, fields: Fields) -> SendMessage:
    return SendMessage(
        user=find_user(context.state, context.pbx, text(fields, "user")),
        callee=_by_number_or_short_name(context, find_callee(context, fields)),
        text=text(fields, "text"),
        from_number=normal(text(fields, "from")),
    )


def _by_number_or_short_name(context: Context, callee: Callee) -> Callee:
    """The PBX sends messages to nobody by a long name, so the user with this one is looked up."""
    if not callee.name:
        return callee
    for guid in context.state.names.get(("name", callee.name), ()):
        record = context.state.users[guid].record
        if record.short_name or record.number:
            return Callee(short_name=record.short_name, number="" if record.short_name else record.number)
    sentence = f"no user on {context.pbx} with a number or a short name is called '{callee.name}'"
    raise CommandError("unknown_user", sentence)


VERB = Verb(
    group="control",
    about="send a text message for a user",
    plan=_plan,
    fields={
        "user": CALLER,
        **CALLEE,
        "text": Text(1024, about="the message"),
        "from": Text(64, dials=Dials.FROM_NUMBER, about="the number that is shown as the sender's"),
    },
    check=_check,
    reply=Started,
)
