"""The contract as tables for people; docs/topics.md has those of the payloads too. Pure."""

import json
from collections.abc import Mapping, Sequence

from bridge.contract.channels import PUBLISHED, commanded
from bridge.contract.schemas import catalogue, reply_name, request_name
from bridge.contract.types import Schema
from bridge.core.commands.verbs import VERBS

Schemas = Mapping[str, Schema]
FEW = 6
"""So many words are shown where they are used."""
_WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def document() -> str:
    """All tables, with a heading each."""
    schemas = catalogue("").schemas
    of_verbs = {name(verb) for verb in VERBS for name in (request_name, reply_name)}
    parts = ["# Topics and payloads", topics_table(), "## Payloads"]
    for name, schema in schemas.items():
        if name not in of_verbs:
            shown = keys_table(schema, schemas) if "properties" in schema else f"One of {_words(schema)}."
            parts += [f"### {name}", str(schema["description"]), shown]
    parts.append("## Commands")
    for verb in VERBS:
        request = schemas[request_name(verb)]
        parts += [f"### `{verb}`", f"{request['description']}.", keys_table(request, schemas)]
        parts.append(f"Besides the keys of all replies, the reply has {_added(schemas, verb)}.")
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


def keys_table(schema: Schema, schemas: Schemas) -> str:
    """The keys of an object with their types. No key of a request is required by itself."""
    required = set(schema.get("required", ()))
    rows = [
        (
            f"`{key}`",
            _type(each, schemas) + (", may be missing" if required and key not in required else ""),
            str(each.get("description", "")),
        )
        for key, each in schema["properties"].items()
    ]
    return _table(("key", "type", "meaning"), rows)


def _added(schemas: Schemas, verb: str) -> str:
    """What the reply of a verb has and a refusal has not."""
    more = schemas[reply_name(verb)]["properties"].keys() - schemas["Refused"]["properties"].keys()
    return ", ".join(f"`{key}`" for key in sorted(more)) or "nothing"


def _type(schema: Schema, schemas: Schemas) -> str:
    """The type in words; that of a named object is its name."""
    if "$ref" in schema:
        named = schemas[schema["$ref"]]
        return _words(named) if len(named.get("enum", range(FEW + 1))) <= FEW else str(named["title"])
    if "anyOf" in schema:
        return " or ".join(_type(each, schemas) for each in schema["anyOf"])
    if "enum" in schema:
        return _words(schema)
    if "const" in schema:
        return "`" + json.dumps(schema["const"]).strip('"') + "`"
    return f"list of {_type(schema['items'], schemas)}" if schema["type"] == "array" else _plain(schema)


def _words(schema: Schema) -> str:
    return ", ".join(f"`{word}`" if word else "empty" for word in schema["enum"])


def _plain(schema: Schema) -> str:
    kinds: list[str] = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    known = {**_WORDS, "string": "time"} if schema.get("format") == "date-time" else _WORDS
    return " or ".join(known.get(kind, kind) for kind in kinds) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    if "maximum" in schema:
        return f", {schema['minimum']} to {schema['maximum']}"
    return f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
