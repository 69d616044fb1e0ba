"""SIGHUP: the configuration is read anew; what did not change is not touched; a broken one is left."""

import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.auth import Account
from bridge.sim.faults import Fault
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.proxy import Proxy
from tests.running import FAST, STAFF, Program, configuration, pbx_section

pytestmark = pytest.mark.broker


@pytest.fixture
async def branch() -> AsyncIterator[SimPbx]:
    """A second PBX."""
    async with SimPbx(STAFF, FAST) as running:
        yield running


class Reloaded(Program):
    """The program, and its configuration file rewritten while it runs."""

    async def reload(self, settings: dict[str, Any] | str) -> None:
        """Write a new configuration and send SIGHUP."""
        text = settings if isinstance(settings, str) else json.dumps(settings)
        self.file.write_text(text)
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)


async def settled(bus: Observer, *pbxs: str) -> None:
    """These PBXs are online and their calls known."""
    infos = [f"innovaphone/{pbx}/info" for pbx in pbxs]
    await eventually(lambda: all((bus.now(info) or {}).get("settled") for info in infos), f"{pbxs} settled")


def told(bus: Observer) -> list[bytes]:
    """All that was ever said on the state topic of hq."""
    return [seen.payload for seen in bus.messages if seen.topic == "innovaphone/hq/state"]


async def test_only_what_changed_is_touched(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, branch: SimPbx, tmp_path: Path
) -> None:
    """One PBX stays, one gets other rules, one more comes; then one goes and its tree stays, offline."""
    first = [pbx_section(pbx), pbx_section(branch, name="branch")]
    program = Reloaded(tmp_path, configuration(broker.port, *first))
    await program.start()
    await settled(bus, "hq", "branch")
    before = told(bus)

    changed = pbx_section(branch, name="branch", users=[{"number": "21"}])
    await program.reload(configuration(broker.port, first[0], changed, pbx_section(branch, name="more")))
    await settled(bus, "more")
    await eventually(lambda: len(branch.requests("Initialize")) == 3, "branch was opened anew")
    await eventually(lambda: bus.now("innovaphone/branch/info")["users"] == 1, "the new rule holds")
    gone = "innovaphone/branch/user/bert/state"
    await eventually(lambda: gone not in bus.tree, "who is not published any more is cleared")

    await program.reload(configuration(broker.port, first[0]))
    await eventually(lambda: bus.now("innovaphone/more/state") == "offline", "the removed one is offline")
    assert "innovaphone/more/user/anna/state" in bus.tree
    assert len(pbx.requests("Initialize")) == 1
    assert told(bus) == before, "nothing was said of what did not change"
    code, log = await program.end(signal.SIGTERM)
    assert (code, "configuration reloaded" in log) == (0, True)


async def test_a_removed_pbx_can_be_cleared(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, branch: SimPbx, tmp_path: Path
) -> None:
    """With mqtt.clear_removed nothing retained is left of it."""
    both = [pbx_section(pbx), pbx_section(branch, name="branch")]
    program = Reloaded(tmp_path, configuration(broker.port, *both))
    await program.start()
    await settled(bus, "hq", "branch")
    settings = configuration(broker.port, both[0])
    settings["mqtt"]["clear_removed"] = True
    await program.reload(settings)

    def left() -> list[str]:
        """What is retained of it; replies never are."""
        ours = [one for one in bus.tree if one.startswith("innovaphone/branch/")]
        return [one for one in ours if "/response/" not in one]

    await eventually(lambda: not left(), "all of it is cleared")
    assert len(pbx.requests("Initialize")) == 1
    await program.end(signal.SIGTERM)
    assert not left()


async def test_discovery_follows_a_reload(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, branch: SimPbx, tmp_path: Path
) -> None:
    """A PBX that is cleared leaves nothing in Home Assistant, and nothing at all is left once it is off."""
    both = [pbx_section(pbx), pbx_section(branch, name="branch")]
    on = {"discovery": "device", "users": [{"number": "2*"}]}
    program = Reloaded(tmp_path, configuration(broker.port, *both, homeassistant=on))

    def left() -> dict[str, int]:
        """How many devices of each PBX are there."""
        topics = [topic.split("/")[2] for topic in bus.tree if topic.startswith("homeassistant/device/")]
        return dict(Counter(topic.split("__")[1] for topic in topics))

    await program.start()
    await eventually(lambda: left() == {"hq": 4, "branch": 4}, "both PBXs and their phones appear")
    settings = configuration(broker.port, both[0], homeassistant=on)
    settings["mqtt"]["clear_removed"] = True
    await program.reload(settings)
    await eventually(lambda: left() == {"hq": 4}, "the second one disappears")
    await program.reload({**settings, "homeassistant": {"discovery": "off"}})
    await eventually(lambda: left() == {}, "all disappear")
    await program.end(signal.SIGTERM)


BROKEN = {
    "no YAML": "pbxs: [",
    "wrong": "pbxs: []\nmqtt: {url: 5}\n",
    "a tag": "pbxs: []\nmqtt:\n  password: !!bool hunter2-canary\n",
    "another tag": "pbxs: []\nmqtt:\n  password: !!timestamp hunter2-canary\n",
    "an alias": "pbxs: []\nmqtt:\n  password: *hunter2-canary\n",
    "a URL": "pbxs: []\nmqtt: mqtt://user:hunter2-canary@host\n",
    "deep": "pbxs: " + "[" * 50_000,
    "a number": "pbxs: " + "9" * 50_000,
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_file_changes_nothing(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, broken: str
) -> None:
    """It is reported, and the next good one is taken."""
    good = configuration(broker.port, pbx_section(pbx))
    program = Reloaded(tmp_path, good)
    await program.start()
    await settled(bus, "hq")
    await program.reload(BROKEN[broken])
    pbx.ring("Anna M\u00fcller", "1")
    await eventually(lambda: "ringing" in bus.types("anna"), "the bridge goes on")
    await program.reload(good)
    bus.publish("innovaphone/hq/command/ping", {"id": "1"})
    await eventually(lambda: bus.replies("ping"), "the bridge obeys")
    code, log = await program.end(signal.SIGTERM)
    assert (code, "configuration not reloaded" in log) == (0, True)
    assert not any(piece in log for piece in ("hunter2", "unter2-c", "canary"))
    assert len(pbx.requests("Initialize")) == 1


async def test_a_new_secret_in_a_file_is_read(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """The PBX has a new password, the file too: one SIGHUP mends the link at once."""
    secret = tmp_path / "hq.secret"
    secret.write_text("old")
    secret.chmod(0o600)
    options = replace(FAST, account=Account("admin", "new"))
    async with SimPbx(STAFF, options) as pbx:
        section = pbx_section(pbx, password_file=str(secret))
        del section["password"]
        settings = configuration(broker.port, section)
        program = Reloaded(tmp_path, settings)
        await program.start()
        info = "innovaphone/hq/info"
        await eventually(lambda: (bus.now(info) or {}).get("link") == "rejected", "the password is wrong")
        secret.write_text("new")
        await program.reload(settings)
        await settled(bus, "hq")
        code, log = await program.end(signal.SIGTERM)
    assert code == 0
    assert "new" not in [line.get("password") for line in map(json.loads, log.splitlines())]


@pytest.mark.parametrize("durable", [False, True])
async def test_nothing_that_waits_is_lost_by_a_reload(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, *, durable: bool
) -> None:
    """The broker is away, the link is replaced: the events come all the same.

    There was no state directory before, and there is one behind the reload or not.

    The bridge is let in after the observer: events that nobody hears are gone.
    """
    async with Proxy(broker.port) as proxy:
        program = Reloaded(tmp_path, configuration(proxy.port, pbx_section(pbx)))
        await program.start()
        await settled(bus, "hq")
        await bus.heard_all()
        before = len(bus.events("anna"))
        proxy.refuse()
        proxy.reset()
        await broker.kill()
        pbx.ring("Anna M\u00fcller", "0123")
        await eventually(lambda: pbx.sessions.up_to_date, "the bridge has heard of it")
        more = {"state_dir": str(tmp_path / "state")} if durable else {}
        await program.reload(configuration(proxy.port, pbx_section(pbx, end_grace_s=0.2), **more))
        await eventually(lambda: pbx.requests("End"), "the old link has ended")
        await broker.start()
        async with Observer(broker.port) as fresh:
            proxy.listen()
            await eventually(lambda: "ringing" in fresh.types("anna"), "the events came")
            first = fresh.events("anna")[0]
            assert (first["event_type"], first["seq"], first["queued"]) == ("incoming", before + 1, True)
            await program.end(signal.SIGTERM)


async def test_a_reload_answers_what_was_let_through(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """A PBX hangs over a call, another one waits, the configuration changes: each gets its one reply."""
    program = Reloaded(tmp_path, configuration(broker.port, pbx_section(pbx)))
    await program.start()
    await settled(bus, "hq")
    pbx.faults.add(Fault("hang", "UserCall"))
    for name in ("c-1", "c-2"):
        bus.publish("innovaphone/hq/user/anna/command/call", {"id": name, "number": "0800123"})
    await eventually(lambda: pbx.requests("UserCall"), "the PBX is asked")
    await program.reload(configuration(broker.port, pbx_section(pbx, users=[{"number": "2?"}])))
    await eventually(lambda: len(bus.replies("call")) == 2, "both are answered")
    codes = {reply["id"]: (reply["code"], reply["retryable"]) for reply in bus.replies("call")}
    assert codes == {"c-1": ("timeout", False), "c-2": ("pbx_offline", True)}
    await settled(bus, "hq")
    bus.publish("innovaphone/hq/user/anna/command/call", {"id": "c-1", "number": "0800123"})
    bus.publish("innovaphone/hq/user/anna/command/call", {"id": "c-2", "number": "0800123"})
    await eventually(lambda: len(bus.replies("call")) == 4, "both are answered again")
    assert sorted(reply.get("code", "ok") for reply in bus.replies("call")[2:]) == ["ok", "timeout"]
    await program.end(signal.SIGTERM)
