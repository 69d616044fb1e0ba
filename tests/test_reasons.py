"""What everybody on the bus learns of a PBX that fails: its name and a word. The log has the rest."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog

from bridge.sim.auth import Account
from bridge.sim.faults import Fault
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
INFO, PING = "innovaphone/hq/info", "innovaphone/hq/command/ping"
ACCOUNT = "canary-account"


@pytest.fixture
def log() -> Iterator[list[Any]]:
    """What is logged."""
    with structlog.testing.capture_logs() as lines:
        yield lines


async def said(bus: Observer, link: str, reason: str, code: str) -> None:
    """The link is so, for this reason, and a ping is refused; nothing private is anywhere on the bus."""
    await eventually(lambda: (bus.now(INFO) or {}).get("link") == link, f"the link is {link}")
    bus.publish(PING, {"id": "p"})
    await eventually(lambda: bus.replies("ping"), "the ping has its reply")

    (reply,) = bus.replies("ping")
    assert (bus.now(INFO)["reason"], bus.now("innovaphone/hq/state")) == (reason, "offline")
    assert (reply["code"], reply["message"].rpartition(": ")[2]) == (code, reason)
    everything = " ".join(str(message.payload) for message in bus.messages)
    for private in ("canary", "127.0.0.1", "http", ".soap"):
        assert private not in everything


@pytest.mark.parametrize(
    ("mode", "section", "words"),
    [
        ("digest", {"password": "wrong"}, "rejected the credentials of 'canary-account'"),
        ("digest", {"session_user": "canary-nobody"}, "opens no session for 'canary-nobody'"),
        ("basic", {}, "set auth: basic"),
    ],
)
async def test_a_pbx_that_rejects_us(
    broker: Mosquitto, bus: Observer, log: list[Any], mode: str, section: dict[str, str], words: str
) -> None:
    """Neither its address nor an account."""
    options = replace(FAST, account=Account(ACCOUNT, "secret", mode))
    async with SimPbx(STAFF, options) as pbx:
        settings = configuration(broker.port, pbx_section(pbx, username=ACCOUNT, **section))
        async with bridge(settings):
            await said(bus, "rejected", "the PBX 'hq' rejects the bridge", "pbx_offline")

    assert [line for line in log if words in str(line.get("reason"))]


async def test_a_pbx_that_is_away_or_talks_nonsense(
    broker: Mosquitto, bus: Observer, log: list[Any], pbx: SimPbx
) -> None:
    """The address is in the log only."""
    nobody = f"http://127.0.0.1:{free_port()}"
    async with bridge(configuration(broker.port, pbx_section(pbx, url=nobody))):
        await said(bus, "unreachable", "the PBX 'hq' does not answer", "pbx_offline")

    (down,) = (line for line in log if line["event"] == "pbx down")
    assert nobody in down["reason"]


async def test_a_command_that_the_pbx_answers_badly(
    broker: Mosquitto, bus: Observer, log: list[Any], pbx: SimPbx
) -> None:
    """The reply says no more than that; the line of the command in the log has the reason whole."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "the PBX is online")
        pbx.faults.add(Fault("fault", "UserClear", text="canary", times=9))
        bus.publish("innovaphone/hq/command/call", {"id": "c", "user": "anna", "number": "0800"})
        await eventually(lambda: bus.replies("call"), "the call is placed")
        bus.publish("innovaphone/hq/command/clear", {"user": "anna"})
        await eventually(lambda: bus.replies("clear"), "the refusal")

    (reply,) = bus.replies("clear")
    told = "the PBX 'hq' gave an answer that cannot be used"
    assert (reply["code"], reply["message"]) == ("pbx_error", told)
    (line,) = (line for line in log if line["event"] == "command" and line["verb"] == "clear")
    assert "canary" in line["reason"]
