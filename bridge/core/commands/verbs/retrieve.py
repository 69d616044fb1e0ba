"""`retrieve`: take a call off hold."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, USER
from bridge.core.commands.verb import CallAction, Verb, find_call, names_call


@dataclass(frozen=True, slots=True)
class Retrieve(CallAction):
    """Take a call off hold."""


VERB = Verb(
    group="control",
    about="take a call off hold",
    plan=lambda context, fields: Retrieve(find_call(context, fields)),
    fields={"user": USER, "call": CALL},
    bare="",
    check=names_call,
)
