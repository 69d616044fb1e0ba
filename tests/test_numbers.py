"""Numbers and names of those outside, from the PBX to the bus: E.164, a phonebook that changes, a restart."""

import asyncio
import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from bridge.ops import phonebook
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import Program, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
ANNA, INFO = "innovaphone/hq/user/anna/state", "innovaphone/hq/info"
PLAN = {"country_code": 49, "area_code": "711", "trunk_prefix": "0", "internal": ["9??"]}


@pytest.fixture
def names(tmp_path: Path) -> Path:
    """A phonebook."""
    file = tmp_path / "names.csv"
    file.write_text("0711 123456,ACME\n")
    return file


def settings(broker: Mosquitto, pbx: SimPbx, names: Path) -> dict[str, Any]:
    """A configuration with numbers and names."""
    return configuration(
        broker.port, pbx_section(pbx), dial_plan=PLAN, phonebook={"file": names}, state_dir=names.parent
    )


def remotes(bus: Observer) -> list[tuple[str, str, bool]]:
    """The other ends of Anna's calls now: number, name, internal."""
    calls = (bus.now(ANNA) or {}).get("calls", ())
    return [(call["remote"]["number"], call["remote"]["name"], call["remote"]["internal"]) for call in calls]


async def settled(bus: Observer) -> None:
    """The running calls are known."""
    await eventually(lambda: (bus.now(INFO) or {}).get("settled") is True, "the bridge is settled")


async def test_a_caller_is_shown_with_its_number_in_e164_and_its_name(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, names: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the event as in the state; another phonebook gives the running call another name."""
    monkeypatch.setattr(phonebook, "LOOK_S", 0.05)
    async with bridge(settings(broker, pbx, names)):
        await settled(bus)
        pbx.ring("Anna Müller", "0123456", "")
        await eventually(lambda: remotes(bus) == [("+49711123456", "ACME", False)], "the caller has a name")
        await eventually(lambda: bus.types("anna") == ["incoming", "ringing"], "anna rings")
        assert bus.events("anna")[0]["call"]["remote"]["name"] == "ACME"
        await asyncio.to_thread(names.write_text, "0711 123456,ACME Ltd\n")
        await eventually(lambda: remotes(bus) == [("+49711123456", "ACME Ltd", False)], "it has another name")
        assert bus.types("anna") == ["incoming", "ringing"]
        pbx.ring("Bert O'Neil", "912", "Lift")
        bert = "innovaphone/hq/user/bert/state"
        await eventually(lambda: (bus.now(bert) or {}).get("call_state") == "ringing", "bert rings")
        assert bus.now(bert)["calls"][0]["remote"]["internal"] is True


async def test_a_disk_that_hangs_keeps_nobody_waiting(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, names: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bridge starts without the names, and has them when the disk answers."""
    monkeypatch.setattr(phonebook, "READ_S", 0.05)
    answers, content = threading.Event(), b"0711 123456,ACME\n"

    def hangs(_path: Path) -> bytes:
        answers.wait(30)
        return content

    monkeypatch.setattr(phonebook, "_content", hangs)
    try:
        async with bridge(settings(broker, pbx, names)):
            await settled(bus)
            pbx.ring("Anna Müller", "0123456", "Reception")
            await eventually(lambda: remotes(bus) == [("+49711123456", "Reception", False)], "anna rings")
            answers.set()
            await eventually(lambda: remotes(bus) == [("+49711123456", "ACME", False)], "it has the name")
    finally:
        answers.set()


async def test_after_a_restart_the_same_call_is_no_news(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, names: Path
) -> None:
    """What was kept is in the published form, what the PBX says is not: it is the same caller."""
    async with bridge(settings(broker, pbx, names)):
        await settled(bus)
        call = pbx.ring("Anna Müller", "0123456", "")
        await eventually(lambda: bus.types("anna") == ["incoming", "ringing"], "anna rings")
    async with bridge(settings(broker, pbx, names)):
        await settled(bus)
        assert remotes(bus) == [("+49711123456", "ACME", False)]
        call.hang_up()
        await eventually(lambda: bus.types("anna")[-1:] == ["missed"], "the call is missed")
        assert bus.types("anna") == ["incoming", "ringing", "missed"]


@pytest.mark.slow
async def test_a_reload_keeps_the_link_and_the_phonebook(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, names: Path, tmp_path: Path
) -> None:
    """Unless it is another file: then the link is replaced, and the running call has the name from there."""
    first = json.loads(json.dumps(settings(broker, pbx, names), default=str))
    program = Program(tmp_path, first)
    process = await program.start()
    await settled(bus)
    pbx.ring("Anna Müller", "0123456", "")
    await eventually(lambda: remotes(bus) == [("+49711123456", "ACME", False)], "the caller has a name")
    program.file.write_text(json.dumps({**first, "log": {"level": "debug"}}))
    process.send_signal(signal.SIGHUP)
    await eventually(lambda: "configuration reloaded" in program.log, "it is reloaded")
    await asyncio.to_thread(names.write_text, "0711 123456,ACME Ltd\n")
    await eventually(lambda: remotes(bus) == [("+49711123456", "ACME Ltd", False)], "it is still watched")
    assert len(pbx.requests("Initialize")) == 1

    other = tmp_path / "other.csv"
    other.write_text("0711 123456,Other\n")
    program.file.write_text(json.dumps({**first, "phonebook": {"file": str(other)}}))
    process.send_signal(signal.SIGHUP)
    await eventually(lambda: remotes(bus) == [("+49711123456", "Other", False)], "it has the other name")
    assert (await program.end(signal.SIGTERM))[0] == 0
