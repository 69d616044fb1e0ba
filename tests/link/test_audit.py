"""The log line of each command: who asked for what, whom it wanted to reach, and what became of it."""

from typing import Any

import pytest
import structlog

from bridge.mqtt.received import LONGEST_SENDER
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
ROOT = "innovaphone/hq"
SENT: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
    ("user/anna/command/call", {"id": "a", "number": "0 800 12"}, {"user": "anna", "target": "0 800 12"}),
    (
        "command/call",
        {"id": "b", "user": "anna", "to_user": "zoe"},
        {"target": "zoe", "code": "unknown_user"},
    ),
    ("command/call", {"id": "c", "user": "anna", "number": "*1"}, {"code": "number_not_allowed"}),
    ("command/clear", {"id": "d", "call": "e-99"}, {"call": "e-99", "code": "unknown_call"}),
    ("command/clear", {"id": "e", "call": 5}, {"code": "invalid"}),
    ("command/ping", {"id": "f"}, {"code": "ok"}),
    ("command/ping", {"id": "f"}, {"code": "duplicate"}),
    ("command/zzz", {"id": "g"}, {"verb": "unknown", "code": "unknown_verb"}),
)
"""Topic, request, and a part of its line."""


async def test_each_command_leaves_one_line(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Done or not; with its sender, whatever another client claims in a property of another name."""
    commands = {"sender_property": "client"}
    with structlog.testing.capture_logs() as log:
        async with bridge(configuration(broker.port, pbx_section(pbx), commands=commands)):
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "the PBX is online")
            for count, (topic, request, _) in enumerate(SENT, 1):
                bus.publish(f"{ROOT}/{topic}", request, named=(("sender", "mallory"), ("client", "panel")))
                await _lines_are(log, count)

    lines = _lines(log)
    assert [line["id"] for line in lines] == [request["id"] for _, request, _ in SENT]
    assert {line["sender"] for line in lines} == {"panel"}
    for line, (_, _, wanted) in zip(lines, SENT, strict=True):
        assert {name: line.get(name) for name in wanted} == wanted
    assert all(("reason" in line) == (line["code"] not in {"ok", "duplicate"}) for line in lines)


@pytest.mark.parametrize(
    ("named", "sender"),
    [
        ((), None),
        ((("sender", "anna"),), None),
        ((("client", ""),), None),
        ((("client", "anna"), ("client", "anna")), "anna"),
        ((("client", "boss"), ("client", "x"), ("client", "anna")), "boss, anna"),
        ((("client", "a" * 500), ("client", "b" * 500)), f"{'a' * LONGEST_SENDER}, {'b' * LONGEST_SENDER}"),
    ],
)
async def test_a_forged_sender_does_not_hide_the_real_one(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, named: Any, sender: str | None
) -> None:
    """A client adds what it likes, before or after what the broker adds; of another name, it is ignored."""
    commands = {"sender_property": "client"}
    with structlog.testing.capture_logs() as log:
        async with bridge(configuration(broker.port, pbx_section(pbx), commands=commands)):
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "the PBX is online")
            bus.publish(f"{ROOT}/command/ping", {"id": "p"}, named=named)
            await _lines_are(log, 1)

    (line,) = _lines(log)
    assert line.get("sender") == sender


async def test_without_a_configured_property_nobody_is_named(
    broker: Mosquitto, bus: Observer, pbx: SimPbx
) -> None:
    """Any client could claim anything."""
    with structlog.testing.capture_logs() as log:
        async with bridge(configuration(broker.port, pbx_section(pbx))):
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "the PBX is online")
            bus.publish(f"{ROOT}/command/ping", {"id": "p"}, named=(("", "mallory"), ("client", "mallory")))
            await _lines_are(log, 1)

    assert "sender" not in _lines(log)[0]


async def _lines_are(log: Any, count: int) -> None:
    await eventually(lambda: len(_lines(log)) == count, f"{count} lines")


def _lines(log: Any) -> list[Any]:
    return [line for line in log if line["event"] == "command"]
