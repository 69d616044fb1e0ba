"""`resync`: open a new PBX session and read everything again."""

from dataclasses import dataclass

from bridge.core.commands.verb import Action, Verb


@dataclass(frozen=True, slots=True)
class Resync(Action):
    """End the PBX session, so that a new one reads everything again."""


VERB = Verb(
    group="basic",
    about="open a new PBX session and read everything again",
    plan=lambda _context, _fields: Resync(),
)
