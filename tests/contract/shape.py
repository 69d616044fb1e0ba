"""The shape of the contract, a line for each promise, and what a change of it does to consumers.

`tests/contract/schema-N.txt` has the lines of schema N. A promise that is gone or is different breaks
consumers: it needs another number. New keys, verbs and fields do not, but they become promises too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.contract import schemas
from bridge.core.payloads import SCHEMA

FILE = Path(__file__).with_name(f"schema-{SCHEMA}.txt")
CLOSED = {"EventType", "UserStateCallState", "State"}
"""Lists of words that never get another word: consumers may handle each and need no other case."""


def promises() -> set[str]:
    """The contract as it is printed now."""
    found = schemas.document()["$defs"]
    return {line for name, schema in found.items() for line in _of(name, schema)}


def written() -> set[str]:
    """The promises made to consumers so far."""
    return set(FILE.read_text(encoding="utf-8").splitlines()) if FILE.exists() else set()


def broken(before: set[str], now: set[str]) -> list[str]:
    """What consumers rely on and is no more, or is more than they were told to expect."""
    gone = before - now
    required = {line for line in now - before if _burdens(line, before)}
    return sorted(gone | required)


def write() -> None:
    """Add the new promises to the file; those that are gone stay, so that the test goes on to fail."""
    FILE.write_text("".join(f"{line}\n" for line in sorted(written() | promises())), encoding="utf-8")


def _burdens(line: str, before: set[str]) -> bool:
    """Another word of a closed list, where the list is known already."""
    name = line.partition(":")[0]
    return name in CLOSED and any(known.startswith(f"{name}:") for known in before)


def _of(name: str, schema: Any) -> Iterator[str]:
    """The lines of one named schema."""
    for word in schema.get("enum", ()):
        yield f"{name}: '{word}'"
    required = schema.get("required", ())
    for key, each in schema.get("properties", {}).items():
        there = " always" if key in required else ""
        yield f"{name}.{key}: {_type(each)}{there}"
        yield from (f"{each.get('title')}: '{word}'" for word in each.get("enum", ()))


def _type(schema: Any) -> str:
    """The type with everything that is promised about it, but not what it means."""
    if "anyOf" in schema:
        return " | ".join(_type(each) for each in schema["anyOf"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return str(schema["title"])
    told = {key: value for key, value in schema.items() if key not in {"description", "title"}}
    return (
        str(told["$ref"]).rpartition("/")[2]
        if "$ref" in told
        else " ".join(f"{k}={v}" for k, v in told.items())
    )
