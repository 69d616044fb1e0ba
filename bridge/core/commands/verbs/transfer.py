"""`transfer`: join two calls of a user, who leaves them."""

from dataclasses import dataclass

from bridge.core.commands.fields import ONE_CALL, OTHER_CALL, USER
from bridge.core.commands.verb import Context, Fields, PairAction, Verb, find_pair, names_pair


@dataclass(frozen=True, slots=True)
class Transfer(PairAction):
    """Join the remote parties of two calls."""


def _plan(context: Context, fields: Fields) -> Transfer:
    return Transfer(*find_pair(context, fields))


VERB = Verb(
    group="control",
    about="join two calls of a user, who leaves them",
    plan=_plan,
    fields={"user": USER, "call": ONE_CALL, "to_call": OTHER_CALL},
    bare="",
    check=names_pair,
)
