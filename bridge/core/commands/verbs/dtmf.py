"""`dtmf`: send digits on a call, as the keys of a telephone do."""

import re
from dataclasses import dataclass

from bridge.core.commands.fields import CALL, TOWARDS, USER, Dials, Text
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, text

_DIGITS = re.compile("[0-9A-D*#]+")


@dataclass(frozen=True, slots=True)
class SendDigits(CallAction):
    """Send digits to the other end of a call, or to the user."""

    digits: str
    to_user: bool

    @property
    def added(self) -> str:
        """The PBX may dial them."""
        return self.digits


def _check(fields: Fields) -> str | None:
    if not _DIGITS.fullmatch(text(fields, "digits")):
        return "'digits' must be digits, *, # and A to D"
    return names_call(fields)


def _plan(context: Context, fields: Fields) -> SendDigits:
    to_user = fields.get("towards") == "local"
    return SendDigits(find_call(context, fields), text(fields, "digits"), to_user)


VERB = Verb(
    group="control",
    about="send digits on a call, as the keys of a telephone do",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "digits": Text(64, dials=Dials.TONES, about="digits, *, # and A to D"),
        "towards": TOWARDS,
    },
    bare="digits",
    check=_check,
)
