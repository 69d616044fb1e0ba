"""Turn pydantic's errors about a configuration into sentences. Never quotes values from the file.

A password may be anywhere: after a wrong key, as a key, in a URL. So a sentence has the line, the keys that
the schema knows, and what is expected there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bridge.config.yaml import Document, Place, Problem

_KEY = re.compile(r"[a-z_]{2,40}")
_SENTENCES = {
    "missing": "required",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text; quote numbers and words like yes",
    "is_instance_of": "expected a path",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "expected {expected}",
    "value_error": "{error}",
}


def problems(error: ValidationError, document: Document, model: type[BaseModel]) -> Iterator[Problem]:
    """Each problem once, with its line."""
    details = error.errors(include_url=False, include_input=False)
    places = [(*_place(detail["loc"]), *_inner(detail)) for detail in details]
    missing = [place for place, detail in zip(places, details, strict=True) if detail["type"] == "missing"]
    for place, detail in zip(places, details, strict=True):
        if detail["type"] == "too_short" and any(place == other[: len(place)] != other for other in places):
            continue  # not empty: its items are invalid, and each has a line of its own
        if detail["type"] == "extra_forbidden":
            wanted = [other[-1] for other in missing if other[:-1] == place[:-1]]
            yield _unknown_key(place, [str(each) for each in wanted], document, model)
        else:
            sentence = _sentence(detail, place, document, model)
            yield Problem(line_of(place, document), place, sentence)


def line_of(place: Place, document: Document) -> int:
    """The line of a place, or of the nearest section around it."""
    while place and place not in document.lines:
        place = place[:-1]
    return document.lines.get(place, 1)


def shown(place: Place, model: type[BaseModel]) -> str:
    """A place as people write it, `pbxs[0].url`, up to the first key that the schema does not know."""
    text = ""
    for depth, part in enumerate(place):
        if isinstance(part, int):
            text += f"[{part}]"
        elif part in _keys_at(place[:depth], model):
            text += f".{part}"
        else:
            break
    return text.removeprefix(".")


def _place(loc: Place) -> Place:
    """The place in the file: pydantic's location without its tags for kinds of items."""
    return tuple(part for part in loc if not str(part).startswith("<"))


def _inner(detail: Mapping[str, Any]) -> Place:
    """The place within its section that a MisplacedError names."""
    place: Place = getattr(detail.get("ctx", {}).get("error"), "place", ())
    return place


def _unknown_key(place: Place, missing: Sequence[str], document: Document, model: type[BaseModel]) -> Problem:
    """Quote an unknown key only if it resembles a known one: it may be part of a password."""
    key = str(place[-1])
    known = _keys_at(place[:-1], model)
    close = get_close_matches(key, missing, n=1) or get_close_matches(key, known, n=1)
    name = f"unknown key '{key}'" if close and _KEY.fullmatch(key) else "unknown key"
    hint = f" (did you mean '{close[0]}'?)" if close else f"; known keys: {', '.join(known)}"
    return Problem(line_of(place, document), place, name + hint)


def _sentence(detail: Mapping[str, Any], place: Place, document: Document, model: type[BaseModel]) -> str:
    kind, context = str(detail["type"]), dict(detail.get("ctx", {}))
    if kind in {"model_type", "model_attributes_type"}:
        return f"expected a section of keys, like '{_example(place, model)}: ...'"
    if kind == "tuple_type":
        key = _example(place, model)
        return f"expected a list: begin each item with '- {key}: ...'" if key else "expected a list: [a, b]"
    see: Place = getattr(context.get("error"), "see", ())
    if see:
        first = (*detail["loc"], *see)
        return f"{context['error']}, first in line {line_of(first, document)}"
    sentence = _SENTENCES.get(kind, "cannot be used here").format(**context)
    value = _at(place, document.values) if kind == "literal_error" else None
    words = re.findall(r"'([^']*)'", str(context.get("expected")))
    close = get_close_matches(value, words, n=1) if isinstance(value, str) else []
    return sentence + (f" (did you mean '{close[0]}'?)" if close else "")


def _at(place: Place, values: object) -> object:
    for part in place:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def _example(place: Place, model: type[BaseModel]) -> str | None:
    """A key for an example, but not a password."""
    return next((key for key in _keys_at(place, model) if not key.startswith("password")), None)


def _keys_at(place: Place, model: type[BaseModel]) -> list[str]:
    """The keys that the schema knows at a place; none for a list whose items may also be plain words."""
    for depth, part in enumerate(place):
        if isinstance(part, int):
            continue
        kind = model.model_fields[part].annotation if part in model.model_fields else None
        inner = list(_sections(kind))
        if not inner or (depth + 1 == len(place) and _has_words(kind)):
            return []
        model = inner[0]
    return list(model.model_fields)


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections in a type, also those of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _has_words(annotation: object) -> bool:
    return any(part is str or _has_words(part) for part in get_args(annotation))
