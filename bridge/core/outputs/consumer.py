"""The seam for programs that expect retained topics of ours outside of our own tree. Sends nothing."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class Finding(enum.Enum):
    """What a message on a topic of the program is: not ours, ours as we write it now, or ours from before."""

    FOREIGN = "foreign"
    OURS = "ours"
    OUTDATED = "outdated"


@dataclass(frozen=True, slots=True)
class Consumer:
    """One such program.

    `filters`: where an earlier run may have left something; others write there too. `mark`: every message of
    ours has these bytes, so that no other need be decoded. `judge`: the finding for a topic and its payload.
    `written`: the filters on which we write now. `birth`: where the program says `online` when it has
    started; None: it wants nothing any more.
    """

    name: str
    filters: tuple[str, ...]
    mark: bytes
    judge: Callable[[str, Mapping[str, object]], Finding]
    written: tuple[str, ...] = ()
    birth: str | None = None
