"""The contract as tables for people; docs/topics.md has those of the payloads too. Pure."""

import json
from collections.abc import Mapping, Sequence

from bridge.contract.channels import PUBLISHED, commanded
from bridge.contract.schemas import catalogue, reply_name, request_name
from bridge.contract.types import Schema
from bridge.core.commands.verbs import VERBS

_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def document() -> str:
    """All tables, with a heading each."""
    schemas = catalogue("").schemas
    of_verbs = {name(verb) for verb in VERBS for name in (request_name, reply_name)}
    parts = ["# Topics and payloads", topics_table(), "## Payloads"]
    for name, schema in schemas.items():
        if name not in of_verbs:
            shown = keys_table(schema) if "properties" in schema else f"One of {_type(schema)}."
            parts += [f"### {name}", str(schema["description"]), shown]
    parts.append("## Commands")
    for verb in VERBS:
        request = schemas[request_name(verb)]
        parts += [f"### `{verb}`", f"{request['description']}.", keys_table(request)]
        parts += [f"The reply has, besides the keys of all replies: {_added(schemas, verb) or 'nothing'}."]
    return "\n\n".join(parts)


def topics_table() -> str:
    """Every topic with its payload."""
    published = [
        (f"`{each.address}`", f"{each.schema}: {each.about}", "yes" if each.retain else "no")
        for each in PUBLISHED
    ]
    commands = [(f"`{each.address}`", f"{each.request}: {each.about}", "refused") for each in commanded()]
    replies = dict.fromkeys(
        (f"`{each.reply_address}`", f"{each.reply} or Refused", "no") for each in commanded()
    )
    return _table(("topic", "payload", "retained"), [*published, *commands, *replies])


def keys_table(schema: Schema) -> str:
    """The keys of an object with their types."""
    required = set(schema.get("required", ()))
    rows = [
        (
            f"`{key}`",
            _type(each) + ("" if key in required or not required else ", may be missing"),
            _about(each),
        )
        for key, each in schema["properties"].items()
    ]
    return _table(("key", "type", "meaning"), rows)


def _added(schemas: Mapping[str, Schema], verb: str) -> str:
    """What the reply of a verb has and a refusal has not."""
    more = schemas[reply_name(verb)]["properties"].keys() - schemas["Refused"]["properties"].keys()
    return ", ".join(f"`{key}`" for key in sorted(more))


def _type(schema: Schema) -> str:
    """The type in words."""
    if "$ref" in schema:
        return str(schema["$ref"])
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{word}`" if word else "empty" for word in schema["enum"])
    if "const" in schema:
        return "`" + json.dumps(schema["const"]).strip('"') + "`"
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kinds: list[str] = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if kinds == ["array"]:
        return f"list of {_type(schema['items'])}"
    known = {**_WORDS, "string": "time"} if schema.get("format") == "date-time" else _WORDS
    words = [known.get(kind, kind) for kind in kinds]
    return " or ".join(words) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    if "maximum" in schema:
        return f", {schema['minimum']} to {schema['maximum']}"
    return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def _about(schema: Schema) -> str:
    return str(schema.get("description", ""))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
