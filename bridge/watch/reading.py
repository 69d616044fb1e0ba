"""Reads values out of payloads of any client, for people to see. Total: what is strange reads as empty."""

import json
from collections.abc import Mapping
from datetime import datetime

Fields = Mapping[str, object]
YEARS = range(1971, 9999)


def far_end(remote: Fields) -> str:
    """The remote party: name and number, or that it withholds them."""
    if remote.get("anonymous"):
        return "somebody anonymous"
    return " ".join(filter(None, (text(remote.get("name")), text(remote.get("number"))))) or "somebody"


def fields_of(payload: bytes) -> Fields:
    """A JSON object, or nothing for anything else."""
    try:
        return nested(json.loads(payload))
    except (ValueError, RecursionError):
        return {}


def nested(value: object) -> Fields:
    """A JSON object inside another."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Fields]:
    """The objects of a JSON list."""
    return [nested(item) for item in value] if isinstance(value, list) else []


def text(value: object) -> str:
    """A text for a terminal: without the characters that it would obey."""
    return "".join(each if each.isprintable() else " " for each in value) if isinstance(value, str) else ""


def whole(value: object) -> int:
    """A whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def seconds(value: object) -> float | None:
    """A duration."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def moment(value: object) -> datetime | None:
    """A time with its zone, as the contract writes it."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    # At both ends of the calendar a time cannot be shown in another zone.
    usable = found is not None and found.tzinfo is not None and found.year in YEARS
    return found if usable else None
