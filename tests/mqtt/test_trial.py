"""`check --connect` at brokers: it names each right that is missing or too many, and disturbs nobody."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge.check import Line, check
from bridge.config.schema import Config
from bridge.core.rights import CHECK
from bridge.sim.pbx import SimPbx
from tests.brokers.examples import EXAMPLES
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import bridge, configuration, pbx_section

ROOT = "innovaphone/hq"
MINE = f"{ROOT}/user/{CHECK}"
FILTERS = (f"{ROOT}/command/+", f"{ROOT}/user/+/command/+", f"{ROOT}/state", f"{ROOT}/user/+/state")
LIVE = (f"{ROOT}/state", f"{ROOT}/info")
USEFUL = (f"{ROOT}/response/ping", f"{ROOT}/dot.check")
"""Without reading these the bridge does all that it promises, at a usual broker."""
NEEDLESS = "has rights that the bridge does not need"
STATES = "speak for other PBXs (write innovaphone/<another PBX>/state)"
COMMANDS = "command other PBXs (write innovaphone/<another PBX>/command/...)"
ELSEWHERE, OTHER_INFO = "write outside of innovaphone/", "read innovaphone/branch/info"


def rights() -> Iterator[tuple[str, str]]:
    """Each right of the bridge in config/examples."""
    for line in (EXAMPLES / "bridge.acl").read_text(encoding="utf-8").splitlines():
        if line.startswith("topic "):
            _, access, topic = line.split()
            yield from ((each, topic) for each in ("read", "write") if each in access)


RIGHTS = tuple(rights())


def access_list(without: tuple[str, str] | None = None, *more: str) -> str:
    """The bridge's rights without one of them, and others."""
    lines = (f"topic {access} {topic}" for access, topic in RIGHTS if (access, topic) != without)
    return "\n".join(["user bridge", *lines, *more, "user observer", "topic readwrite #"])


def settings(port: int, pbx: SimPbx, **mqtt: Any) -> dict[str, Any]:
    """The configuration of the broker's user `bridge`."""
    made = configuration(port, pbx_section(pbx))
    made["mqtt"] |= {"username": "bridge", "connect_timeout_s": 1, **mqtt}
    return made


async def said(port: int, pbx: SimPbx, **mqtt: Any) -> list[Line]:
    """What the check says of the broker."""
    return (await check(Config.model_validate(settings(port, pbx, **mqtt))))[1:]


def one(lines: list[Line]) -> tuple[bool, str]:
    """The only line: whether it is good, and the text."""
    assert len(lines) == 1, lines
    return lines[0].word == "ok", lines[0].text


@contextlib.asynccontextmanager
async def limited(folder: Path, text: str, *more: str) -> AsyncIterator[tuple[Mosquitto, Observer]]:
    """Mosquitto with an access list, and an observer that may everything."""
    (folder / "rights").write_text(f"{text}\n")
    async with (
        Mosquitto(folder, f"acl_file {folder / 'rights'}", *more) as broker,
        Observer(broker.port, credentials=("observer", "")) as bus,
    ):
        yield broker, bus


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("missing", RIGHTS, ids=" ".join)
async def test_a_missing_right_is_named(
    tmp_path: Path, pbx: SimPbx, protocol: str, missing: tuple[str, str]
) -> None:
    """This one and no other, with the line to add; nothing stays behind."""
    access, topic = missing
    async with limited(tmp_path, access_list(missing)) as (broker, bus):
        lines = await said(broker.port, pbx, protocol=protocol)
        await bus.heard_all()
        assert not [
            each for each in bus.messages if each.payload and each.topic == f"{ROOT}/info" and each.retain
        ]
        async with Observer(broker.port, credentials=("observer", "")) as late:
            await late.heard_all()
            assert [each.topic for each in late.messages if each.topic.startswith("innovaphone/")] == []
    named = [line for line in lines if "user 'bridge' may not" in line.text]
    assert len(named) == 1, lines
    assert f"may not {access} {topic} (" in named[0].text
    assert f"acl_file: topic {access} {topic} (" in named[0].text
    useful = topic in USEFUL
    assert named[0].word == ("warn" if useful else "FAIL")
    rest = [line for line in lines if line not in named]
    if useful:
        assert [line.word for line in rest] == ["ok"]
        return
    unknown = {name for line in rest for name in line.text.partition(": not known: ")[2].split(", ")}
    assert {line.word for line in rest} <= {"warn"}
    assert unknown == untried(access, topic)


def untried(access: str, topic: str) -> set[str]:
    """What cannot be tried without a right: to read there, and what a running bridge may use."""
    if access == "read":
        return set()
    live = {f"{kind} {each}" for kind, each in RIGHTS if each in LIVE}
    reading = {f"read {each}" for kind, each in RIGHTS if (kind, each) == ("read", topic)}
    return (live | {f"read {ROOT}/response/ping"}) if topic == f"{ROOT}/response/+" else reading


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_all_of_them_are_enough(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """The example is good, and says no more than that."""
    async with limited(tmp_path, access_list()) as (broker, _):
        good, line = one(await said(broker.port, pbx, protocol=protocol))
    assert (good, line.endswith(f"MQTT {protocol}, may publish and hear commands")) == (True, True), line


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("more", "meanings"),
    [
        ("topic readwrite #", {STATES, COMMANDS, ELSEWHERE, OTHER_INFO}),
        ("topic readwrite innovaphone/#", {STATES, COMMANDS, OTHER_INFO}),
        ("topic write innovaphone/+/state", {STATES}),
        ("topic write innovaphone/+/command/+", {COMMANDS}),
        ("topic write $CONTROL/#", {"change the rights at the broker (write $CONTROL/...)"}),
        ("topic read $SYS/#", {"read $SYS/broker/version"}),
        ("topic read innovaphone/+/info", {OTHER_INFO}),
    ],
)
async def test_a_needless_right_is_named(
    tmp_path: Path, pbx: SimPbx, protocol: str, more: str, meanings: set[str]
) -> None:
    """This one and no other. The bridge can work: it is a warning."""
    async with limited(tmp_path, access_list(None, more)) as (broker, bus):
        bus.publish("innovaphone/branch/info", "{}", retain=True)
        lines = await said(broker.port, pbx, protocol=protocol)
    assert [line.word for line in lines] == ["ok", "warn"]
    told = lines[1].text.partition(f"user 'bridge' {NEEDLESS}: ")[2].partition("; ")[0]
    assert {*told.split(", ")} == meanings


@pytest.mark.broker
async def test_other_pbxs_of_the_configuration_are_no_strangers(tmp_path: Path, pbx: SimPbx) -> None:
    """The same user serves them all: what it reads of the others is its own."""
    both = "\n".join(each.replace("/hq/", "/branch/") for each in access_list().splitlines()[:-2])
    more = both.replace("user bridge", "topic read innovaphone/branch/info")
    async with limited(tmp_path, access_list(None, more)) as (broker, bus):
        bus.publish("innovaphone/branch/info", "{}", retain=True)
        made = settings(broker.port, pbx)
        made["pbxs"].append({**made["pbxs"][0], "name": "branch"})
        lines = await check(Config.model_validate(made))
    assert [line.word for line in lines] == ["ok"] * 4, lines


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_other_topics_for_replies(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """They are tried where nobody listens; one that is somebody's is left alone, and said to be not known."""
    patterns = ["home/+/reply", "work/reply-*", "else/#", "one/reply"]
    async with limited(tmp_path, access_list(None, "topic write home/+/reply", "topic write else/#")) as (
        broker,
        bus,
    ):
        made = settings(broker.port, pbx, protocol=protocol)
        made["commands"] = {"response_topics": patterns}
        lines = (await check(Config.model_validate(made)))[1:]
        made["commands"] = {"response_topics": ["home/+/reply", "one/reply"]}
        good = (await check(Config.model_validate(made)))[1:]
        await bus.heard_all()
    assert [line.word for line in lines] == ["FAIL", "warn"], lines
    assert lines[1].text.endswith(": not known: write one/reply")
    assert "may not write work/+ (replies, by commands.response_topics)" in lines[0].text
    assert [line.word for line in good] == ["ok"], good
    assert good[0].text.endswith("; not known: write one/reply")
    assert "one/reply" not in bus.tree


@pytest.mark.broker
async def test_a_limited_broker_is_good_with_a_note(tmp_path: Path, pbx: SimPbx) -> None:
    """Without retained messages the bridge works, and the check says what does not hold."""
    async with Mosquitto(tmp_path, "retain_available false") as broker:
        for protocol in ("5", "3.1.1"):
            lines = await said(broker.port, pbx, protocol=protocol)
            assert lines[0].word == "ok"
            assert "it keeps no retained messages" in lines[0].text


@pytest.mark.broker
@pytest.mark.parametrize("away", [False, True], ids=["online", "PBX away"])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_running_bridge_is_not_disturbed(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, protocol: str, *, away: bool
) -> None:
    """Its tree stays as it is, nothing is said there, nothing is carried out, and nobody is thrown out."""
    made = settings(broker.port, pbx, protocol=protocol)
    if away:
        made["pbxs"][0]["url"] = "http://127.0.0.1:1"
    async with bridge(made):
        link = "unreachable" if away else "online"
        await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("link") == link, f"it is {link}")
        if not away:
            await eventually(lambda: (bus.now(f"{ROOT}/info") or {}).get("settled"), "it is settled")
        await bus.heard_all()
        before, echoes = dict(bus.tree), len(pbx.requests("Echo"))
        before_count = len([each for each in bus.messages if each.topic in LIVE])
        lines = await said(broker.port, pbx, protocol=protocol)
        await bus.heard_all()
        after = dict(bus.tree)
        assert [line.word for line in lines] == ["ok", "warn"], lines  # there is no access list
        told = [each for each in bus.messages if each.topic in LIVE][before_count:]
        untried = "write innovaphone/hq/state, write innovaphone/hq/info"
        assert f"not tried, as a bridge serves the PBX: {untried}" in lines[0].text
        said_twice = [each for each in told if each.topic == f"{ROOT}/state"]  # it tries the PBX again
        assert {each.payload for each in said_twice} <= ({b"offline"} if away else set())
        assert {each.json["link"] for each in told if each not in said_twice} <= {link}
        lasting = {topic for topic in (*before, *after) if topic.endswith("/state")}
        assert {topic: before.get(topic) for topic in lasting} == {
            topic: after.get(topic) for topic in lasting
        }
        assert len(pbx.requests("Echo")) == echoes
        codes = {each["code"] for each in bus.replies("ping") if "verb" in each}
        assert codes == {"expired", "invalid"}  # a ping is not for a user


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_running_bridge_that_cannot_be_noticed(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """Neither its state nor its replies can be read: nothing is said in its name, for it could be wrong."""
    unreadable = (f"topic read {ROOT}/state", f"topic read {ROOT}/response/ping")
    rights = "\n".join(line for line in access_list().splitlines() if line not in unreadable)
    async with limited(tmp_path, rights) as (broker, bus):
        made = settings(broker.port, pbx, protocol=protocol)
        async with bridge(made):
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "it is online")
            lines = await said(broker.port, pbx, protocol=protocol)
            await bus.heard_all()
            words = [each.payload for each in bus.messages if each.topic == f"{ROOT}/state"]
    assert words[-1] == b"online"
    assert b"offline" not in words[words.index(b"online") :]
    assert [line.word for line in lines] == ["ok", "warn"], lines
    unknown = f"not known: write {ROOT}/state, read {ROOT}/state, write {ROOT}/info"
    assert lines[0].text.endswith(unknown)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_one_client_id_for_all(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """Said, with what follows: nothing for one PBX, but several links cannot work so."""
    async with limited(tmp_path, access_list(), "use_username_as_clientid true") as (broker, _):
        made = settings(broker.port, pbx, protocol=protocol)
        alone = (await check(Config.model_validate(made)))[1:]
        made["pbxs"].append({**made["pbxs"][0], "name": "branch"})
        both = await check(Config.model_validate(made))
    assert [line.word for line in alone] == ["ok", "warn"], alone
    assert "every client of this user the same client id" in alone[1].text
    assert [line.word for line in both] == ["ok", "FAIL", "ok", "FAIL"], both
    assert "every client of this user the same client id" in both[1].text


@pytest.mark.broker
async def test_one_client_id_and_a_bridge_that_runs(tmp_path: Path, pbx: SimPbx) -> None:
    """The check ends its connection, says so, and the bridge comes back."""
    async with limited(tmp_path, access_list(), "use_username_as_clientid true") as (broker, bus):
        made = settings(broker.port, pbx, protocol="3.1.1")
        async with bridge(made):
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "it is online")
            lines = await said(broker.port, pbx, protocol="3.1.1")
            await eventually(lambda: bus.now(f"{ROOT}/state") == "online", "it is online again")
    assert "this check has disconnected a running bridge" in str(lines)


@pytest.mark.parametrize(("code", "hint"), [(0x87, True), (0x85, True), (0x86, False)])
async def test_a_refused_client_id(pbx: SimPbx, code: int, *, hint: bool) -> None:
    """A broker may tie the user to one client id: then the check cannot have its own."""
    async with Peer(Habits(connack_code=code)) as peer:
        good, line = one(await said(peer.port, pbx, protocol="5"))
    assert not good
    assert ("like innovaphone-mqtt-hq-check-1: are they allowed?" in line) == hint, line


@pytest.mark.parametrize("denied", FILTERS)
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_refused_filter_is_named(pbx: SimPbx, denied: str, protocol: str) -> None:
    """A broker that says what it refuses."""
    async with Peer(Habits(refuses=frozenset({denied}))) as peer:
        lines = await said(peer.port, pbx, protocol=protocol)
    bad = [line.text for line in lines if line.word == "FAIL"]
    assert len(bad) == 1, lines
    assert f"may not read {denied} (" in bad[0]
    assert f"refuses the subscription to {denied};" in bad[0]


async def test_the_run_names_the_refused_filter(pbx: SimPbx) -> None:
    """The log line of the failure has it."""
    with structlog.testing.capture_logs() as log:
        async with Peer(Habits(suback_codes=(0, 0x87))) as peer, bridge(settings(peer.port, pbx)):
            await eventually(lambda: [each for each in log if each["event"] == "mqtt down"], "it is refused")
    reasons = [each["reason"] for each in log if each["event"] == "mqtt down"]
    assert f"refuses the subscription to {FILTERS[3]}:" in reasons[0]


@pytest.mark.parametrize("topic", [f"{MINE}/state", f"{MINE}/event", f"{ROOT}/command/ping", f"{ROOT}/state"])
async def test_a_broker_that_closes_at_a_publish(pbx: SimPbx, topic: str) -> None:
    """The topic is named, and the rest is tried all the same."""
    async with Peer(Habits(closes_at=frozenset({topic}))) as peer:
        lines = await said(peer.port, pbx, protocol="3.1.1")
    bad = [line.text for line in lines if line.word == "FAIL"]
    assert len(bad) == 1, lines
    assert f"ends the connection at the publish to {topic};" in bad[0]


async def test_a_broker_that_acknowledges_nothing(pbx: SimPbx) -> None:
    """Said after the time that is configured."""
    async with Peer(Habits(puback_s=None)) as peer:
        good, line = one(await said(peer.port, pbx))
    assert (good, "did not acknowledge a message on" in line) == (False, True), line


async def test_dots_and_silence_are_noted(pbx: SimPbx) -> None:
    """A broker that turns dots into slashes."""
    async with Peer(Habits(dots_become_slashes=True)) as peer:
        lines = await said(peer.port, pbx)
    assert (lines[0].word, "set mqtt.encode_dots: true" in lines[0].text) == ("ok", True), lines


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("missing", [USEFUL, USEFUL[:1], USEFUL[1:]])
async def test_a_broker_that_closes_after_a_refusal(
    pbx: SimPbx, protocol: str, missing: tuple[str, ...]
) -> None:
    """What the bridge need not read may be refused so, too: the rest is tried all the same."""
    async with Peer(Habits(refuses=frozenset(missing), closes_after_refusal=True)) as peer:
        lines = await said(peer.port, pbx, protocol=protocol)
        asked = {each.topic_filter for each in peer.subscribed}
    assert [line.word for line in lines] == ["ok", *("warn" for _ in missing), "warn"], lines
    assert [
        line.text.count(f"may not read {topic} ") for line, topic in zip(lines[1:], missing, strict=False)
    ] == [1 for _ in missing]
    assert {*FILTERS, *USEFUL} - {*missing} <= asked
