"""Users in the results of queries: as the topics name them where they are published. Pure.

A user that is not published has no topic: its `user` is null.
"""

import json
from collections.abc import Sequence
from typing import TypedDict, TypeVar

from bridge.core.model import PbxState
from bridge.core.records import UserRecord

Item = TypeVar("Item")
LONGEST_RESULT = 65_536


class FoundUser(TypedDict):
    """A user as the PBX describes it. `user`: its topic id, null for one that is not published."""

    user: str | None
    guid: str
    name: str
    display_name: str
    short_name: str
    number: str
    type: str
    registered: bool
    location: str
    node: str


def found_user(state: PbxState, record: UserRecord) -> FoundUser:
    """A user of a result."""
    return {
        "user": state.topics.get(record.guid),
        "guid": record.guid,
        "name": record.name,
        "display_name": record.display_name,
        "short_name": record.short_name,
        "number": record.number,
        "type": record.type,
        "registered": record.registered,
        "location": record.location,
        "node": record.node,
    }


def with_room(items: Sequence[Item]) -> list[Item]:
    """The first items that a reply has room for. One always has."""
    taken: list[Item] = []
    left = LONGEST_RESULT
    for item in items:
        left -= len(json.dumps(item))
        if left < 0 and taken:
            break
        taken.append(item)
    return taken
