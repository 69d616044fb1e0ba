"""`ping`: ask the PBX whether it still knows the session."""

from dataclasses import dataclass

from bridge.core.commands.verb import Action, Verb


@dataclass(frozen=True, slots=True)
class Ping(Action):
    """Ask the PBX whether it still knows the session."""


VERB = Verb(
    group="basic",
    about="ask the PBX whether it still knows the session",
    plan=lambda _context, _fields: Ping(),
)
