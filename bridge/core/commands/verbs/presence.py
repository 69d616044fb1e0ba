"""`presence`: set what other people see of a user's availability."""

import re
from dataclasses import dataclass

from bridge.core.commands.fields import USER, Flag, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, text
from bridge.core.model import User

_ACTIVITY = re.compile(r"[a-z][a-z-]{0,39}|")


@dataclass(frozen=True, slots=True)
class SetPresence(Action):
    """Set the presence of a user for one kind of contact. A `status` of None leaves the status alone."""

    user: User
    activity: str
    note: str
    status: str | None
    contact: str
    im: bool


def _check(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is required"
    if not _ACTIVITY.fullmatch(str(fields.get("activity", ""))):
        return "'activity' must be a word like away, busy or dnd, or empty for available"
    return None


def _plan(context: Context, fields: Fields) -> SetPresence:
    activity = str(fields.get("activity", ""))
    status = fields.get("status")
    return SetPresence(
        user=find_user(context.state, context.pbx, text(fields, "user")),
        activity="" if activity == "available" else activity,
        note=str(fields.get("note", "")),
        status=None if status is None else str(status),
        contact=str(fields.get("contact", "tel:")),
        im=fields.get("im") is True,
    )


VERB = Verb(
    group="basic",
    about="set what other people see of a user's availability",
    plan=_plan,
    fields={
        "user": USER,
        "activity": Text(40, about="a word like away, busy or dnd; empty: available"),
        "note": Text(256, about="a text beside it"),
        "status": Text(words=("open", "closed", ""), about="whether the contact can be reached"),
        "contact": Text(about="the kind of contact that it is set for; tel: without it"),
        "im": Flag(about="set it for the instant messaging client"),
    },
    bare="activity",
    check=_check,
)
