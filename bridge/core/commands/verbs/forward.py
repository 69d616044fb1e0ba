"""`forward`: set or remove where the calls of a user are forwarded to."""

from dataclasses import dataclass

from bridge.core.commands.fields import USER, Dials, Subject, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, names_user, text
from bridge.core.model import User
from bridge.core.numbers import dialable
from bridge.errors import CommandError

KINDS = ("always", "busy", "no_answer")


@dataclass(frozen=True, slots=True)
class SetForwards(Action):
    """Change the forwards of a user: a number, "" for none, None to leave one as it is."""

    user: User
    always: str | None
    busy: str | None
    no_answer: str | None


def _check(fields: Fields) -> str | None:
    given = [name for name in KINDS if name in fields]
    if not given:
        return "one of 'always', 'busy' and 'no_answer' is required"
    wrong = [name for name in given if fields[name] and dialable(text(fields, name)) is None]
    if wrong:
        return f"'{wrong[0]}' must be digits, * and #, optionally after a leading +; or empty, to remove it"
    return names_user(fields)


def _plan(context: Context, fields: Fields) -> SetForwards:
    if not context.scope.forwards:
        raise CommandError("not_permitted", f"the bridge has no 'forwards: true' for {context.pbx}")
    wanted = [dialable(text(fields, name)) or "" if name in fields else None for name in KINDS]
    return SetForwards(find_user(context.state, context.pbx, text(fields, "user")), *wanted)


VERB = Verb(
    group="forward",
    about="set or remove where the calls of a user are forwarded to",
    plan=_plan,
    fields={
        "user": Text(dials=Dials.CALLER, subject=Subject.USER, about=USER.about),
        "always": Text(64, dials=Dials.NUMBER, about="the number for all calls; empty: remove it"),
        "busy": Text(64, dials=Dials.NUMBER, about="the number while the user is busy; empty: remove it"),
        "no_answer": Text(64, dials=Dials.NUMBER, about="the number without an answer; empty: remove it"),
    },
    check=_check,
)
