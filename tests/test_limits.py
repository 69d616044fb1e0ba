"""The table of limits is true: each number is that of the code, and each limit of the code is in it."""

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bridge"
FILES = [file for file in PACKAGE.rglob("*.py") if not {"sim", "demo"} & set(file.parts)]
TABLE = (ROOT / "docs" / "limits.md").read_text()
UNITS = {"KiB": 1024, "MiB": 1024**2, "min": 60, "minutes": 60, "h": 3600}
ROWS = re.findall(r"(\d[\d,]*) ?([A-Za-z]*)[^|<\d]*<!-- ([\w.]+):([\w.]+) -->", TABLE)
"""Number, unit, module below `bridge`, and what holds the number there."""
LIMIT = re.compile(r"(^|_)(MOST|LONGEST|LARGEST|DEEPEST|CAP|BYTES|AT_ONCE|WINDOW|REMEMBERED)($|_(?!S$))")
OWN = {
    "net.addresses:MOST_PORT": "of TCP",
    "core.packet_limit:SMALL_BYTES": "what our smaller messages may have",
    "core.commands.dedup:REMEMBERED_AT_MOST": "core.journal:COMMANDS_AT_MOST",
    "core.line:OVERHEAD_BYTES": "what a message counts besides its text",
    "core.presentation:KEPT_AT_MOST": "what is made once and shown again",
    "core.proof:NONCE_BYTES": "of our own question",
    "core.restore:LARGEST": "what JSON can hold",
    "core.restore:LONGEST_TEXT": "pbx.decode:LONGEST_TEXT",
    "core.retained:CALL_BYTES": "what a call counts besides its text",
    "core.retained:ITEM_BYTES": "what a group counts besides its text",
    "core.shard:MOST_SHARDS": "an argument of the command line",
    "mqtt.inbox:OVERHEAD_BYTES": "what a message counts besides its text",
    "mqtt.readback:AT_ONCE": "how fast we clear",
    "mqtt.settings:LONGEST_S": "the patience with a slow broker",
    "mqtt.framing:KEPT_BYTES": "part of a packet that is too large",
    "mqtt.framing:LARGEST_PACKET": "what MQTT can carry",
    "mqtt.framing:LONGEST_TEXT": "what MQTT can carry",
    "mqtt.framing:_LENGTH_BYTES": "of MQTT",
    "mqtt.paho_client:CHUNK_BYTES": "of one read",
    "mqtt.paho_client:GATHERED_BYTES": "of one write",
    "mqtt.websocket:FRAMES_AT_ONCE": "of one turn of the loop",
    "ops.pbx_observer:NAMED_AT_MOST": "how we count users in the log",
    "ops.pbx_observer:SHOWN_AT_ONCE": "how we name users in the log",
    "ops.status:LONGEST_BODY": "of our own bridge's answer",
    "ops.status:LONGEST_REFUSAL": "of our own bridge's answer",
    "pbx.decode:LARGEST": "what a field of the PBX can hold",
    "pbx.session:DOUBLINGS_AT_MOST": "how long we wait between Polls",
    "link.state_tables:LARGEST_NUMBER": "what JSON can hold",
}
"""Constants that sound like limits of what comes from outside, and are none."""


def in_code(module: str, name: str) -> object:
    """A constant of a module, or the default of a key of the configuration."""
    found: object = importlib.import_module(f"bridge.{module}")
    *owners, last = name.split(".")
    for owner in owners:
        found = getattr(found, owner)
    if isinstance(found, type) and issubclass(found, BaseModel):
        return found.model_fields[last].default
    if dataclasses.is_dataclass(found):
        return {field.name: field.default for field in dataclasses.fields(found)}[last]
    return getattr(found, last)


@pytest.mark.parametrize(("number", "unit", "module", "name"), ROWS)
def test_a_number_is_that_of_the_code(number: str, unit: str, module: str, name: str) -> None:
    """The reader is not misled by a limit that was changed."""
    assert float(number.replace(",", "")) * UNITS.get(unit, 1) == in_code(module, name)


def test_each_limit_of_the_code_is_in_the_table() -> None:
    """A new limit is documented, or said not to be one for strangers."""
    documented = {f"{module}:{name}" for _, _, module, name in ROWS}
    assert {place for file in FILES for place in limits(file)} - documented - set(OWN) == set()


def limits(file: Path) -> set[str]:
    """The constants that a module makes, by names that only limits have."""
    module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    targets = [
        target
        for statement in ast.parse(file.read_text()).body
        if isinstance(statement, ast.Assign)
        for assigned in statement.targets
        for target in ast.walk(assigned)
    ]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return {
        f"{module}:{name}"
        for name in names
        if LIMIT.search(name) and not name.startswith("_") and isinstance(in_code(module, name), int | float)
    }
