"""The documents of `innovaphone-mqtt contract`: complete, consistent, and the same as what people read."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from bridge.contract import asyncapi, forms, schemas
from bridge.contract.channels import PUBLISHED, commanded
from bridge.core import payloads
from bridge.core.commands.verbs import VERBS
from tests import contract_checker
from tests.contract.page import PAGE, with_tables

ASYNCAPI = asyncapi.document()
SCHEMAS = schemas.document()
PONG = b'{"schema": 1, "id": null, "verb": "ping", "status": "ok", "time": "2026-11-26T08:00:00.000Z"}'


def references(value: Any) -> Iterator[str]:
    """Every `$ref` of a document."""
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from references(each)


def resolved(document: Any, reference: str) -> Any:
    """What a reference within a document leads to."""
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


def is_ours(name: str) -> bool:
    """What is published unasked, and what may be requested."""
    return hasattr(payloads, name) or name.endswith("Request")


@pytest.mark.parametrize("document", [ASYNCAPI, SCHEMAS], ids=["asyncapi", "jsonschema"])
def test_each_reference_leads_somewhere(document: Any) -> None:
    """Also into the messages of channels."""
    found = set(references(document))

    assert found
    assert all(resolved(document, reference) for reference in found)


def test_the_schemas_are_schemas() -> None:
    """By the meta-schema of their dialect."""
    jsonschema_rs.meta.validate(SCHEMAS)
    for schema in SCHEMAS["$defs"].values():
        jsonschema_rs.meta.validate(schema)


def test_everything_that_is_published_or_accepted_has_a_channel() -> None:
    """With the topics of the bridge, and both forms for a verb that is about a user."""
    addresses = [channel["address"] for channel in ASYNCAPI["channels"].values()]
    wanted = [each.address for each in PUBLISHED]
    for name, verb in VERBS.items():
        wanted += [f"{{base}}/{{pbx}}/command/{name}", f"{{base}}/{{pbx}}/response/{name}"]
        if "user" in verb.fields:
            wanted.append(f"{{base}}/{{pbx}}/user/{{user}}/command/{name}")

    assert sorted(addresses) == sorted(wanted)
    for channel in ASYNCAPI["channels"].values():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))


def test_each_operation_has_its_binding_and_a_command_its_reply() -> None:
    """A consumer needs to know what is retained, and which reply belongs to its request."""
    operations = ASYNCAPI["operations"]
    kept = {name for name, each in operations.items() if each["bindings"]["mqtt"]["retain"]}
    commands = [each for each in operations.values() if each["action"] == "receive"]

    assert kept == {"sendState", "sendInfo", "sendUserState"}
    assert len(commands) == len(list(commanded()))
    for command in commands:
        for message in [*command["messages"][:1], *command["reply"]["messages"]]:
            known = resolved(ASYNCAPI, resolved(ASYNCAPI, message["$ref"])["$ref"])
            assert known["correlationId"] == {"location": "$message.payload#/id"}
        request = resolved(ASYNCAPI, resolved(ASYNCAPI, command["messages"][0]["$ref"])["$ref"])
        assert request["bindings"]["mqtt"].keys() >= {"responseTopic", "correlationData"}


def test_a_bare_value_is_a_message_where_a_verb_takes_one() -> None:
    """On the topic of a user only."""
    channels = ASYNCAPI["channels"]

    assert set(channels["userCommandCall"]["messages"]) == {"CallRequest", "CallValue"}
    assert set(channels["commandCall"]["messages"]) == {"CallRequest"}
    assert "commandPing" in channels
    assert "userCommandPing" not in channels


@pytest.mark.parametrize("name", [name for name in SCHEMAS["$defs"] if is_ours(name)])
def test_each_key_is_explained(name: str) -> None:
    """A reader of the schemas has nothing else."""
    keys = SCHEMAS["$defs"][name].get("properties", {})

    assert [key for key, schema in keys.items() if not schema.get("description")] == []


def test_the_page_has_the_tables_of_the_types() -> None:
    """docs/topics.md and the schemas say the same."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_tables(page) == page, "write the tables anew: python -m tests.contract"


def test_the_markdown_has_every_schema_verb_and_topic() -> None:
    """For those who read it in a terminal."""
    page = forms.text("markdown")

    assert set(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == set(VERBS)
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == {
        name for name in SCHEMAS["$defs"] if not name.endswith(("Request", "Reply"))
    }
    assert {each.address for each in commanded()} <= set(re.findall(r"^\| `(\S+)` \|", page, re.MULTILINE))
    assert "| `facility` | whole number, 0 to 999 |" in page
    assert "Besides the keys of all replies, the reply has `call`." in page


def test_the_other_forms_are_json() -> None:
    """Whole, and with the letters of people's names."""
    assert json.loads(forms.text("asyncapi")) == json.loads(json.dumps(ASYNCAPI))
    assert json.loads(forms.text("jsonschema")) == json.loads(json.dumps(SCHEMAS))


@pytest.mark.parametrize(
    ("topic", "payload", "problem"),
    [
        ("b/hq/state", b"online", None),
        ("b/hq/state", b"perhaps", "State"),
        ("b/c/hq/info", b"{}", "Info"),
        ("b/hq/info", b"[", "not what the contract says"),
        ("b/hq/user/anna/state", b'"x"', "UserState"),
        ("b/hq/user/anna/state", b"", None),
        ("b/hq/user/anna/event", b"{}", "Event"),
        ("b/hq/response/call", b'{"status": "ok"}', "CallReply"),
        ("b/hq/response/call", b"{}", "Refused"),
        ("b/hq/response/fly", b'{"status": "ok"}', "Refused"),
        ("b/hq/command/call", b"x", None),
        ("b/hq/response/ping", b'{"proof": "x"}', None),
        (
            "b/hq/response/ping",
            PONG,
            None,
        ),
        (
            "b/hq/response/ping",
            PONG.replace(b"2026-11-26T08:00:00.000Z", b"soon"),
            '"soon" is not a "date-time"',
        ),
        (
            "b/hq/response/ping",
            PONG[:-1] + b', "x": 1}',
            "Additional properties",
        ),
    ],
)
def test_the_judge_of_messages_sees_what_is_wrong(topic: str, payload: bytes, problem: str | None) -> None:
    """All tests with a broker rely on it."""
    found = list(contract_checker.problems(topic, payload))

    assert bool(found) == (problem is not None)
    assert problem is None or problem in found[0]
