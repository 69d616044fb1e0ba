"""Calls with numbers that occur nowhere else, and a search for them in everything that leaves the bridge."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.faults import Fault
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.pages import get
from tests.running import Program, configuration, pbx_section

pytestmark = [pytest.mark.broker, pytest.mark.slow]
ROOT = "innovaphone/hq"
ANNA, BERT = f"{ROOT}/user/anna/state", f"{ROOT}/user/bert/state"
CALLER, DIALLED, DENIED, REFUSED = "07031987654", "08955443322", "0900667788", "0711224466"
NAME, STRANGER, NOBODY = "Quirin Zwackelmann", "Walpurga Unbekannt", "kreszentia"
"""A caller; whom commands call; a number and a name that they may not; a user who is not there."""
WORDS = (
    *(number[:-3] for number in (CALLER, DIALLED, DENIED, REFUSED)),
    *NAME.split(),
    *STRANGER.split(),
    NOBODY,
)
PAGES = ("/", "/status", "/config", "/metrics", "/healthz", "/readyz")
COMMANDS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("call", {"user": "anna", "number": DENIED}, "number_not_allowed"),
    ("call", {"user": "anna", "name": STRANGER}, "number_not_allowed"),
    ("call", {"user": "anna", "to_user": NOBODY}, "unknown_user"),
    ("call", {"user": NOBODY, "number": DIALLED}, "unknown_user"),
    ("call", {"user": "anna", "number": REFUSED}, "pbx_error"),
    ("calls", {"user": "anna"}, "ok"),
    ("call", {"user": "bert", "number": DIALLED}, "ok"),
)
MODES = [("full", True), ("masked", True), ("masked", False), ("hashed", False), ("off", True)]
"""How much is shown, and whether there is a state directory."""


def settings(port: int, pbx: SimPbx, folder: Path, web: int, mode: str, *, keeps: bool) -> dict[str, Any]:
    """Everything is on that could tell a number."""
    key = folder / "privacy.key"
    key.write_text("not a secret in a test\n")
    key.chmod(0o600)
    return {
        **configuration(port, pbx_section(pbx)),
        "commands": {"allow": ["basic", "query"], "numbers": {"deny": ["0900*"]}},
        "privacy": {"numbers": mode, "key_file": str(key)},
        "homeassistant": {"discovery": "device", "users": [{"type": "ep"}]},
        "http": {"listen": f"127.0.0.1:{web}"},
        "log": {"level": "debug", "format": "json"},
        **({"state_dir": str(folder / "state")} if keeps else {}),
    }


@pytest.mark.parametrize(("mode", "keeps"), MODES)
async def test_what_is_hidden_is_nowhere(
    broker: Mosquitto,
    bus: Observer,
    pbx: SimPbx,
    tmp_path: Path,
    mode: str,
    keeps: bool,  # noqa: FBT001  (a case)
) -> None:
    """Neither on the bus nor in the log, on a page, in a metric or a file, before or after a restart.

    Without privacy it is in all of them that know calls: else the search would prove nothing.
    """
    web = free_port()
    program = Program(tmp_path, settings(broker.port, pbx, tmp_path, web, mode, keeps=keeps))
    await program.start()
    await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("settled"), "it is settled")
    await _scenes(pbx, bus)
    for count, (verb, request, code) in enumerate(COMMANDS, 1):
        pbx.faults.add(Fault("fault", "UserCall", text=f"no route to {REFUSED}", about=REFUSED))
        bus.publish(f"{ROOT}/command/{verb}", {"id": f"p-{count}", **request})
        await eventually(lambda so_far=count: _answers(bus) == so_far, f"a reply to {request}")  # type: ignore[misc]
        assert _last(bus, verb).get("code", "ok") == code
    before = bus.now(ANNA)
    pages = " ".join([(await asyncio.to_thread(get, web, path))[1] for path in PAGES])
    await program.end(signal.SIGTERM)
    files = _files(tmp_path / "state")
    told = len(bus.events("anna"))
    await program.start()
    await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("settled"), "it is settled again")
    await bus.heard_all()
    after = bus.now(ANNA)
    await program.end(signal.SIGTERM)

    assert bus.events("anna")[told:] == [], "nothing happened"
    assert (after["last_call"], after["missed"]) == (before["last_call"], 1)
    assert [call["remote"] for call in after["calls"]] == [call["remote"] for call in before["calls"]]
    places = {"bus": _bus(bus), "log": program.whole_log, "files": files + _files(tmp_path / "state")}
    found = {place: [word for word in WORDS if word in text] for place, text in places.items()}
    assert bool(files) == keeps
    if mode == "full":
        quoted = [*WORDS[:2], *WORDS[4:]]
        assert found == {"bus": quoted, "log": [*WORDS[1:4], *WORDS[6:]], "files": [*WORDS[:2], *WORDS[4:6]]}
    else:
        assert found == {"bus": [], "log": [], "files": []}
    assert [word for word in WORDS if word in pages] == []


async def _scenes(pbx: SimPbx, bus: Observer) -> None:
    """Anna misses a call, diverts another, and has one that stays."""
    missed = pbx.ring("Anna Müller", CALLER, NAME)
    await eventually(lambda: "ringing" in bus.types("anna"), "anna rings")
    missed.hang_up()
    await eventually(lambda: "missed" in bus.types("anna"), "anna has missed it")
    diverted = pbx.ring("Anna Müller", CALLER, NAME)
    diverted.divert("Anna Müller", "Bert O'Neil")
    await eventually(lambda: "ringing" in bus.types("bert"), "bert rings")
    diverted.hang_up()
    await eventually(lambda: "missed" in bus.types("bert"), "bert has missed it")
    pbx.ring("Anna Müller", CALLER, NAME).answer()
    await eventually(lambda: "answered" in bus.types("anna"), "anna talks")


def _answers(bus: Observer) -> int:
    return len(bus.replies("call")) + len(bus.replies("calls"))


def _last(bus: Observer, verb: str) -> Any:
    return bus.replies(verb)[-1]


def _bus(bus: Observer) -> str:
    """Everything but the requests themselves, which are not the bridge's."""
    said = (each for each in bus.messages if "/command/" not in each.topic)
    return " ".join(f"{each.topic} {each.payload.decode()} {each.correlation!r}" for each in said)


def _files(folder: Path) -> str:
    return " ".join(path.read_bytes().decode(errors="replace") for path in _all(folder))


def _all(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
