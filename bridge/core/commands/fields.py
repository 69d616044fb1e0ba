"""The types of a request's fields, and what is wrong with a value. Pure and total."""

import enum
import re
from dataclasses import dataclass

_NOT_IN_XML = re.compile(r"[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


class Dials(enum.Enum):
    """The part of a field in a call. Each field that decides who talks to whom has one; see dialling.py.

    MORE_DIGITS: digits that are added to the number of a call. KEYS: a code for the network, which may also
    read it as more digits. TONES: digits for whoever is at the other end.
    SHOWN_NUMBER: shown to the user as the remote party's. JOINED: a call that is joined with another.
    TAKEN: where the call is that the caller takes.
    """

    CALLER = enum.auto()
    NUMBER = enum.auto()
    USER = enum.auto()
    NAME = enum.auto()
    FROM_NUMBER = enum.auto()
    FACILITY = enum.auto()
    MORE_DIGITS = enum.auto()
    KEYS = enum.auto()
    TONES = enum.auto()
    SHOWN_NUMBER = enum.auto()
    JOINED = enum.auto()
    TAKEN = enum.auto()


class Subject(enum.Enum):
    """What a field names that a request acts upon: rules of `commands.allow` for some users judge it."""

    USER = enum.auto()
    CALL = enum.auto()


@dataclass(frozen=True, slots=True)
class Text:
    """A string field of at most `longest` characters, one of `words` when there are any.

    `about`, here and below: what the field means, for the readers of the contract.
    """

    longest: int = 128
    words: tuple[str, ...] = ()
    dials: Dials | None = None
    subject: Subject | None = None
    about: str = ""

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, if anything."""
        if not isinstance(value, str):
            return "must be a string"
        if len(value) > self.longest:
            return f"is longer than {self.longest} characters"
        if self.words and value not in self.words:
            return f"must be one of {', '.join(self.words)}"
        return "contains a character that the PBX does not accept" if _NOT_IN_XML.search(value) else None

    @property
    def schema(self) -> dict[str, object]:
        """The JSON Schema of the values, without what the field means."""
        if self.words:
            return {"type": "string", "enum": list(self.words)}
        return {"type": "string", "maxLength": self.longest}


@dataclass(frozen=True, slots=True)
class Flag:
    """A field that is true or false."""

    dials: Dials | None = None
    about: str = ""

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, if anything."""
        return None if isinstance(value, bool) else "must be true or false"

    @property
    def schema(self) -> dict[str, object]:
        """See Text."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number from `least` to `most`."""

    least: int
    most: int
    dials: Dials | None = None
    about: str = ""

    def problem(self, value: object) -> str | None:
        """Say what is wrong with a value, if anything."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = whole and isinstance(value, int) and self.least <= value <= self.most
        return None if fits else f"must be a whole number from {self.least} to {self.most}"

    @property
    def schema(self) -> dict[str, object]:
        """See Text."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


FieldKind = Text | Flag | Number

USER = Text(subject=Subject.USER, about="the user, as in the topic; implied on the topic of a user")
CALL = Text(subject=Subject.CALL, about="the id of a running call; needless while the user has only one")
ONE_CALL, OTHER_CALL = (
    Text(
        dials=Dials.JOINED,
        subject=Subject.CALL,
        about=f"the id of {which} running call; needless while the user has only two",
    )
    for which in ("a", "another")
)
CALLER = Text(
    dials=Dials.CALLER, subject=Subject.USER, about="the user who calls; implied on the topic of a user"
)
TOWARDS = Text(words=("remote", "local"), about="who gets it: the other end (remote), or the user (local)")
