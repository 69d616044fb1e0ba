"""Examples for programs that no registry has: each topic and key in them is one that the bridge has."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from tests.bus import Mosquitto, Observer, eventually
from tests.examples.office import EXAMPLES, demo

pytestmark = pytest.mark.broker
THINGS = (EXAMPLES / "openhab.things").read_text(encoding="utf-8")
ITEMS = (EXAMPLES / "openhab.items").read_text(encoding="utf-8")
INPUTS = tomllib.loads((EXAMPLES / "telegraf.conf").read_text(encoding="utf-8"))["inputs"]["mqtt_consumer"]


async def call_of_anna(broker: Mosquitto, bus: Observer) -> None:
    """Somebody calls, Anna answers, and it ends."""
    async with demo(broker, bus) as pbx:
        call = pbx.ring("Anna Müller", "0123", "ACME")
        call.answer()
        call.hang_up()
        await eventually(lambda: "ended" in bus.types("anna", "office"), "the call of Anna has ended")


def heard(bus: Observer, pattern: str) -> list[dict[str, Any]]:
    """The JSON objects on the topics of a filter with +."""
    wanted = re.compile(pattern.replace("+", "[^/]+"))
    return [each.json for each in bus.messages if wanted.fullmatch(each.topic) and each.payload]


def flat(value: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """The fields of a payload under the names that Telegraf gives them."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{prefix}{key}_")
        else:
            yield f"{prefix}{key}", inner


async def test_telegraf_finds_what_it_looks_for(broker: Mosquitto, bus: Observer) -> None:
    """Its topics get messages, which have the keys; texts and numbers are where it expects them."""
    await call_of_anna(broker, bus)

    assert len(INPUTS) == 3
    for section in INPUTS:
        (topic,) = section["topics"]
        kinds = section.get("tagpass", {}).get("event_type")
        points = [dict(flat(each)) for each in heard(bus, topic) if not kinds or each["event_type"] in kinds]
        texts = {*section["tag_keys"], *section["json_string_fields"]}
        numbers = set(section["fieldinclude"]) - texts
        assert points
        assert all(isinstance(point[key], str) for point in points for key in texts)
        assert {key for point in points for key in numbers if isinstance(point[key], int | float)} == numbers
        assert all(str(point["time"]).endswith("Z") for point in points if "json_time_key" in section)


def test_the_last_words_of_a_call_are_those_of_telegraf() -> None:
    """Every call ends with one of these events."""
    assert INPUTS[2]["tagpass"]["event_type"] == ["ended", "missed"]


async def test_openhab_hears_what_it_shows(broker: Mosquitto, bus: Observer) -> None:
    """Each channel finds its value in every message of its topic; the PBX is available and not."""
    await call_of_anna(broker, bus)
    channels = re.findall(r'stateTopic="([^"]+)", transformationPattern="JSONPATH:\$\.([\w.]+)"', THINGS)

    assert len(channels) == THINGS.count("JSONPATH") == 7
    for topic, path in channels:
        values = heard(bus, topic)
        for key in path.split("."):
            values = [value[key] for value in values]
        assert values
        assert all(isinstance(value, str | int) for value in values)
    told = {each.payload.decode() for each in bus.messages if each.topic == "innovaphone/office/state"}
    words = set(re.findall(r'payload(?:Not)?Available="(\w+)"', THINGS))
    assert set(re.findall(r'availabilityTopic="([^"]+)"', THINGS)) == {"innovaphone/office/state"}
    assert told == words == {"online", "offline"}


async def test_openhab_commands_and_the_bridge_obeys(broker: Mosquitto, bus: Observer) -> None:
    """Each command channel takes the bare text that openHAB sends."""
    texts = {"presence": "away", "call": "0800 1234", "clear": "ON"}
    async with demo(broker, bus):
        for topic in re.findall(r'commandTopic="([^"]+)"', THINGS):
            verb = topic.rpartition("/")[2]
            bus.publish(topic, texts.pop(verb))
            await eventually(partial(bus.replies, verb, "office"), f"{verb} is answered")
            assert [reply["status"] for reply in bus.replies(verb, "office")] == ["ok"]

    assert texts == {}


def test_each_item_of_openhab_has_its_channel() -> None:
    """And each channel but the trigger its item."""
    things = re.findall(r"Thing topic (\w+) .*?Channels:(.*?)\n  }", THINGS, re.DOTALL)
    channels = {
        (thing, channel)
        for thing, inner in things
        for kind, channel in re.findall(r"Type (\w+)\s*: (\w+)", inner)
        if kind != "trigger"
    }

    assert set(re.findall(r'channel="mqtt:topic:house:(\w+):(\w+)"', ITEMS)) == channels


def test_the_flow_is_json_that_names_its_nodes() -> None:
    """Every wire ends at a node, so that an import shows what was meant."""
    nodes = json.loads((EXAMPLES / "node-red-flow.json").read_text(encoding="utf-8"))
    wires = {end for node in nodes for wire in node.get("wires", []) for end in wire}

    assert wires <= {node["id"] for node in nodes}
