"""The real program: exit codes, check, web pages, simulate and demo."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli import cli, main
from bridge.demo.show import demo
from bridge.sim.pbx import SimPbx
from bridge.sim.scenario import ScenarioError, office, read
from tests.bus import Mosquitto, Observer, amqtt_leaks, eventually, free_port
from tests.pages import get, get_soon, served
from tests.running import Program, configuration, pbx_section, program


@pytest.mark.slow
async def test_a_bad_configuration_starts_nothing(tmp_path: Path) -> None:
    """Exit 78 and every problem; the same for a PBX that is not there and a port in use."""
    file = tmp_path / "b.yaml"
    file.write_text("mqtt: {kepalive_s: 3}\npbxs: []\n")
    code, _, errors = await program("run", "-c", str(file))
    assert code == 78
    assert "did you mean 'keepalive_s'" in errors
    assert "2 problems; nothing was started." in errors

    file.write_text(
        json.dumps(
            configuration(
                1,
                {
                    "name": "hq",
                    "url": "http://127.0.0.1:9",
                    "username": "u",
                    "password": "p",
                    "session_user": "A",
                },
            )
        )
    )
    code, _, errors = await program("run", "-c", str(file), "--pbx", "branch")
    assert (code, "no PBX is named 'branch'; configured: hq" in errors) == (78, True)


@pytest.mark.slow
async def test_a_key_that_does_not_fit_starts_nothing(tmp_path: Path) -> None:
    """Certificates are part of the configuration: exit 78 and a sentence."""
    file, junk = tmp_path / "b.yaml", tmp_path / "junk.pem"
    junk.write_text("junk")
    section = {"name": "hq", "url": "https://127.0.0.1:9", "username": "u", "password": "p"}
    settings = configuration(1, {**section, "session_user": "A"})
    settings["mqtt"] = {"url": "mqtts://127.0.0.1:1", "tls": {"cert_file": str(junk)}}
    file.write_text(json.dumps(settings))
    code, _, errors = await program("run", "-c", str(file))
    assert (code, "mqtt.tls: cert_file and key_file cannot be used" in errors) == (78, True)
    settings["mqtt"] = {"url": "mqtt://127.0.0.1:1"}
    settings["pbxs"][0]["tls"] = {"ca_file": str(junk)}
    file.write_text(json.dumps(settings))
    code, _, errors = await program("run", "-c", str(file))
    assert (code, "pbxs: hq: tls.ca_file cannot be used" in errors) == (78, True)


@pytest.mark.slow
async def test_check_ends_with_a_code(broker: Mosquitto, pbx: SimPbx, tmp_path: Path) -> None:
    """0 when all is well, 1 when a connection fails; no secret is printed."""
    file = tmp_path / "b.yaml"
    file.write_text(json.dumps(configuration(broker.port, pbx_section(pbx))))
    code, output, _ = await program("check", "-c", str(file), "--connect", "--show")
    assert code == 0
    assert "hq: PBX: firmware 14r2 simulated, 5 visible users" in output
    assert "secret" not in output

    file.write_text(json.dumps(configuration(free_port(), pbx_section(pbx, password="wrong"))))
    code, output, _ = await program("check", "-c", str(file), "--connect")
    assert code == 1
    assert output.count("FAIL") == 2


async def test_metrics_and_health(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Ready when the broker hears us; metrics without any name of a person."""
    async with served(configuration(broker.port, pbx_section(pbx))) as port:
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "hq is online")
        await eventually(lambda: get_soon(port) == 200, "the bridge is ready")
        pages = {path: await asyncio.to_thread(get, port, path) for path in ("/metrics", "/healthz", "/x")}

        assert pages["/healthz"][0] == 200
        assert pages["/x"][0] == 404
        text = pages["/metrics"][1]
        assert 'innovaphone_mqtt_pbx_up{pbx="hq"} 1.0' in text
        assert 'innovaphone_mqtt_users{pbx="hq"} 5.0' in text
        assert "anna" not in text


@pytest.mark.slow
async def test_the_doors_are_as_configured(tmp_path: Path) -> None:
    """Probes on their own address; a token in a URL is in no page and in no line, down to debug."""
    token, port, probes = "t0ps3cret", free_port(), free_port()
    section = {"name": "hq", "url": f"http://127.0.0.1:{free_port()}", "username": "u", "password": "p"}
    settings = configuration(1, {**section, "session_user": "A"}, log={"level": "debug"})
    settings["mqtt"] = {"url": f"ws://127.0.0.1:{free_port()}/mqtt?token={token}"}
    settings["http"] = {"listen": f"127.0.0.1:{port}", "probes": f"127.0.0.1:{probes}"}
    run = Program(tmp_path, settings)
    await run.start()
    await eventually(lambda: "mqtt down" in run.log, "the broker is not there")
    await eventually(lambda: get_soon(probes) == 503, "the probes are served")
    texts = [
        (await asyncio.to_thread(get, port, path))[1] for path in ("/", "/status", "/config", "/metrics")
    ]
    assert (await asyncio.to_thread(get, probes, "/config"))[0] == 404
    code, log = await run.end(signal.SIGTERM)
    assert code == 0
    assert token not in "".join((*texts, log))
    assert "?**********" in texts[2]


async def test_not_ready_without_a_broker(pbx: SimPbx) -> None:
    """503, while the process is healthy."""
    async with served(configuration(free_port(), pbx_section(pbx))) as port:
        await eventually(lambda: get_soon(port) == 503, "the bridge says that it is not ready")
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == 200


@pytest.mark.slow
async def test_simulate_is_a_pbx_for_the_program(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """Both as programs, the bridge ended by SIGINT."""
    port = free_port()
    simulated = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "simulate", "--port", str(port), "--dynamic-pbx", "x"),
        stdout=asyncio.subprocess.DEVNULL,
    )
    section = {"name": "hq", "url": f"http://127.0.0.1:{port}", "dynamic_pbx": "x", "username": "admin"}
    settings = configuration(broker.port, {**section, "password": "secret", "session_user": "API"})
    running = Program(tmp_path, settings)
    try:
        await running.start()
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "hq is online")
        code, log = await running.end(signal.SIGINT)
        assert (code, '"event": "bridge stopped"' in log) == (0, True)
    finally:
        simulated.terminate()
        await simulated.wait()


@pytest.mark.slow
@amqtt_leaks
async def test_the_demo_proves_the_loop() -> None:
    """As `make demo ARGS="--for 12 --listen ..."`, in this process; its pages can be looked at meanwhile.

    The observer compares its messages with the contract.
    """
    lines: list[str] = []
    port = free_port()
    running = asyncio.create_task(demo(12, f"127.0.0.1:{port}", lines.append))
    await eventually(lambda: any("on port" in line for line in lines), "the demo has a broker")
    broker_port = int(re.findall(r"on port (\d+)", lines[0])[0])
    async with Observer(broker_port, protocol="3.1.1") as bus:
        await eventually(lambda: get_soon(port) == 200, "the demo is ready")
        await eventually(lambda: any("is called by ACME" in line for line in lines), "a phone rings")
        kinds = {seen.topic.rpartition("/")[2] for seen in bus.messages}
        assert {"state", "info", "event"} <= kinds
    assert await running == 0


def test_a_demo_without_any_broker_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No Mosquitto and no amqtt, as after a plain installation: exit 78 and the way out, no trace."""
    monkeypatch.setattr("bridge.demo.broker.find_mosquitto", lambda: None)
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    monkeypatch.setattr(sys, "argv", ["innovaphone-mqtt", "demo", "--for", "1"])
    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 78
    assert "install Mosquitto, or innovaphone-mqtt[demo]" in capsys.readouterr().err


@pytest.mark.slow
@amqtt_leaks
async def test_a_demo_that_is_too_short_fails() -> None:
    """It says what was not seen."""
    lines: list[str] = []
    assert await demo(0.3, "off", lines.append) == 1
    assert any(line.strip().startswith("NO") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not YAML"),
        ("users: !!bool x", "not YAML: a value that cannot be"),
        ("users: !!timestamp x", "not YAML: a value that cannot be"),
        ("users: !!int x", "not YAML: a value that cannot be"),
        ("users: 2026-99-99", "not YAML: a value that cannot be"),
        ("users: " + "[" * 50_000, "not YAML: a value that cannot be"),
        ("users: 1", "expected 'users:'"),
        ("users: [{}]", "user 1"),
        ("users: [{cn: a, x: 1}]", "user 1"),
        ("users: []\nscene: [{}]", "step 1"),
        ("users: []\nscene: [{at: 1, fly: {}}]", "step 1: expected one of"),
        ("users: []\nscene: [{at: 1, ring: 5}]", "step 1: ring"),
    ],
)
def test_a_bad_scene_is_named(text: str, words: str) -> None:
    """Step and problem."""
    with pytest.raises(ScenarioError, match=words):
        read(text)


def test_the_commands_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version in this process; problems of a scene are those of a configuration."""
    assert "run" in CliRunner().invoke(cli, ["--help"]).output
    assert "innovaphone-mqtt" in CliRunner().invoke(cli, ["version"]).output
    assert office().users
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(sys, "argv", ["innovaphone-mqtt", "simulate", "--scene", "/nonexistent"])
        main()
    assert "nothing was started" in capsys.readouterr().err
