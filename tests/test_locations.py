"""`locations: auto`: the PBXs of a system are found, named, served and given up; a user appears once."""

import asyncio
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from bridge.core.shard import shard_of
from bridge.locations.kept import KeptAddresses
from bridge.sim.auth import Account
from bridge.sim.model import SimUser
from bridge.sim.system import SimSystem
from tests.bus import Mosquitto, Observer, eventually
from tests.running import EVERYBODY, FAST, PEOPLE, Program, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
QUICK = {"hosts": ["127.0.0.1:*"], "grace_s": 0.3, "ask_s": 0.2}


@pytest.fixture
async def system() -> AsyncIterator[SimSystem]:
    """A master with Anna, Berlin with Bert, Wien with Carla."""
    async with SimSystem(PEOPLE, FAST) as running:
        yield running


def settings(port: int, system: SimSystem, **locations: Any) -> dict[str, Any]:
    """One entry, for the master."""
    return configuration(port, pbx_section(system.master, locations={**QUICK, **locations}))


def users(bus: Observer, pbx: str) -> set[str]:
    """The users of a PBX on the bus."""
    start, end = f"innovaphone/{pbx}/user/", "/state"
    topics = {topic for topic in bus.tree if topic.startswith(start) and topic.endswith(end)}
    return {topic.removeprefix(start).removesuffix(end) for topic in topics}


async def served(bus: Observer, **expected: str) -> None:
    """These PBXs, `hq_berlin` for `hq-berlin`, are online with these users, and no other PBX is."""
    wanted = {name.replace("_", "-"): set(those.split()) for name, those in expected.items()}

    def online() -> set[str]:
        topics = (topic.split("/") for topic in bus.tree if bus.now(topic) == "online")
        return {pbx for _, pbx, *rest in topics if rest == ["state"]}

    def settled(pbx: str) -> bool:
        return bool((bus.now(f"innovaphone/{pbx}/info") or {}).get("settled"))

    await eventually(lambda: online() == set(wanted), f"{set(wanted)} are online")
    await eventually(lambda: {pbx: users(bus, pbx) for pbx in wanted} == wanted, f"{wanted}")
    await eventually(lambda: all(map(settled, wanted)), "the calls are known")


async def test_locations_are_found_and_each_user_appears_once(
    broker: Mosquitto, bus: Observer, system: SimSystem
) -> None:
    """With their calls, which the PBX of their location alone reports; and commands work there."""
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        system.home("Bert").ring("Bert", "0123")
        await eventually(lambda: "ringing" in bus.types("bert", "hq-berlin"), "the call is seen")
        told = [seen.topic for seen in bus.messages if seen.topic.endswith("/bert/event")]
        assert set(told) == {"innovaphone/hq-berlin/user/bert/event"}
        masters = {pbx: bus.now(f"innovaphone/{pbx}/info")["master"] for pbx in ("hq", "hq-berlin")}
        assert masters == {"hq": None, "hq-berlin": {"pbx": "hq", "location": "Berlin"}}
        bus.publish("innovaphone/hq-wien/user/carla/command/call", {"id": "1", "number": "0800"})
        await eventually(lambda: system.home("Carla").requests("UserCall"), "the command reaches its PBX")
    assert {bus.now(f"innovaphone/{pbx}/state") for pbx in ("hq", "hq-berlin", "hq-wien")} == {"offline"}


@pytest.mark.parametrize("clear", [False, True])
async def test_a_location_comes_and_goes(
    broker: Mosquitto, bus: Observer, system: SimSystem, *, clear: bool
) -> None:
    """It comes with its first user and goes some time after its last one, as a PBX that was removed."""
    await system.open("Oslo")
    wanted = settings(broker.port, system)
    wanted["mqtt"]["clear_removed"] = clear
    async with bridge(wanted):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        system.move("Anna", "Oslo")
        await served(bus, hq="api", hq_berlin="bert", hq_wien="carla", hq_oslo="anna")
        system.move("Carla", "Berlin")
        await served(bus, hq="api", hq_berlin="bert carla", hq_oslo="anna")
        link = {f"innovaphone/hq-wien/{leaf}" for leaf in ("state", "info")}
        await eventually(lambda: link.isdisjoint(bus.tree) is clear, "the topics of the link")
        assert users(bus, "hq-wien") == set()


async def test_a_renamed_location_is_another_one(broker: Mosquitto, bus: Observer, system: SimSystem) -> None:
    """Its PBX gets the new name; while it has both, the old one stays."""
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        await system.close("Wien")
        await system.open("Linz")
        system.move("Carla", "Linz")
        await served(bus, hq="api anna", hq_berlin="bert", hq_linz="carla")


async def test_a_location_may_be_unreachable_and_come_back_elsewhere(
    broker: Mosquitto, bus: Observer, system: SimSystem
) -> None:
    """The others do not notice. Its topics say why, and its address is asked for again."""
    await system.pbxs["Wien"].crash()
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna", hq_berlin="bert")
        info = "innovaphone/hq-wien/info"
        await eventually(lambda: (bus.now(info) or {}).get("link") == "unreachable", "the reason is told")
        await system.close("Wien")
        await system.open("Wien")
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
    assert len(system.pbxs["Berlin"].requests("Initialize")) == 1


async def test_a_master_that_is_away_stops_no_location(
    broker: Mosquitto, bus: Observer, system: SimSystem
) -> None:
    """What happened meanwhile is seen afterwards."""
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        await system.master.crash()
        await eventually(lambda: bus.now("innovaphone/hq/state") == "offline", "the master is away")
        system.home("Bert").ring("Bert", "0123")
        await eventually(lambda: "ringing" in bus.types("bert", "hq-berlin"), "its locations work")
        system.move("Carla", "Berlin")
        await system.master.start_again()
        await served(bus, hq="api anna", hq_berlin="bert carla")
    assert [len(system.pbxs[each].requests("Initialize")) for each in ("Berlin", "Wien")] == [1, 1]


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/PBX0/user.soap",
        "https://127.0.0.1:1/PBX0/user.soap",
        "http://user:hunter2@127.0.0.1/PBX0/user.soap",
        "http://127.0.0.1/redis?x=.soap",
        "file:///etc/passwd",
        "",
    ],
)
async def test_an_address_that_may_not_be_used_is_left_out(
    broker: Mosquitto, bus: Observer, system: SimSystem, url: str
) -> None:
    """The login goes nowhere but where the configuration allows; the page for people says why."""
    system.master.addresses["Wien"] = url
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna", hq_berlin="bert")
        await eventually(lambda: len(system.master.requests("LocationUrl")) > 3, "it is asked for again")
        assert "innovaphone/hq-wien/state" not in bus.tree
        system.master.addresses["Wien"] = system.pbxs["Wien"].soap_url
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        system.master.addresses["Wien"] = url
        with capture_logs() as logs:
            asked = len(system.master.requests("LocationUrl")) + 4
            await eventually(lambda: len(system.master.requests("LocationUrl")) > asked, "it is asked again")
            await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
        assert "location left out" not in [line["event"] for line in logs]


async def test_an_alias_of_the_master_holds_up_no_location(
    broker: Mosquitto, bus: Observer, system: SimSystem
) -> None:
    """It needs a new list, which ends the session: not before the master was asked for the others."""
    system.move("Anna", "Aachen")
    system.master.addresses["Aachen"] = system.master.soap_url
    async with bridge(settings(broker.port, system, ask_s=60)):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")


async def test_a_start_without_the_master(
    broker: Mosquitto, bus: Observer, system: SimSystem, tmp_path: Path
) -> None:
    """With a state directory the locations of the last run are served; what has gone is then erased."""
    wanted = settings(broker.port, system)
    wanted["mqtt"]["clear_removed"] = True
    wanted["state_dir"] = str(tmp_path / "state")
    async with bridge(wanted):
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
    await system.master.crash()
    system.move("Carla", "Berlin")
    async with bridge(wanted):
        online = "innovaphone/hq-berlin/state"
        await eventually(lambda: bus.now(online) == "online", "Berlin is served without the master")
        await system.master.start_again()
        await served(bus, hq="api anna", hq_berlin="bert carla")
        await eventually(lambda: "innovaphone/hq-wien/state" not in bus.tree, "Wien is erased")


@pytest.mark.parametrize("content", ["", "[]", '{"Berlin": 1}', "[" * 100_000, "[" + " " * 1_048_576 + "]"])
def test_a_file_of_locations_that_is_no_use(tmp_path: Path, content: str) -> None:
    """It is as good as none, and the next one replaces it."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    kept = KeptAddresses(folder, "hq")
    (folder / "hq.locations.json").write_text(content)
    (folder / "hq.locations.json").chmod(0o600)
    assert kept.read() == {}
    kept.write({"Berlin": "http://b"})
    assert kept.read() == {"Berlin": "http://b"}
    assert KeptAddresses(None, "hq").read() == {}


async def test_what_differs_at_a_location(broker: Mosquitto, bus: Observer, system: SimSystem) -> None:
    """A name, an address and an account of its own; and one that is not wanted."""
    await system.open("Oslo", Account("oslo", "other"))
    system.put(SimUser("Dora", "dora", "24", groups=EVERYBODY, loc="Oslo"))
    await eventually(lambda: "Dora" in system.pbxs["Oslo"].exchange.users, "Dora is there")
    del system.master.addresses["Oslo"]
    overrides = [
        {"location": "Oslo", "name": "north", "url": system.pbxs["Oslo"].soap_url}
        | {"username": "oslo", "password": "other"},
        {"location": "Wien", "ignore": True},
    ]
    async with bridge(settings(broker.port, system, overrides=overrides)):
        await served(bus, hq="api anna", hq_berlin="bert", north="dora")


async def test_a_pbx_with_an_entry_of_its_own_is_not_found_again(
    broker: Mosquitto, bus: Observer, system: SimSystem
) -> None:
    """It keeps its name and its settings."""
    wanted = settings(broker.port, system)
    wanted["pbxs"].append(pbx_section(system.pbxs["Berlin"], name="berlin", users=[{"name": "Bert"}]))
    async with bridge(wanted):
        await served(bus, hq="api anna", berlin="bert", hq_wien="carla")


async def test_a_system_that_leaves_the_master_out(broker: Mosquitto, bus: Observer) -> None:
    """There an empty location means the master at every PBX, which the configuration has to say."""
    async with SimSystem(PEOPLE, FAST, empty_is_master=True) as system:
        wanted = settings(broker.port, system, empty="master")
        async with bridge(wanted):
            await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")


async def test_a_master_has_two_names(broker: Mosquitto, bus: Observer, system: SimSystem) -> None:
    """A location whose address is that of the master is no other PBX."""
    system.master.addresses["Wien"] = system.master.soap_url
    async with bridge(settings(broker.port, system)):
        await served(bus, hq="api anna carla", hq_berlin="bert")


async def test_a_reload_touches_no_location_that_stays(
    broker: Mosquitto, bus: Observer, system: SimSystem, tmp_path: Path
) -> None:
    """Nor the master: how locations are found is not its link's concern."""
    program = Program(tmp_path, settings(broker.port, system))
    await program.start()
    await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
    ignoring = settings(broker.port, system, overrides=[{"location": "Wien", "ignore": True}])
    program.file.write_text(json.dumps(ignoring))
    assert program.process is not None
    program.process.send_signal(signal.SIGHUP)
    await served(bus, hq="api anna", hq_berlin="bert")
    program.file.write_text(json.dumps(configuration(broker.port, pbx_section(system.master))))
    program.process.send_signal(signal.SIGHUP)
    await served(bus, hq="api anna bert carla")
    code, log = await program.end(signal.SIGTERM)
    assert (code, log.count('"configuration reloaded"')) == (0, 2)
    counts = {name: len(pbx.requests("Initialize")) for name, pbx in system.pbxs.items()}
    assert counts == {"head": 2, "Berlin": 1, "Wien": 1}


async def test_the_shard_of_the_master_serves_its_locations(
    broker: Mosquitto, bus: Observer, system: SimSystem, tmp_path: Path
) -> None:
    """Also one whose name would belong to another shard: each PBX is served by one process."""
    assert [shard_of(name, 2) for name in ("hq", "hq-berlin", "hq-wien")] == [1, 0, 1]
    file = tmp_path / "bridge.yaml"
    file.write_text(json.dumps(settings(broker.port, system)))
    run = (sys.executable, "-m", "bridge", "run", "-c", str(file), "--shard")
    shards = [
        await asyncio.create_subprocess_exec(*run, f"{index}/2", stderr=asyncio.subprocess.DEVNULL)
        for index in range(2)
    ]
    try:
        await served(bus, hq="api anna", hq_berlin="bert", hq_wien="carla")
    finally:
        for shard in shards:
            shard.terminate()
        assert [await shard.wait() for shard in shards] == [0, 0]
    assert [len(pbx.requests("Initialize")) for pbx in system.pbxs.values()] == [1, 1, 1]


async def test_locations_over_https(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """The certificate of a location is verified as the master's is, or by a pin of its own."""
    ca, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with SimSystem(PEOPLE, replace(FAST, tls=context)) as system:
        overrides = [{"location": "Wien", "tls": {"sha256": "00" * 32}}]
        wanted = settings(broker.port, system, overrides=overrides)
        wanted["pbxs"][0]["tls"] = {"ca_file": str(tmp_path / "ca.pem")}
        async with bridge(wanted):
            await served(bus, hq="api anna", hq_berlin="bert")
            info = "innovaphone/hq-wien/info"
            await eventually(lambda: (bus.now(info) or {}).get("link") == "rejected", "the pin is wrong")
        assert [request.args["tls"] for request in system.master.requests("LocationUrl")][:1] == ["true"]
        assert system.pbxs["Wien"].log == []
