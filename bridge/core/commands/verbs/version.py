"""`version`: ask the PBX for its firmware and serial number, as it has them now."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.verb import Action, Verb


@dataclass(frozen=True, slots=True)
class AskVersion(Action):
    """Ask the PBX about itself."""


class Versions(TypedDict):
    """What the PBX says about itself; each may be empty."""

    firmware: str
    serial: str
    location: str
    gatekeeper: str


class About(TypedDict):
    """The versions of the PBX."""

    result: Versions


VERB = Verb(
    group="query",
    about="ask the PBX for its firmware and serial number",
    plan=lambda _context, _fields: AskVersion(),
    reply=About,
    render=lambda _context, _fields, answer: {"result": answer},
)
