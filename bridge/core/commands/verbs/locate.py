"""`locate`: ask for the address of another PBX of the same system, by its name there."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.fields import Flag, Text
from bridge.core.commands.verb import Action, Context, Fields, Verb, text
from bridge.core.message import Json


@dataclass(frozen=True, slots=True)
class LocatePbx(Action):
    """Ask for the address at which a PBX takes requests."""

    location: str
    encrypted: bool


class Location(TypedDict):
    """The address of a PBX; null if it is not known."""

    url: str | None


class Located(TypedDict):
    """Where the PBX is."""

    result: Location


def _check(fields: Fields) -> str | None:
    return None if fields.get("location") else "'location' is required"


def _plan(_context: Context, fields: Fields) -> LocatePbx:
    return LocatePbx(text(fields, "location"), fields.get("tls", True) is True)


def _render(_context: Context, _fields: Fields, answer: Json) -> Json:
    return {"result": {"url": answer.get("url") or None}}


VERB = Verb(
    group="query",
    about="ask for the address of another PBX of the same system",
    plan=_plan,
    fields={
        "location": Text(about="the `location` of a user"),
        "tls": Flag(about="the address for https; true without it"),
    },
    check=_check,
    reply=Located,
    render=_render,
)
