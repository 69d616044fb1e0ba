"""`keypad`: complete the number of a call that is being dialled, press keys of its network, show a text."""

from dataclasses import dataclass

from bridge.core.commands.callee import undialable
from bridge.core.commands.fields import CALL, TOWARDS, USER, Dials, Text
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, text
from bridge.core.numbers import dialable

_GIVES = ("number", "key", "display")


@dataclass(frozen=True, slots=True)
class SendInformation(CallAction):
    """Send digits of a number, a code for the network, or a text, to the other end or to the user."""

    number: str
    key: str
    display: str
    to_user: bool

    @property
    def added(self) -> str:
        """The network may read both as digits."""
        return self.number or self.key


def _check(fields: Fields) -> str | None:
    if not any(fields.get(name) for name in _GIVES):
        return "one of 'number', 'key' and 'display' is required"
    if fields.get("number") and fields.get("key"):
        return "'number' and 'key' exclude each other: the network reads both as one"
    return names_call(fields) or undialable(fields, "number", "key")


def _plan(context: Context, fields: Fields) -> SendInformation:
    return SendInformation(
        find_call(context, fields),
        number=dialable(text(fields, "number")) or "",
        key=dialable(text(fields, "key")) or "",
        display=text(fields, "display"),
        to_user=fields.get("towards") == "local",
    )


VERB = Verb(
    group="control",
    about="complete the number of a call, press keys of its network, or show a text",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "number": Text(64, dials=Dials.MORE_DIGITS, about="more digits of the number that is being dialled"),
        "key": Text(64, dials=Dials.KEYS, about="a code for the network, like *21#"),
        "display": Text(about="a text to show"),
        "towards": TOWARDS,
    },
    check=_check,
)
