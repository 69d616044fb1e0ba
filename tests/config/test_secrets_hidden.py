"""No piece of a password comes out, wherever in the file it stands and whatever is wrong around it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.config.file import load
from bridge.errors import ConfigError

RUN = 4
HEAD = "mqtt:\n  url: mqtts://broker.example\n  username: b\n  password: x\n"
PBX = "pbxs:\n- name: hq\n  url: https://pbx.example\n  username: u\n  session_user: API\n"
PLACES = [
    "pbxs: SECRET\n",
    PBX + "  password: SECRET\n",
    PBX + "  passwrod: SECRET\n",
    PBX + "  password SECRET\n",
    PBX + "  password:SECRET\n",
    PBX + "   password: SECRET\n",
    PBX + "\tpassword: SECRET\n",
    PBX + "  password:\n    SECRET\n",
    PBX + "  password:\n    SECRET: x\n",
    PBX + "  password:\n  - SECRET\n",
    PBX + "  password: [SECRET\n",
    PBX + "  password: {SECRET}\n",
    PBX + "  password: x\n  SECRET: y\n",
    PBX + "  password: x\n  SECRET: y\n  SECRET: z\n",
    PBX + '  password: "SECRET\n',
    PBX + '  password: "SECRET"SECRET\n',
    PBX + "  password: 'SECRET\n",
    PBX + "  password: !SECRET x\n",
    PBX + "  password: !<SECRET x\n",
    PBX + "  password: !!SECRET x\n",
    PBX + "  password: &SECRET x\n",
    PBX + "  password: &a SECRET\n  device: *a\n",
    PBX + "  password: *SECRET\n",
    PBX + "  password: |SECRET\n",
    PBX + "  password: >\n   SECRET\n  SECRET\n",
    PBX + "  password: % SECRET\n",
    PBX + "  password: @SECRET\n",
    PBX + "  password: x: SECRET\n",
    PBX + "  password: x #SECRET\n",
    PBX + "  password_file: SECRET\n",
    PBX + "  password_file: /SECRET/SECRET\n",
    PBX + "  password: x\n  tls: {ca_file: SECRET}\n",
    PBX + "  password: x\n  tls: SECRET\n",
    PBX + "  password: x\n  tls: {sha256: SECRET}\n",
    PBX + "  password: x\n  poll_timeout_s: SECRET\n",
    PBX + "  password: x\n  transfers: SECRET\n",
    PBX + "  password: x\n  auth: SECRET\n",
    PBX + "  password: x\n  dynamic_pbx: SECRET /\n",
    PBX + "  password: x\n  users: [{SECRET: x}]\n",
    PBX + "  password: x\n  urls: [SECRET]\n",
    PBX.replace("hq", "SECRET") + "  password: x\n",
    PBX.replace("hq", "SECRET") + "  password: x\n- name: SECRET\n",
    PBX.replace("https://", "https://u:SECRET@") + "  password: x\n",
    PBX.replace("https://", "SECRET://") + "  password: x\n",
    PBX.replace("pbx.example", "SECRET") + "  password: x\n  nothing: 1\n",
    PBX.replace("pbx.example", "pbx.example/?SECRET") + "  password: x\n",
    HEAD.replace("mqtts://", "mqtts://u:SECRET@"),
    HEAD.replace("broker.example", "broker.example/SECRET"),
    HEAD.replace("mqtts://broker.example", "wss://broker.example/?SECRET#"),
    "mqtt: mqtt://u:SECRET@broker.example\n",
    HEAD.replace("mqtts://broker.example", "ws://broker.example/?SECRET"),
    HEAD + "  tls: {sha256: SECRET, key_file: SECRET}\n",
    HEAD + "user_id: SECRET\n",
    HEAD + "user_id: 'SECRET\n",
    HEAD + "SECRET\n",
    HEAD + "SECRET: x\n",
    HEAD + "? SECRET\n",
    "%SECRET x\n---\n" + HEAD,
    HEAD + "---\nSECRET\n",
    HEAD + "commands: {allow: [SECRET]}\n",
    HEAD + "commands: {numbers: {allow: [SECRET]}}\n",
    HEAD + "http: {listen: SECRET}\n",
    HEAD + "homeassistant: {discovery: SECRET, prefix: +/SECRET}\n",
    HEAD + "events: {max_queued: SECRET}\n",
    HEAD + "log: {level: SECRET, format: SECRET}\n",
    HEAD + "mqtt: {base_topic: SECRET/#}\n",
]
SECRETS = (
    st.text(
        "ABCDEFGHJKLMNPQRSTUVWXYZ23456789ÄßЖ !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\\", min_size=RUN, max_size=24
    )
    | st.integers(10**7, 10**40).map(str)
    | st.text(min_size=RUN, max_size=24)
)


def said(file: Path, text: str) -> str:
    """All that is said about a file, without its own name."""
    file.write_text(text, encoding="utf-8", errors="surrogatepass")
    heard: list[str] = []
    try:
        load(file, heard.append)
    except ConfigError as error:
        heard += error.problems
    return "\n".join(heard).replace(str(file), "")


def pieces(secret: str) -> set[str]:
    """Each run of four characters."""
    return {secret[start : start + RUN] for start in range(len(secret) - RUN + 1)}


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.sampled_from(PLACES),
    secret=SECRETS,
    cut=st.integers(0, 400),
    junk=st.sampled_from(" \t'\"[{:#*!&"),
)
def test_no_piece_of_a_secret_comes_out(tmp_path: Path, place: str, secret: str, cut: int, junk: str) -> None:
    """As it stands, and with one character too many anywhere. What is said without it does not count."""
    file = tmp_path / "b.yaml"
    for template in (place, place[:cut] + junk + place[cut:]):
        usual = said(file, template.replace("SECRET", "x")) + said(file, template.replace("SECRET", "x: y"))
        told = said(file, template.replace("SECRET", secret))
        assert {piece for piece in pieces(secret) if piece in told and piece not in usual} == set()


LIVE = {
    "tag": "  password: !hunter2-canary x\n",
    "alias": "  password: *hunter2-canary\n",
    "bool": "  password: !!bool hunter2-canary\n",
    "url": "  password: x\nmqtt: mqtt://user:hunter2-canary@host\n",
}


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("command", ["check", "run"])
def test_the_program_ends_at_once_and_quietly(tmp_path: Path, command: str, name: str) -> None:
    """Exit code 78, the file and the line, no trace and no piece of the password."""
    file = tmp_path / "b.yaml"
    file.write_text(PBX + LIVE[name])
    done = subprocess.run(
        [sys.executable, "-m", "bridge", command, "-c", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 78
    assert f"{file}:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not any(piece in done.stdout + done.stderr for piece in pieces("hunter2-canary"))
    assert json.dumps(done.stderr).count("\\n") == 2
