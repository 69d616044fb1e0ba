"""`hold`: put the other end of a call on hold."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, USER, Flag
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call


@dataclass(frozen=True, slots=True)
class Hold(CallAction):
    """Hold a call. `remote_music`: the other end hears music, and this end nothing."""

    remote_music: bool


def _plan(context: Context, fields: Fields) -> Hold:
    return Hold(find_call(context, fields), fields.get("remote_music") is True)


VERB = Verb(
    group="control",
    about="put the other end of a call on hold",
    plan=_plan,
    fields={"user": USER, "call": CALL, "remote_music": Flag(about="only the other end hears music")},
    bare="",
    check=names_call,
)
