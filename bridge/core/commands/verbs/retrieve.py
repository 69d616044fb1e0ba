"""`retrieve`: take a call off hold."""

from dataclasses import dataclass

from bridge.core.commands.fields import Text
from bridge.core.commands.verb import CallAction, Verb, find_call, names_call


@dataclass(frozen=True, slots=True)
class Retrieve(CallAction):
    """Take a call off hold."""


VERB = Verb(
    group="control",
    plan=lambda context, fields: Retrieve(find_call(context, fields)),
    fields={"user": Text(), "call": Text()},
    bare="",
    check=names_call,
)
