"""Verbs from the shell: against a running bridge, with each verb's fields, and what is told of mistakes."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from bridge.core.commands.fields import Flag, Number
from bridge.core.commands.verbs import VERBS
from bridge.errors import ConfigError
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.kit.shell import ask, command
from tests.running import bridge, configuration, pbx_section, program

ROOT = Path(__file__).parents[2]
HQ = "innovaphone/hq"
PING = f"{HQ}/command/ping"


def requests(bus: Observer) -> list[bytes]:
    """The pings so far."""
    return [seen.payload for seen in bus.messages if seen.topic == PING]


@pytest.mark.broker
async def test_commands_reach_the_bridge(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """By place and by name; a refusal is exit code 1 and says why; on the topic of the user too."""
    async with bridge(configuration(broker.port, pbx_section(pbx))):
        await eventually(lambda: (bus.now(f"{HQ}/info") or {}).get("settled"), "it is settled")
        code, placed = await ask(broker.port, "call", "anna", "08001234", "--anonymous")
        assert (code, placed["status"], placed["verb"]) == (0, "ok", "call")
        assert pbx.requests("UserCall")[0].args["srce164"] == "r"
        code, refused = await ask(broker.port, "call", "anja", "--number", "08001234")
        assert (code, refused["code"]) == (1, "unknown_user")
        code, ended = await ask(broker.port, "clear", "--call", placed["call"], "--cause", "17")
        assert (code, ended["status"]) == (0, "ok")
        assert pbx.requests("UserClear")[0].args["cause"] == "17"
        code, away = await ask(broker.port, "--user-topic", "presence", "carla/x", "away", "--note", "lunch")
        assert (code, away["status"]) == (0, "ok")

    assert [entry.activity for entry in pbx.exchange.users["Carla & Co"].presence] == ["away"]


@pytest.mark.slow
@pytest.mark.broker
async def test_the_program_reads_its_configuration_file(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """Its brokers, of which the first is away, and its only PBX; stdout has nothing but the reply."""
    file = tmp_path / "b.yaml"
    settings = configuration(broker.port, pbx_section(pbx))
    settings["mqtt"] = {"urls": [f"mqtt://127.0.0.1:{free_port()}", settings["mqtt"]["url"]]}
    file.write_text(yaml.safe_dump(settings))
    async with bridge(settings):
        await eventually(lambda: (bus.now(f"{HQ}/info") or {}).get("settled"), "it is settled")
        code, output, errors = await program("command", "-c", str(file), "ping")

    assert (code, json.loads(output)["status"], errors) == (0, "ok", "")


@pytest.mark.broker
async def test_nobody_answers(broker: Mosquitto) -> None:
    """Exit code 2, and one sentence; the request is sent once, and what is no reply to it is not taken."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    async with Observer(broker.port, topics=PING) as bus:
        asked = asyncio.create_task(
            asyncio.to_thread(command, "--url", url, "--pbx", "hq", "--timeout", "0.5", "ping")
        )
        await eventually(lambda: requests(bus), "the request is sent")
        for payload in ({"id": "other", "status": "ok"}, "no JSON", "[]"):
            bus.publish(f"innovaphone/reply/shell/{json.loads(requests(bus)[0])['id']}", payload)
        code, output, errors = await asked
        await bus.heard_all()

        assert (code, output, len(requests(bus))) == (2, "", 1)
        assert errors.startswith("no reply on innovaphone/reply/shell/")
        assert " within 0.5 s: does the bridge run" in errors


@pytest.mark.broker
async def test_a_person_with_few_rights(pbx: SimPbx, tmp_path: Path) -> None:
    """Has a name and a password of its own, and the rights of config/examples: to read its own replies."""
    rights = tmp_path / "acl"
    rights.write_text(f"user bridge\ntopic readwrite #\n{(ROOT / 'config/examples/people.acl').read_text()}")
    secret = tmp_path / "secret"
    secret.write_text("anna-desk-secret")
    secret.chmod(0o600)
    users = tmp_path / "users"
    users.write_text("".join(f"{name}:{name}-secret\n" for name in ("bridge", "anna-desk")))
    users.chmod(0o600)
    await asyncio.to_thread(subprocess.run, ["mosquitto_passwd", "-U", str(users)], check=True)
    broker = Mosquitto(tmp_path, f"password_file {users}", f"acl_file {rights}", anonymous=False)
    async with broker:
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"] |= {"username": "bridge", "password": "bridge-secret"}
        file = tmp_path / "b.yaml"
        file.write_text(yaml.safe_dump(settings))
        person = ("-c", str(file), "--username", "anna-desk", "--password-file", str(secret))
        async with bridge(settings), Observer(broker.port, credentials=("bridge", "bridge-secret")) as bus:
            await eventually(lambda: (bus.now(f"{HQ}/info") or {}).get("settled"), "it is settled")
            own = await asyncio.to_thread(command, *person, "--user-topic", "presence", "anna", "away")
            other = await asyncio.to_thread(
                command, *person, "--timeout", "1", "--user-topic", "presence", "bert", "away"
            )

    assert (own[0], json.loads(own[1])["status"]) == (0, "ok")
    assert (other[0], other[1]) == (2, "")
    assert [entry.activity for entry in pbx.exchange.users["Anna Müller"].presence] == ["away"]
    assert pbx.exchange.users["Bert O'Neil"].presence == ()


@pytest.mark.broker
async def test_a_reply_cannot_reach_into_the_terminal(broker: Mosquitto) -> None:
    """What a terminal obeys, or no encoding has, is escaped; letters stay as they are."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    hostile = "Österreich \x9b2J\x7f \u202e\ud800 😀"
    async with Observer(broker.port, topics=PING) as bus:
        asked = asyncio.create_task(asyncio.to_thread(command, "--url", url, "--pbx", "hq", "ping"))
        await eventually(lambda: requests(bus), "the request is sent")
        identity = json.loads(requests(bus)[0])["id"]
        bus.publish(f"innovaphone/reply/shell/{identity}", {"id": identity, "status": "ok", "text": hostile})
        code, output, _ = await asked

    assert (code, json.loads(output)["text"]) == (0, hostile)
    assert all(each.isprintable() or each == "\n" for each in output)
    assert "Österreich \\u009b2J\\u007f \\u202e\\ud800 😀" in output


def test_no_broker() -> None:
    """Exit code 2, and where it was looked for."""
    port = free_port()
    code, output, errors = command("--url", f"mqtt://127.0.0.1:{port}", "--pbx", "hq", "ping")

    assert (code, output) == (2, "")
    assert f"127.0.0.1:{port} cannot be reached" in errors


def test_a_pbx_that_a_master_has_found(tmp_path: Path) -> None:
    """Its name is not in the file: only the bridge knows it."""
    file = tmp_path / "b.yaml"
    pbx = {"url": "http://127.0.0.1", "username": "u", "password": "p", "session_user": "API"}
    file.write_text(yaml.safe_dump(configuration(free_port(), {"name": "hq", **pbx, "locations": "auto"})))
    code, _, errors = command("-c", str(file), "--pbx", "hq-berlin", "ping")

    assert code == 2
    assert "cannot be reached" in errors


@pytest.mark.broker
async def test_the_broker_goes_away(broker: Mosquitto) -> None:
    """The end of the connection ends the wait."""
    url = f"mqtt://127.0.0.1:{broker.port}"
    async with Observer(broker.port, topics=PING) as bus:
        asked = asyncio.create_task(asyncio.to_thread(command, "--url", url, "--pbx", "hq", "ping"))
        await eventually(lambda: requests(bus), "the request is sent")
        await broker.kill()
        code, output, errors = await asked

    assert (code, output, "connection" in errors) == (2, "", True)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_its_command(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its help has its sentence, the user by place, and each other field by name and meaning."""
    command("--url", "mqtt://127.0.0.1", "--pbx", "hq", verb, "--help")
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())

    about = VERBS[verb].about
    assert f"{about[0].upper()}{about[1:]}"[:60] in shown
    assert ("USER" in shown) == ("user" in VERBS[verb].fields)
    for field, kind in VERBS[verb].fields.items():
        assert field == "user" or f"--{field.replace('_', '-')} " in f"{shown} "
        assert all(word in shown for word in kind.about.split())
        assert not isinstance(kind, Flag) or f"--no-{field.replace('_', '-')}"[:15] in shown
        assert not isinstance(kind, Number) or f"{kind.least}<=x<={kind.most}" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--url", "http://x", "--pbx", "hq", "ping"], "--url: expected mqtt://"),
        (
            ["--url", "mqtt://127.0.0.1", "--username", "", "--password-file", "x", "--pbx", "hq", "ping"],
            "--",
        ),
        (["--url", "mqtt://127.0.0.1", "--password-file", "x", "ping"], "--password-file needs --username"),
        (["-c", "{file}", "--password-file", "x", "ping"], "--password-file needs --username"),
        (["-c", "{file}", "--ca-file", "x", "ping"], "--ca-file needs --url"),
        (["-c", "{file}", "--base-topic", "x", "ping"], "--base-topic needs --url"),
        (["--url", "mqtts://127.0.0.1", "--ca-file", "/nowhere", "ping"], "--ca-file: no such file"),
        (["--url", "mqtt://127.0.0.1", "ping"], "--pbx is required"),
        (
            ["--url", "mqtt://127.0.0.1", "--pbx", "hq", "call", "anna", "1", "--number", "2"],
            "number is given",
        ),
        (["--url", "mqtt://127.0.0.1", "--pbx", "hq", "--user-topic", "ping"], "--user-topic needs a user"),
        (["-c", "{file}", "ping"], "--pbx is required: {file} has hq, branch"),
        (["-c", "{file}", "--pbx", "moon", "ping"], "{file}: no PBX is named 'moon'; configured: hq, branch"),
    ],
)
def test_mistakes(words: list[str], said: str, tmp_path: Path) -> None:
    """Each has its sentence, and nothing is sent."""
    file = tmp_path / "b.yaml"
    pbx = {"url": "http://127.0.0.1", "username": "u", "password": "p", "session_user": "API"}
    pbxs = [{"name": name, **pbx} for name in ("hq", "branch")]
    file.write_text(yaml.safe_dump(configuration(1883, *pbxs)))
    with pytest.raises(ConfigError) as found:
        command(*(word.replace("{file}", str(file)) for word in words))

    assert found.value.problems[0].startswith(said.replace("{file}", str(file)))
