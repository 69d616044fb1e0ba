"""Judges messages on the bus by the JSON Schemas that the program prints. Unknown keys are mistakes here."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs

from bridge.contract import schemas
from bridge.core.commands.verbs import VERBS
from bridge.core.rights import CHECK
from bridge.mqtt.trial import LONG_AGO

LONGEST_MESSAGE = 300
TRIAL = {"schema", "pbx", "link", "reason"}
"""What `check --connect` publishes as `info`, if no bridge serves the PBX."""
TOPIC = re.compile(r".+?/[a-z0-9][a-z0-9_-]*/(state|info|user/[^/]+/state|user/[^/]+/event|response/([^/]+))")
"""The topics that the bridge publishes, below any base."""


@cache
def document() -> Any:
    """The contract as it is printed, but without room for keys that it does not have."""
    return closed(json.loads(json.dumps(schemas.document())))


def closed(value: Any) -> Any:
    """The schema, in which no object has other keys."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: closed(each) for key, each in value.items()}
    return {**inner, "additionalProperties": False} if "properties" in value and "type" in value else inner


@cache
def validator(name: str) -> Any:
    """What judges the payloads of this name."""
    return jsonschema_rs.validator_for(
        {"$ref": f"#/$defs/{name}", "$defs": document()["$defs"]}, validate_formats=True
    )


def problems(topic: str, payload: bytes) -> Iterator[str]:
    """What is wrong with a message that the bridge has published; nothing for other topics."""
    found = TOPIC.fullmatch(topic)
    if found is None or not payload:
        return
    try:
        value = payload.decode() if found[1] == "state" else json.loads(payload)
    except ValueError:
        yield f"{topic}: not what the contract says: {payload[:200]!r}"
        return
    if CHECK in topic or (isinstance(value, dict) and is_of_bridges(value)):
        return
    name = schema_name(found[1], found[2], value)
    for error in validator(name).iter_errors(value):
        yield f"{topic}: {name} {'.'.join(map(str, error.instance_path))}: {error.message[:LONGEST_MESSAGE]}"


def is_of_bridges(value: dict[str, Any]) -> bool:
    """Two bridges talk, or `check --connect` tries its rights: no consumer reads that."""
    return "proof" in value or value.get("expires_at") == LONG_AGO or value.keys() == TRIAL


def schema_name(place: str, verb: str | None, value: Any) -> str:
    """The name of the schema of a payload."""
    if verb is not None:
        accepted = isinstance(value, dict) and value.get("status") == "ok"
        return schemas.reply_name(verb) if accepted and verb in VERBS else "Refused"
    if place.startswith("user/"):
        return "UserState" if place.endswith("/state") else "Event"
    return "State" if place == "state" else "Info"
