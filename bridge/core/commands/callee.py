"""The one whom a request wants reached: by number, as a user, or by a long name. Pure; permits nothing.

What may be dialled is decided by dialling.py, from the same fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.core.commands.fields import Dials, FieldKind, Text
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Context, Fields, text
from bridge.core.numbers import dialable

CALLEE: Mapping[str, FieldKind] = {
    "number": Text(64, dials=Dials.NUMBER, about="the number to reach, as the user would dial it"),
    "to_user": Text(dials=Dials.USER, about="the user to reach, as in the topic"),
    "name": Text(dials=Dials.NAME, about="the long name of the object to reach"),
}
"""The fields of a verb that reaches somebody: exactly one of them is required."""


@dataclass(frozen=True, slots=True)
class Callee:
    """A number, or an object by its short or long name; the others are empty."""

    number: str = ""
    short_name: str = ""
    name: str = ""


def names_callee(fields: Fields) -> str | None:
    """The check of a verb whose plan uses `find_callee`."""
    if sum(bool(fields.get(name)) for name in CALLEE) != 1:
        return "exactly one of 'number', 'to_user' and 'name' is required"
    return undialable(fields, "number")


def undialable(fields: Fields, *names: str) -> str | None:
    """What is wrong with the numbers in these fields, if anything."""
    for name in names:
        if fields.get(name) and dialable(str(fields[name])) is None:
            return f"'{name}' must be digits, * and #, optionally after a leading +"
    return None


def find_callee(context: Context, fields: Fields) -> Callee:
    """The one whom the fields name. Raises CommandError(unknown_user)."""
    to_user = text(fields, "to_user")
    user = find_user(context.state, context.pbx, to_user).record if to_user else None
    return Callee(
        number=dialable(text(fields, "number")) or "",
        short_name=user.short_name if user else "",
        name=text(fields, "name") or (user.name if user and not user.short_name else ""),
    )
