"""`uui`: send a text within a call, for a program at the other end (user-user information)."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, TOWARDS, USER, Text
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, text


@dataclass(frozen=True, slots=True)
class SendUserText(CallAction):
    """Send a text to the program at the other end of a call, or at the user's."""

    text: str
    to_user: bool


def _check(fields: Fields) -> str | None:
    return names_call(fields) if text(fields, "text") else "'text' is required"


def _plan(context: Context, fields: Fields) -> SendUserText:
    to_user = fields.get("towards") == "local"
    return SendUserText(find_call(context, fields), text(fields, "text"), to_user)


VERB = Verb(
    group="control",
    about="send a text within a call, for a program at the other end",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "text": Text(about="the user-user information"),
        "towards": TOWARDS,
    },
    bare="text",
    check=_check,
)
