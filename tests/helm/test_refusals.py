"""What the chart refuses, and in which words, with Helm 3 and Helm 4."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from bridge.config import schema as config
from bridge.config import tls as config_tls
from bridge.config.commands import Commands, GrantSection, Numbers
from bridge.config.dial_plan import DialPlanSection
from bridge.config.home_assistant import HomeAssistant
from bridge.config.locations import LocationOverride, Locations
from bridge.config.privacy import PrivacyRuleSection, PrivacySection
from bridge.config.rules import RuleSection
from bridge.core.commands.permissions import Form
from bridge.core.commands.verbs import SETS, VERBS
from tests.helm.tools import CHART, Helm, RefusedError
from tests.helm.values import MQTT, pbx, values


def without_url(**changes: Any) -> dict[str, Any]:
    """A PBX whose address is not given, or in another way."""
    return {name: value for name, value in pbx(**changes).items() if name != "url"}


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a password of a PBX": (
        values(pbx(password="geheim")),
        "pbxs.0: Additional property password is not allowed",
        "at '/pbxs/0': additional properties 'password' not allowed",
    ),
    "a password of the broker": (
        values(mqtt={**MQTT, "password": "geheim"}),
        "mqtt: Additional property password is not allowed",
        "at '/mqtt': additional properties 'password' not allowed",
    ),
    "an unknown key": (
        values(replicaCount=2),
        "Additional property replicaCount is not allowed",
        "additional properties 'replicaCount' not allowed",
    ),
    "an unknown key of the configuration": (
        values(config={"event": {}}),
        "config: Additional property event is not allowed",
        "at '/config': additional properties 'event' not allowed",
    ),
    "a bad name": (
        values(pbx("Head Office")),
        "pbxs.0.name: Does not match pattern '^[a-z0-9][a-z0-9_-]{0,27}$'",
        "at '/pbxs/0/name': 'Head Office' does not match pattern '^[a-z0-9][a-z0-9_-]{0,27}$'",
    ),
    "no session user": (
        values({"name": "hq", "url": "https://pbx.example", "username": "u", "existingSecret": "s"}),
        "pbxs.0: session_user is required",
        "at '/pbxs/0': missing property 'session_user'",
    ),
    "a placement there is not": (
        values(placement="sharded"),
        'placement: placement must be one of the following: "shared", "dedicated"',
        "at '/placement': value must be one of 'shared', 'dedicated'",
    ),
    "no shard": (
        values(shards=0),
        "shards: Must be greater than or equal to 1",
        "at '/shards': minimum: got 0, want 1",
    ),
}
"""Values, and the words of Helm 3 and Helm 4: those of the schema."""
RULES: dict[str, tuple[dict[str, Any], str]] = {
    "the same name twice": (values(pbx("hq"), pbx("hq")), "pbxs: the name 'hq' is given twice"),
    "no PBX": ({"mqtt": MQTT}, "pbxs: name at least one PBX"),
    "no broker": ({"pbxs": [pbx()]}, "mqtt.url: required, like mqtts://broker.example"),
    "credentials in the broker's URL": (
        values(mqtt={**MQTT, "url": "mqtt://bridge:geheim@broker.example"}),
        "mqtt.url: no user name or password here: use username and existingSecret",
    ),
    "credentials in a PBX's URL": (
        values(pbx(url="https://admin:geheim@pbx.example")),
        "pbxs: url: no user name or password here",
    ),
    "no address": (
        values(without_url()),
        "pbxs: hq: give url, or urls for a primary and its standby",
    ),
    "two ways to the address": (values(pbx(urls=["https://a.example"])), "pbxs: hq: give url, or urls"),
    "no Secret": (
        values(pbx(existingSecret="")),
        "pbxs: hq: give existingSecret, the Secret with the password",
    ),
    "two ways to a password": (values(pbx(password_file="/x")), "pbxs: hq: give existingSecret"),
    "two ways to a CA": (
        values(pbx(tls={"existingSecret": "ca", "ca_file": "/x"})),
        "pbxs: hq: tls: give one of existingSecret, ca_file, sha256",
    ),
    "a password for nobody": (
        values(mqtt={"url": "mqtt://b.example", "existingSecret": "broker"}),
        "mqtt.username: a password needs a user name",
    ),
    "metrics for nobody": (
        values(podMonitor={"enabled": True}),
        "networkPolicy.metricsFrom: podMonitor is on, but nobody may ask for metrics",
    ),
    "half a certificate": (
        values(mqtt={**MQTT, "tls": {"existingSecret": "x", "certKey": "tls.crt"}}),
        "mqtt.tls: give certKey and keyKey, or neither",
    ),
    "two ways to know the broker": (
        values(mqtt={**MQTT, "tls": {"existingSecret": "x", "sha256": "ab" * 32}}),
        'mqtt.tls: sha256 pins the certificate: set caKey to ""',
    ),
    "a password for everybody": (
        values(mqtt={**MQTT, "url": "mqtt://broker.mqtt.svc"}),
        "mqtt.url: anybody on the network path could read the password: write mqtts://, or",
    ),
    "a token for everybody": (
        values(mqtt={"url": "ws://broker.mqtt.svc/?token=geheim"}),
        "mqtt.url: anybody on the network path could read the password: write wss://, or mqtt.insecure: true",
    ),
    "TLS of a broker that has none": (
        values(mqtt={**MQTT, "url": "ws://127.0.0.1", "tls": {"existingSecret": "x"}}),
        "mqtt.tls: has no effect with ws://: write wss:// in mqtt.url, or remove it",
    ),
    "TLS of a PBX that has none": (
        values(pbx(url="http://pbx.example", tls={"sha256": "ab" * 32})),
        "pbxs: hq: tls: has no effect with http://: write https:// in the address, or remove it",
    ),
    "a standby that is weaker": (
        values(without_url(urls=["https://a.example", "http://b.example"])),
        "pbxs: hq: urls: an attacker who blocks the https:// address gets the login over http://",
    ),
    "two ways to the broker": (
        values(mqtt={**MQTT, "urls": ["mqtts://b.example"]}),
        "mqtt: give url, or urls for a primary and its standby",
    ),
    "a standby broker that is weaker": (
        values(mqtt={**MQTT, "url": "", "urls": ["mqtts://a.example", "mqtt://b.example"]}),
        "mqtt.urls: an attacker who blocks the encrypted address gets the login over the other one",
    ),
    "a standby broker for everybody": (
        values(mqtt={**MQTT, "url": "", "urls": ["mqtt://127.0.0.1", "mqtt://b.example"]}),
        "mqtt.url: anybody on the network path could read the password: write mqtts://, or",
    ),
    "basic over http": (
        values(pbx(url="http://pbx.example", auth="basic")),
        "pbxs: hq: anybody on the network path could read the password (auth: basic): write https://, or",
    ),
}
"""Values, and the words of the chart's own rules."""


@pytest.mark.parametrize("case", CASES)
def test_the_schema_refuses(helm: Helm, case: str) -> None:
    """Place and problem; the secret is not repeated where it came as a password."""
    given, three, four = CASES[case]
    with pytest.raises(RefusedError) as refused:
        helm.three(given)
    assert three in str(refused.value)
    assert "geheim" not in str(refused.value)
    with pytest.raises(RefusedError) as refused:
        helm.four(given)
    assert four in str(refused.value)


@pytest.mark.parametrize("case", RULES)
def test_the_chart_refuses(helm: Helm, case: str) -> None:
    """With a sentence of its own."""
    given, words = RULES[case]
    for render in (helm.three, helm.four):
        with pytest.raises(RefusedError) as refused:
            render(given)
        assert words in str(refused.value)
        assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("what", ["alerts.yaml", "dashboard.json"])
def test_a_file_that_was_not_packed(helm: Helm, what: str, tmp_path: Path) -> None:
    """Said at once, instead of monitoring nothing."""
    chart = tmp_path / "innovaphone-mqtt"
    shutil.copytree(CHART, chart)
    (chart / "files" / what).unlink()
    value = "prometheusRule" if what == "alerts.yaml" else "dashboard"
    with pytest.raises(RefusedError, match=rf"{value}.enabled: this chart was packed without files/{what}"):
        helm.three(values(**{value: {"enabled": True}}), chart=chart)


CHART_ONLY = {
    "mqtt": {"existingSecret", "passwordKey"},
    "mqtt.tls": {"existingSecret", "caKey", "certKey", "keyKey"},
    "pbxs": {"existingSecret", "passwordKey"},
    "pbxs.tls": {"existingSecret", "caKey"},
}


def test_the_schema_knows_the_verbs_of_the_program() -> None:
    """And the sets of them; a chart must not let through what the program refuses."""
    definitions = schema()["definitions"]

    assert definitions["verb"]["enum"] == list(dict.fromkeys((*SETS, *VERBS)))
    assert set(definitions["grant"]["properties"]) == set(GrantSection.model_fields)
    assert definitions["grant"]["properties"]["topic"]["enum"] == list(Form)


def test_the_schema_knows_the_keys_of_locations() -> None:
    """In a definition, because the word `auto` stands for all of them."""
    section = schema()["definitions"]["locations"]["properties"]

    assert set(section) == set(Locations.model_fields)
    assert set(section["overrides"]["items"]["properties"]) == set(LocationOverride.model_fields) - {
        "password"
    }


def schema() -> dict[str, Any]:
    """The chart's schema."""
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ("mqtt", config.Mqtt),
        ("mqtt.tls", config_tls.MqttTls),
        ("pbxs", config.Pbx),
        ("pbxs.tls", config_tls.Tls),
        ("pbxs.users", RuleSection),
        ("pbxs.limits", config.PbxLimits),
        ("config", config.Config),
        ("config.events", config.Events),
        ("config.commands", Commands),
        ("config.dial_plan", DialPlanSection),
        ("config.phonebook", config.PhonebookSection),
        ("pbxs.dial_plan", DialPlanSection),
        ("config.commands.numbers", Numbers),
        ("config.privacy", PrivacySection),
        ("config.privacy.rules", PrivacyRuleSection),
        ("config.homeassistant", HomeAssistant),
        ("config.http", config.Http),
        ("config.log", config.Log),
    ],
)
def test_the_schema_knows_the_keys_of_the_program(place: str, model: type[BaseModel]) -> None:
    """All but passwords and what the chart sets itself: a new key of the program belongs here too."""
    node: Mapping[str, Any] = schema()
    for step in place.split("."):
        node = node["properties"][step]
        node = node.get("items", node)
        if "$ref" in node:
            node = schema()["definitions"][str(node["$ref"]).rpartition("/")[2]]
    ours = {config.Config: {"mqtt", "pbxs", "state_dir"}, config.Http: {"listen", "probes"}}.get(
        model, {"password"}
    )

    assert node["additionalProperties"] is False
    assert set(node["properties"]) - CHART_ONLY.get(place, set()) == set(model.model_fields) - ours
