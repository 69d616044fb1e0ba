"""`admin`: read or change the configuration of the PBX. Whoever may send it may do everything there."""

from dataclasses import dataclass
from typing import TypedDict
from xml.parsers import expat

from bridge.core.commands.fields import Text
from bridge.core.commands.found import LONGEST_RESULT
from bridge.core.commands.verb import Action, Context, Fields, Verb, text
from bridge.core.message import Json

LONGEST_XML = 16_384


@dataclass(frozen=True, slots=True)
class RunAdmin(Action):
    """Have the PBX carry out an XML document, as its administration does."""

    xml: str


class Document(TypedDict):
    """The answer of the PBX. `complete`: false if the rest had no room."""

    xml: str
    complete: bool


class Administered(TypedDict):
    """What the PBX answered. It may also be a refusal."""

    result: Document


def _check(fields: Fields) -> str | None:
    return "'xml' is required" if "xml" not in fields else _problem(text(fields, "xml"))


def _problem(xml: str) -> str | None:
    """Say why this is not one element. Without <! and <? it has no DTD, entities and instructions."""
    if "<!" in xml or "<?" in xml:
        return "'xml' must not contain <! or <?"
    parser = expat.ParserCreate()
    try:
        parser.Parse(xml, True)  # noqa: FBT003  (the library's way to say that this is all)
    except expat.ExpatError as error:
        return f"'xml' must be one element (column {error.offset + 1}: {expat.ErrorString(error.code)})"
    return None


def _render(_context: Context, _fields: Fields, answer: Json) -> Json:
    xml = str(answer.get("xml", ""))
    return {"result": {"xml": xml[:LONGEST_RESULT], "complete": len(xml) <= LONGEST_RESULT}}


VERB = Verb(
    group="admin",
    about="read or change the configuration of the PBX",
    plan=lambda _context, fields: RunAdmin(text(fields, "xml")),
    fields={"xml": Text(LONGEST_XML, about="one element, such as <show><user cn='Anna'/></show>")},
    check=_check,
    reply=Administered,
    render=_render,
)
