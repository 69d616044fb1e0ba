"""The schemas of all messages, by name, and the JSON Schema document that has them. Pure."""

from typing import Annotated, Any

from bridge.contract.types import Catalogue, Schema, titled
from bridge.core import payloads
from bridge.core.commands.request import LONGEST_ID
from bridge.core.commands.verb import Verb
from bridge.core.commands.verbs import VERBS
from bridge.core.payloads import SCHEMA, About

DIALECT = "https://json-schema.org/draft/2020-12/schema"
STATE = "plain text: whether the PBX session is up and the list of users complete; also the Last Will"
PUBLISHED: tuple[Any, ...] = (payloads.Info, payloads.UserState, payloads.Event, payloads.Refused)
Moment = Annotated[payloads.Time, About("the request is not carried out later than this")]


def catalogue(place: str) -> Catalogue:
    """The schemas of everything that is published or accepted."""
    made = Catalogue(place)
    made.schemas["State"] = {"title": "State", "description": STATE, **made.of(payloads.StatePayload)}
    for keys in PUBLISHED:
        made.of(keys)
    for name, verb in VERBS.items():
        made.schemas[request_name(name)] = _request(made, name, verb)
        made.schemas[reply_name(name)] = _reply(made, name, verb)
    return made


def request_name(verb: str) -> str:
    """The name of the schema of a verb's request."""
    return f"{_camel(verb)}Request"


def reply_name(verb: str) -> str:
    """The name of the schema of the reply to a request that was accepted."""
    return f"{_camel(verb)}Reply"


def document() -> Schema:
    """The JSON Schema document."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:innovaphone-mqtt:schema:{SCHEMA}",
        "title": "innovaphone MQTT bridge",
        "description": "The payloads of the bridge. Keys may be added: ignore those that you do not know.",
        "$defs": catalogue("#/$defs/").schemas,
    }


def _request(made: Catalogue, name: str, verb: Verb) -> Schema:
    """Unknown fields are refused, so the schema forbids them."""
    envelope: Schema = {
        "id": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_ID,
            "description": "names this request: it runs at most once, and its reply has the same id",
        },
        "expires_at": made.of(Moment),
    }
    fields = {
        field: titled({**kind.schema, "description": kind.about}, request_name(name), field)
        for field, kind in verb.fields.items()
    }
    return {
        "title": request_name(name),
        "description": verb.about,
        "type": "object",
        "properties": {**envelope, **fields},
        "additionalProperties": False,
    }


def _reply(made: Catalogue, name: str, verb: Verb) -> Schema:
    """What all replies have in common, with what this verb adds."""
    common, more = made.of_keys(payloads.Accepted), made.of_keys(verb.reply)
    return {
        "title": reply_name(name),
        "description": f"the reply to `{name}`: {more['description']}",
        "type": "object",
        "properties": {
            **common["properties"],
            "verb": {"type": "string", "const": name},
            **more["properties"],
        },
        "required": [*common["required"], *more["required"]],
    }


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))
