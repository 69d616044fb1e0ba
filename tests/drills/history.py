"""What happened in a drill, entry by entry: written as JSON lines, so that a failure can be judged again."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One occurrence: when (monotonic seconds), of which kind, and what.

    Kinds: `leg` (the bridge has come back for more after a record of a leg), `bus` (a message that an
    observer saw), `asked` (a command was published; until when it may be sent to the PBX), `sent` (the bridge
    sent it to the PBX), `done` (the PBX carried it out),
    `fault` (a note of what was done to whom), `truth` (so many seconds until bus and PBX agreed),
    `figure` (a name and a number), `shown` (a figure as the table has it), `broken` (a promise).
    """

    at: float
    kind: str
    what: dict[str, Any]


@dataclass(slots=True)
class History:
    """The entries of one drill."""

    name: str
    entries: list[Entry] = field(default_factory=list)

    def add(self, kind: str, **what: Any) -> None:
        """Note an occurrence."""
        self.entries.append(Entry(time.monotonic(), kind, what))

    def of(self, kind: str) -> Iterator[Entry]:
        """The entries of one kind."""
        return (entry for entry in self.entries if entry.kind == kind)

    def save(self, folder: Path) -> Path:
        """Write the history; its file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for entry in sorted(self.entries, key=lambda entry: entry.at):
                file.write(json.dumps(asdict(entry)) + "\n")
        return path


def load(path: Path) -> History:
    """Read a history again."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return History(path.stem, [Entry(**json.loads(line)) for line in lines])
