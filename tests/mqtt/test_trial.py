"""`check --connect` at brokers: it goes the way of the run, names what is missing, and disturbs nobody."""

from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge.check import check
from bridge.config import Config
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import bridge, configuration, pbx_section

ROOT = "innovaphone/hq"
MINE = f"{ROOT}/user/innovaphone-mqtt-check"
FILTERS = (f"{ROOT}/command/+", f"{ROOT}/user/+/command/+", f"{ROOT}/state", f"{ROOT}/user/+/state")
READ = "\n".join(f"topic read {each}" for each in FILTERS)


def settings(port: int, pbx: SimPbx, **mqtt: Any) -> dict[str, Any]:
    """The configuration of the broker's user `bridge`."""
    made = configuration(port, pbx_section(pbx))
    made["mqtt"] |= {"username": "bridge", "connect_timeout_s": 1, **mqtt}
    return made


async def said(port: int, pbx: SimPbx, **mqtt: Any) -> tuple[bool, str]:
    """What the check says of the broker."""
    return (await check(Config.model_validate(settings(port, pbx, **mqtt))))[1]


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("rights", "words"),
    [
        ("topic readwrite innovaphone/#", None),
        (f"topic write innovaphone/#\n{READ}", None),
        ("topic read innovaphone/#", f"{MINE}/state"),
        ("topic write innovaphone/#", f"{MINE}/state"),
        (f"topic deny {ROOT}/user/+/command/#\ntopic readwrite innovaphone/#", f"{MINE}/command/ping"),
        (f"topic deny {ROOT}/user/+/state\ntopic readwrite innovaphone/#", f"{MINE}/state"),
        (f"topic deny {ROOT}/state\ntopic readwrite innovaphone/#", f"{ROOT}/state"),
    ],
    ids=[
        "all",
        "as the README says",
        "no write",
        "no read",
        "no user commands",
        "no user states",
        "no state",
    ],
)
async def test_access_lists_that_swallow(
    tmp_path: Path, pbx: SimPbx, protocol: str, rights: str, words: str | None
) -> None:
    """Mosquitto acknowledges what it swallows, with MQTT 3.1.1; the check names the topic all the same."""
    (tmp_path / "rights").write_text(f"topic readwrite #\nuser bridge\n{rights}\n")
    async with (
        Mosquitto(tmp_path, f"acl_file {tmp_path / 'rights'}") as broker,
        Observer(broker.port) as bus,
    ):
        good, line = await said(broker.port, pbx, protocol=protocol)
        await bus.heard_all()
        left = {topic for topic in bus.tree if topic.endswith("/state")}
    assert good == (words is None), line
    assert (words or "may publish and hear commands") in line
    assert left == set()


@pytest.mark.broker
async def test_a_limited_broker_is_good_with_a_note(tmp_path: Path, pbx: SimPbx) -> None:
    """Without retained messages the bridge works, and the check says what does not hold."""
    async with Mosquitto(tmp_path, "retain_available false") as broker:
        for protocol in ("5", "3.1.1"):
            good, line = await said(broker.port, pbx, protocol=protocol)
            assert good
            assert "it keeps no retained messages" in line


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_running_bridge_is_not_disturbed(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str
) -> None:
    """Its tree stays as it is, nothing is carried out, and nobody is thrown out."""
    made = settings(broker.port, pbx, protocol=protocol)
    async with bridge(made):
        await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("settled"), "it is settled")
        await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "it is online")
        await bus.heard_all()
        before, echoes = dict(bus.tree), len(pbx.requests("Echo"))
        words = [each.payload for each in bus.messages if each.topic == f"{ROOT}/state"]
        good, line = (await check(Config.model_validate(made)))[1]
        await bus.heard_all()
        after = dict(bus.tree)
        assert good, line
        assert [each.payload for each in bus.messages if each.topic == f"{ROOT}/state"] == words
        lasting = {topic for topic in (*before, *after) if topic.endswith(("/state", "/info"))}
        assert {topic: before.get(topic) for topic in lasting} == {
            topic: after.get(topic) for topic in lasting
        }
        assert len(pbx.requests("Echo")) == echoes
        assert {each["code"] for each in bus.replies("ping")} <= {"expired", "unknown_user", "invalid"}


@pytest.mark.parametrize("denied", range(4))
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_refused_filter_is_named(pbx: SimPbx, denied: int, protocol: str) -> None:
    """In the check, and for what the bridge needs all the time in the run."""
    codes = tuple(0x87 if protocol == "5" else 0x80 for _ in range(1))
    async with Peer(Habits(suback_codes=(0,) * denied + codes)) as peer:
        good, line = await said(peer.port, pbx, protocol=protocol)
    assert (good, f"refuses the subscription to {FILTERS[denied]}:" in line) == (False, True), line


async def test_the_run_names_the_refused_filter(pbx: SimPbx) -> None:
    """The log line of the failure has it."""
    with structlog.testing.capture_logs() as log:
        async with Peer(Habits(suback_codes=(0, 0x87))) as peer, bridge(settings(peer.port, pbx)):
            await eventually(lambda: [each for each in log if each["event"] == "mqtt down"], "it is refused")
    reasons = [each["reason"] for each in log if each["event"] == "mqtt down"]
    assert f"refuses the subscription to {FILTERS[3]}:" in reasons[0]


@pytest.mark.parametrize("topic", [f"{MINE}/state", f"{MINE}/event", f"{ROOT}/command/ping", f"{ROOT}/state"])
async def test_a_broker_that_closes_at_a_publish(pbx: SimPbx, topic: str) -> None:
    """The topic is named."""
    async with Peer(Habits(closes_at=frozenset({topic}))) as peer:
        good, line = await said(peer.port, pbx, protocol="3.1.1")
    assert (good, f"at the publish to {topic}" in line) == (False, True), line


async def test_a_broker_that_acknowledges_nothing(pbx: SimPbx) -> None:
    """Said after the time that is configured."""
    async with Peer(Habits(puback_s=None)) as peer:
        good, line = await said(peer.port, pbx)
    assert (good, "acknowledges no message on" in line) == (False, True), line


async def test_dots_and_silence_are_noted(pbx: SimPbx) -> None:
    """A broker that turns dots into slashes."""
    async with Peer(Habits(dots_become_slashes=True)) as peer:
        good, line = await said(peer.port, pbx)
    assert (good, "set mqtt.encode_dots: true" in line) == (True, True), line


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("missing", [0, 1, 2])
async def test_a_broker_that_closes_after_a_refusal(pbx: SimPbx, protocol: str, missing: int) -> None:
    """What the bridge need not read may be refused so, too: the rest is tried all the same."""
    unread = (f"{ROOT}/response/check", f"{ROOT}/dot.check", f"{MINE}/event")
    for refused in (frozenset(unread[missing:]), frozenset(unread[: missing + 1])):
        async with Peer(Habits(refuses=refused, closes_after_refusal=True)) as peer:
            good, line = await said(peer.port, pbx, protocol=protocol)
            asked = {each.topic_filter for each in peer.subscribed}
        assert good, line
        assert "whether events and replies arrive is not known" in line
        assert set(unread) - refused <= asked
