"""Commands that lie retained on the broker when the bridge subscribes: refused, cleared, not carried out."""

from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.kit.proxy import Proxy
from tests.running import MAY_NOT_CLEAR, bridge, configuration, pbx_section

ROOT = "innovaphone/hq"
STATE = f"{ROOT}/state"
READ_ONLY = f"{MAY_NOT_CLEAR}user hers\ntopic readwrite #\n"
COMMANDS = {
    "innovaphone/hq/command/call": {"id": "old", "user": "anna", "number": "1"},
    "innovaphone/hq/user/anna/command/call": "0123",
    "innovaphone/hq/user/anna/command/clear": "x",
    "innovaphone/hq/command/nonsense": {"id": "odd"},
}


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_retained_commands_are_cleared(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """Those that were there before the first start, and before the next one; live ones are carried out."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"]["protocol"] = protocol
    for run in (1, 2):
        for topic, payload in COMMANDS.items():
            bus.publish(topic, payload, retain=True)
        async with bridge(settings):
            await _cleared(bus, run)

    assert {reply["code"] for reply in (*bus.replies("call"), *bus.replies("clear"))} == {"retained"}
    assert not pbx.requests("UserCall")


@pytest.mark.broker
async def test_a_hang_up_is_not_taken_for_an_echo(tmp_path: Path, pbx: SimPbx) -> None:
    """MQTT 3.1.1, and no right to delete what is retained there: the echo never comes, the command counts."""
    (tmp_path / "acl").write_text(READ_ONLY)
    clear = f"{ROOT}/user/anna/command/clear"
    async with (
        Mosquitto(tmp_path, f"acl_file {tmp_path / 'acl'}") as broker,
        Observer(broker.port, credentials=("hers", "x"), protocol="3.1.1") as bus,
        Proxy(broker.port) as proxy,
    ):
        settings = configuration(proxy.port, pbx_section(pbx))
        settings["mqtt"] |= {"protocol": "3.1.1", "username": "bridge", "password": "x"}
        bus.publish(clear, "x", retain=True)
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                await eventually(lambda: limits(log), "it knows that it may not delete")
                for session in (1, 2):
                    await eventually(lambda: bus.now(STATE) == "online", "it is online")
                    await hang_up(bus, pbx, clear)
                    if session == 1:
                        proxy.cut()
                        await eventually(lambda: bus.now(STATE) == "offline", "it is gone")
                        await eventually(
                            lambda: [r.get("code") for r in bus.replies("clear")].count("retained") == 2,
                            "the retained one is refused again",
                        )
    assert limits(log) == ["grant the right to write the command topics"]


async def test_an_echo_is_not_missed_after_the_connection(pbx: SimPbx) -> None:
    """MQTT 3.1.1, and a connection that breaks before the echo of an erasure: that says nothing of rights."""
    clear = f"{ROOT}/user/anna/command/clear"
    swallows = Habits(swallows=frozenset({clear}))
    async with Peer(swallows) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                await eventually(lambda: peer.payloads(STATE)[-1:] == [b"online"], "it is online")
                peer.send_publish(clear, b"x", retain=True, qos=1)
                await eventually(lambda: not peer.unacknowledged and peer.payloads(clear), "it is erased")
                peer.habits, attempts = Habits(connack_s=None), len(peer.connects)
                peer.break_packet()
                await eventually(lambda: len(peer.connects) > attempts + 1, "the echo is overdue", within=30)
                peer.habits = Habits()
                before = len(peer.payloads(STATE))
                await eventually(lambda: b"online" in peer.payloads(STATE)[before:], "it is back", within=30)
    assert limits(log) == []


async def hang_up(bus: Observer, pbx: SimPbx, topic: str) -> None:
    """End a call of Anna's with an empty command."""
    done = len(pbx.requests("UserClear"))
    pbx.ring("Anna Müller", "0123")
    await eventually(lambda: bus.now(f"{ROOT}/user/anna/state")["call_state"] == "ringing", "it rings")
    bus.publish(topic, "")
    await eventually(lambda: len(pbx.requests("UserClear")) == done + 1, "the call is ended")
    await eventually(lambda: bus.now(f"{ROOT}/user/anna/state")["call_state"] == "idle", "it is over")


def limits(log: list[EventDict]) -> list[str]:
    """What the bridge says about rights that are missing."""
    return [each["hint"] for each in log if each["event"] == "broker is limited" and "right" in each["hint"]]


async def _cleared(bus: Observer, run: int) -> None:
    """Wait until this run of the bridge has cleared them, and obeys."""
    await eventually(lambda: not COMMANDS.keys() & bus.tree.keys(), "the retained ones are cleared")
    await eventually(lambda: len(bus.replies("call")) == 2 * run, "each got its reply")
    await eventually(lambda: bus.now(STATE) == "online", "it is online")
    bus.publish("innovaphone/hq/command/ping", {"id": f"p{run}"})
    await eventually(
        lambda: [reply for reply in bus.replies("ping") if reply["id"] == f"p{run}"], "a ping is answered"
    )
