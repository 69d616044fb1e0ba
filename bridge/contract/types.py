"""The JSON Schema of a type: TypedDicts, lists, words and plain values. Knows no payload. Pure.

By hand, not by pydantic: it refuses the TypedDict of Python 3.11, and its schemas change with its version,
while those of a contract must not.
"""

import enum
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from bridge.core.payloads import About

Schema = dict[str, Any]
_PLAIN: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}


class Catalogue:
    """Collects the schemas of named types; `place` is where the document has them."""

    def __init__(self, place: str) -> None:
        self.schemas: dict[str, Schema] = {}
        self._place = place
        self._types: dict[str, Any] = {}

    def of(self, hint: Any) -> Schema:
        """The schema of a type; for one with a name, the reference to it."""
        if is_typeddict(hint) or (isinstance(hint, type) and issubclass(hint, enum.StrEnum)):
            return self._named(hint)
        return self._composed(get_origin(hint), get_args(hint)) or {"type": _PLAIN[hint]}

    def _named(self, hint: Any) -> Schema:
        """Keep the schema of a named type, before those that it uses."""
        name = hint.__name__
        if self._types.setdefault(name, hint) is not hint:
            raise ValueError(f"two types of the contract are named {name}")
        if name not in self.schemas:
            self.schemas[name] = {}
            self.schemas[name] = (
                self.of_keys(hint) if is_typeddict(hint) else _words(tuple(hint), name, _summary(hint))
            )
        return {"$ref": f"{self._place}{name}"}

    def of_keys(self, keys: Any) -> Schema:
        """The schema of a TypedDict, without a reference."""
        hints = get_type_hints(keys, include_extras=True)
        return {
            "title": keys.__name__,
            "description": _summary(keys),
            "type": "object",
            "properties": {key: titled(self.of(hint), keys.__name__, key) for key, hint in hints.items()},
            "required": [key for key in hints if key in keys.__required_keys__],
        }

    def _composed(self, origin: Any, inner: tuple[Any, ...]) -> Schema | None:
        """The schema of a type that is made of others."""
        if origin is Annotated:
            return {**self.of(inner[0]), **dict(_said(inner[1:]))}
        if origin is NotRequired:
            return self.of(inner[0])
        if origin in {Union, UnionType}:
            return _either([self.of(each) for each in inner])
        if origin is Literal:
            return _words(inner) if len(inner) > 1 else {"type": _PLAIN[type(inner[0])], "const": inner[0]}
        if origin is list:
            return {"type": "array", "items": self.of(inner[0])}
        return None


def titled(schema: Schema, owner: str, key: str) -> Schema:
    """A list of words with a name, for generators of code: that of the object and of its key."""
    if "enum" not in schema or "title" in schema:
        return schema
    return {"title": owner + key.title().replace("_", ""), **schema}


def _words(words: tuple[str, ...], title: str = "", about: str = "") -> Schema:
    named = {"title": title, "description": about} if title else {}
    return {**named, "type": "string", "enum": [str(word) for word in words]}


def _either(choices: list[Schema]) -> Schema:
    """One of several; a plain value or null is said in one word."""
    if all(choice.keys() <= {"type", "format"} for choice in choices):
        merged = {key: value for choice in choices for key, value in choice.items()}
        return {**merged, "type": [choice["type"] for choice in choices]}
    return {"anyOf": choices}


def _said(notes: tuple[object, ...]) -> Iterator[tuple[str, str]]:
    for note in notes:
        if isinstance(note, About):
            said = (("description", note.text), ("format", note.format))
            yield from ((key, value) for key, value in said if value)


def _summary(kind: Any) -> str:
    """The first paragraph of what the type says about itself."""
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
