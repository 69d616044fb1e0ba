"""A configuration file → Config, or every problem in it as `file:line: path: problem`. Quotes no secret."""

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from bridge import config as schema
from bridge.errors import ConfigError

LONGEST_FILE = 1_048_576
LONGEST_QUOTE = 40
Place = tuple[str | int, ...]
_SENTENCES = {
    "missing": "required",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "string_type": "expected text (in quotes, if it looks like a number)",
    "tuple_type": "expected a list",
    "model_type": "expected a section of keys",
    "model_attributes_type": "expected a section of keys",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
}


class _Loader(yaml.SafeLoader):
    """Plain YAML: no tags of Python, no aliases, no key twice."""


def load(path: Path) -> schema.Config:
    """Read and check a configuration file. Raises ConfigError with all problems at once.

    A state directory that systemd gives ($STATE_DIRECTORY) is used where the file names none.
    """
    text = _read(path)
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError((_yaml_problem(path, error),)) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError((f"{path}:1: expected keys like 'mqtt:' and 'pbxs:'",))
    if _has_anchor(text):
        raise ConfigError((f"{path}:1: anchors and aliases (& and *) are not read here: write it out",))
    lines = dict(_lines(node))
    twice = [f"{path}:{line}: {_dotted(place)}: given twice" for place, line in _doubles(node)]
    if twice:
        raise ConfigError(tuple(twice))
    try:
        values = yaml.load(text, Loader=_Loader)  # noqa: S506  (derived from SafeLoader)
        config = schema.Config.model_validate(values, context={"folder": path.parent})
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ValidationError):
            raise ConfigError(tuple(_problems(path, error, values, lines))) from None
        raise ConfigError((f"{path}: a value cannot be read",)) from None
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if config.state_dir is None and given:
        return config.model_copy(update={"state_dir": Path(given)})
    return config


def masked(config: schema.Config) -> str:
    """The configuration in force as YAML, secrets as stars."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}",)) from None
    if len(content) > LONGEST_FILE:
        raise ConfigError((f"{path}: is larger than 1 MiB",))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError((f"{path}: is not UTF-8",)) from None


def _yaml_problem(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    return f"{path}:{line}: not YAML: {getattr(error, 'problem', None) or 'unreadable character'}"


def _has_anchor(text: str) -> bool:
    kinds = (yaml.AliasToken, yaml.AnchorToken)
    return any(isinstance(token, kinds) for token in yaml.scan(text, Loader=_Loader))


def _lines(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Where each key and list item stands, from 1."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*place, str(key.value))
            yield from _lines(value, inner)
            yield inner, key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def _doubles(node: yaml.Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*place, name), key.start_mark.line + 1
            seen.add(name)
            yield from _doubles(value, (*place, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _doubles(value, (*place, index))


def _problems(
    path: Path, error: ValidationError, values: object, lines: Mapping[Place, int]
) -> Iterator[str]:
    details = error.errors(include_url=False, include_input=False)
    for detail in details:
        place = tuple(detail["loc"])
        if detail["type"] == "too_short" and any(
            place == other["loc"][: len(place)] != other["loc"] for other in details
        ):
            continue  # items that are wrong are not counted; they have lines of their own
        known = place
        while known not in lines and known:
            known = known[:-1]
        where = f"{_dotted(place)}: " if place else ""
        yield f"{path}:{lines.get(known, 1)}: {where}{_sentence(detail, place, values)}"


def _sentence(detail: Mapping[str, Any], place: Place, values: object) -> str:
    kind, context = str(detail["type"]), detail.get("ctx", {})
    if kind == "extra_forbidden":
        close = get_close_matches(str(place[-1]), _keys_at(place[:-1]), n=1)
        return f"unknown key (did you mean '{close[0]}'?)" if close else "unknown key"
    if kind == "value_error":
        return str(context["error"])
    found = _quoted(place, values)
    if kind in _SENTENCES:
        return _SENTENCES[kind] + ("" if kind == "missing" else found)
    if kind == "literal_error":
        return f"expected {context['expected']}{found}{_guess(place, values, str(context['expected']))}"
    if kind == "string_pattern_mismatch":
        return f"does not have the right form ({context['pattern']}){found}"
    return f"{str(detail['msg']).removeprefix('Input ')}{found}"


def _guess(place: Place, values: object, expected: str) -> str:
    value = _at(place, values)
    words = [word.strip("' ") for word in expected.replace(" or ", ", ").split(",")]
    close = get_close_matches(str(value), words, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _quoted(place: Place, values: object) -> str:
    """What stands there, unless it could be a secret: then nothing."""
    value = _at(place, values)
    secret = any("pass" in str(part).lower() or "secret" in str(part).lower() for part in place)
    plain = isinstance(value, str | int | float | bool)
    if secret or not plain or len(str(value)) > LONGEST_QUOTE:
        return ""
    return f", got {value!r}"


def _at(place: Place, values: object) -> object:
    for part in place:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def _keys_at(place: Place) -> list[str]:
    """The keys that the schema knows at a place."""
    model: Any = schema.Config
    for part in place:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [kind for kind in getattr(annotation, "__args__", (annotation,)) if _is_model(kind)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
