"""`media`: connect the sound of two calls of a user, who stays in both; or undo that."""

from dataclasses import dataclass

from bridge.core.commands.fields import ONE_CALL, OTHER_CALL, USER, Flag
from bridge.core.commands.verb import Context, Fields, PairAction, Verb, find_pair, names_pair


@dataclass(frozen=True, slots=True)
class JoinMedia(PairAction):
    """Connect the media of two calls, on the user's side, on the remote side, or on neither again."""

    user_side: bool
    remote_side: bool


def _plan(context: Context, fields: Fields) -> JoinMedia:
    sides = (fields.get(name) is True for name in ("user_side", "remote_side"))
    return JoinMedia(*find_pair(context, fields), *sides)


VERB = Verb(
    group="control",
    about="connect the sound of two calls of a user, or undo that with neither side",
    plan=_plan,
    fields={
        "user": USER,
        "call": ONE_CALL,
        "to_call": OTHER_CALL,
        "user_side": Flag(about="connect the sound of the user"),
        "remote_side": Flag(about="connect the sound of the other ends"),
    },
    check=names_pair,
)
