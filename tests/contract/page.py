"""The tables of keys in docs/topics.md, which come from the types of the payloads."""

import re
from collections.abc import Iterator
from pathlib import Path

from bridge.contract import markdown, schemas

PAGE = Path(__file__).parents[2] / "docs" / "topics.md"
SHOWN = (
    *("Info", "UserState", "Presence", "Group", "Switch", "Forwards"),
    *("Call", "Party", "Cause", "Event", "Refused"),
)
"""The types that the page shows, in its order."""
TABLE = re.compile(r"^\| key \| type \| meaning \|\n(?:\|.*\n)+", re.MULTILINE)


def with_tables(page: str) -> str:
    """The page with the tables as they must be."""
    tables = _tables()
    made = TABLE.sub(lambda _: next(tables), page)
    left = list(tables)
    if left:
        raise ValueError(f"the page lacks {len(left)} of the tables of {', '.join(SHOWN)}")
    return made


def _tables() -> Iterator[str]:
    known = schemas.catalogue("").schemas
    return (f"{markdown.keys_table(known[name], known)}\n" for name in SHOWN)
