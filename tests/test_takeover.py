"""Two bridges for one PBX, and strangers on our state topic: nobody fights, and what is told is true."""

import signal
from pathlib import Path

import pytest

from bridge.core.rivalry import WINDOW_S, Rivalry
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import Program, bridge, configuration, pbx_section, stands_back

pytestmark = pytest.mark.broker
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"


def connections(log: str) -> int:
    """How often a bridge was up at the broker."""
    return log.count('"event": "mqtt up"')


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_two_bridges_do_not_fight(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, protocol: str
) -> None:
    """One of them stands back and says so in one error line; the other serves, and says online.

    With 3.1.1, and from an older Mosquitto, a bridge does not hear who took its session; it asks the bus.
    """
    programs = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = protocol
        programs.append(Program(folder, settings))
        await programs[-1].start()
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), f"bridge {name} is settled")
    await eventually(lambda: any(map(stands_back, programs)), "one stands back", within=20)
    await eventually(lambda: bus.now(STATE) == "online", "the winner says that it is online")
    bus.publish("innovaphone/hq/command/call", {"id": "once", "user": "anna", "number": "1"})
    await eventually(lambda: bus.replies("call"), "the command got its reply")
    for program in programs:
        await program.end(signal.SIGTERM)

    assert len(pbx.requests("UserCall")) == 1
    assert sum(map(stands_back, programs)) == 1
    assert sum(connections(program.log) for program in programs) <= 4


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_strangers_offline_is_put_right(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """While we are up nobody else's late will counts; `info` counts how often that happened."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"]["protocol"] = protocol
    async with bridge(settings):
        await eventually(lambda: (bus.now(INFO) or {}).get("settled"), "the bridge is settled")
        assert bus.now(INFO)["takeovers"] == 0
        bus.publish(STATE, "offline", retain=True)
        await eventually(lambda: bus.now(INFO)["takeovers"] == 1, "it was noticed")
        await eventually(lambda: bus.now(STATE) == "online", "the bridge put it right")
        bus.publish(STATE, "", retain=True)
        await eventually(lambda: bus.now(INFO)["takeovers"] == 2, "the clearing was noticed, too")
        await eventually(lambda: bus.now(STATE) == "online", "the bridge put it right again")


@pytest.mark.parametrize(
    ("ends", "suspected"),
    [
        ([(0.0, False)], False),
        ([(0.0, False), (WINDOW_S, False)], False),
        ([(0.0, False), (WINDOW_S - 1, False)], True),
        ([(0.0, True)], True),
        ([(0.0, True), (10 * WINDOW_S, False)], True),
    ],
)
def test_when_a_rival_is_suspected(ends: list[tuple[float, bool]], *, suspected: bool) -> None:
    """At once when the broker says so; else at the second end within a minute; not after a look."""
    rivalry = Rivalry()
    for at_s, taken_over in ends:
        rivalry.ended(at_s, taken_over=taken_over)
    assert rivalry.suspected is suspected
    rivalry.nobody_there()
    assert rivalry.suspected is False
