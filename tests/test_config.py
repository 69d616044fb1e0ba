"""Configuration: every problem at once, with file and line, and never a secret."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Config
from bridge.config_file import load, masked
from bridge.core.rules import Rule
from bridge.errors import ConfigError

ROOT = Path(__file__).parents[1]
CANARY = "hunter2-canary"
PBX = "pbxs:\n- name: hq\n  url: https://pbx.example\n  username: u\n  session_user: API\n"
GOOD = PBX + f"  password: {CANARY}\n"
MANY = "; ".join


def problems(folder: Path, text: str | bytes) -> list[str]:
    """What is said about a file, the folder left out."""
    file = folder / "b.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as error:
        load(file)
    return [problem.replace(f"{folder}/", "") for problem in error.value.problems]


BAD: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["b.yaml:1: expected keys like 'mqtt:' and 'pbxs:'"]),
    "list": ("- a\n", ["b.yaml:1: expected keys like 'mqtt:' and 'pbxs:'"]),
    "not utf-8": (b"\xff\xfe\xff", ["b.yaml: is not UTF-8"]),
    "too large": ("#" * 1_048_577, ["b.yaml: is larger than 1 MiB"]),
    "not yaml": ("mqtt: [\n", ["b.yaml:2: not YAML: expected the node content, but found '<stream end>'"]),
    "anchors": (
        "a: &x 1\nb: *x\n",
        ["b.yaml:1: anchors and aliases (& and *) are not read here: write it out"],
    ),
    "twice": (GOOD + "log: {}\nlog: {}\n", ["b.yaml:8: log: given twice"]),
    "twice in a list": ("pbxs:\n- name: a\n  name: b\n", ["b.yaml:3: pbxs[0].name: given twice"]),
    "no pbx": ("mqtt: {}\n", ["b.yaml:1: pbxs: required"]),
    "no pbxs": ("pbxs: []\n", ["b.yaml:1: pbxs: must not be empty"]),
    "unknown": (GOOD + "moqtt: {}\n", ["b.yaml:7: moqtt: unknown key (did you mean 'mqtt'?)"]),
    "very unknown": (GOOD + "zzz: {}\n", ["b.yaml:7: zzz: unknown key"]),
    "unknown inside": (
        GOOD + "mqtt:\n  protocl: auto\n",
        ["b.yaml:8: mqtt.protocl: unknown key (did you mean 'protocol'?)"],
    ),
    "no number": (
        GOOD + "mqtt: {keepalive_s: eighteen}\n",
        ["b.yaml:7: mqtt.keepalive_s: expected a whole number, got 'eighteen'"],
    ),
    "no float": (
        GOOD + "events: {max_age_s: long}\n",
        ["b.yaml:7: events.max_age_s: expected a number, got 'long'"],
    ),
    "no truth": (
        GOOD + "  transfers: 1\n",
        ["b.yaml:7: pbxs[0].transfers: expected true or false, got 1"],
    ),
    "no text": (
        GOOD + "  device: 5\n",
        ["b.yaml:7: pbxs[0].device: expected text (in quotes, if it looks like a number), got 5"],
    ),
    "no section": (GOOD + "log: loud\n", ["b.yaml:7: log: expected a section of keys, got 'loud'"]),
    "out of range": (
        GOOD + "commands: {clear_cause: 128}\n",
        ["b.yaml:7: commands.clear_cause: should be less than or equal to 127, got 128"],
    ),
    "wrong word": (
        GOOD + "user_id: h232\n",
        ["b.yaml:7: user_id: expected 'h323', 'e164', 'cn' or 'guid', got 'h232' (did you mean 'h323'?)"],
    ),
    "name": (
        GOOD.replace("name: hq", "name: HQ"),
        ["b.yaml:2: pbxs[0].name: does not have the right form (^[a-z0-9][a-z0-9_-]{0,27}$), got 'HQ'"],
    ),
    "names": (GOOD + GOOD.removeprefix("pbxs:\n"), ["b.yaml:1: pbxs: the name 'hq' is given twice"]),
    "no url": (
        GOOD.replace("  url: https://pbx.example\n", ""),
        ["b.yaml:2: pbxs[0]: give url, or urls for a primary and its standby"],
    ),
    "no password": (PBX, ["b.yaml:2: pbxs[0]: give password_file (or password, for a trial)"]),
    "url scheme": (
        GOOD.replace("https:", "ftp:"),
        ["b.yaml:3: pbxs[0].url: expected http:// or https://"],
    ),
    "url path": (
        GOOD.replace("pbx.example", "pbx.example/x"),
        ["b.yaml:3: pbxs[0].url: give the host only, or the full address that ends in /user.soap"],
    ),
    "no host": (
        GOOD.replace("https://pbx.example", "pbx"),
        ["b.yaml:3: pbxs[0].url: expected a URL with a host, like https://pbx.example"],
    ),
    "credentials in url": (
        GOOD.replace("https://", f"https://u:{CANARY}@"),
        ["b.yaml:3: pbxs[0].url: no user name or password here: use username and password_file"],
    ),
    "dynamic and path": (
        GOOD.replace("pbx.example", "pbx.example/PBX0/user.soap") + "  dynamic_pbx: x\n",
        ["b.yaml:2: pbxs[0]: dynamic_pbx: the url names the path already"],
    ),
    "pin and ca": (
        GOOD + "  tls: {sha256: ab, verify: false}\n",
        ["b.yaml:7: pbxs[0].tls: sha256 pins the certificate: leave verify and ca_file out"],
    ),
    "pin": (
        GOOD + "  tls: {sha256: ab}\n",
        ["b.yaml:7: pbxs[0].tls: sha256: expected 64 hexadecimal digits, colons allowed"],
    ),
    "rule": (
        GOOD + "  users: [{active: true}]\n",
        ["b.yaml:7: pbxs[0].users[0]: active tells of a membership: name the group too"],
    ),
    "mqtt scheme": (
        GOOD + "mqtt: {url: 'tcp://h'}\n",
        ["b.yaml:7: mqtt.url: expected mqtt://, mqtts://, ws:// or wss://"],
    ),
    "mqtt path": (
        GOOD + "mqtt: {url: 'mqtt://h/x'}\n",
        ["b.yaml:7: mqtt.url: only ws:// and wss:// have a path or a query"],
    ),
    "mqtt password alone": (
        GOOD + f"mqtt: {{password: {CANARY}}}\n",
        ["b.yaml:7: mqtt: a password needs a username"],
    ),
    "no discovery yet": (
        GOOD + "homeassistant: {discovery: device}\n",
        ["b.yaml:7: homeassistant.discovery: expected 'off', got 'device'"],
    ),
    "secret as list": (
        PBX + f"  password: [{CANARY}]\n",
        ["b.yaml:6: pbxs[0].password: expected text (in quotes, if it looks like a number)"],
    ),
    "misspelt secret": (
        PBX + f"  passwrod: {CANARY}\n",
        ["b.yaml:6: pbxs[0].passwrod: unknown key (did you mean 'password'?)"],
    ),
    "all at once": (
        GOOD + "  transfers: 1\nlog: {level: loud}\n",
        [
            "b.yaml:7: pbxs[0].transfers: expected true or false, got 1",
            "b.yaml:8: log.level: expected 'debug', 'info', 'warning' or 'error', got 'loud'",
        ],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_exactly_this(tmp_path: Path, name: str) -> None:
    """The messages are a user interface."""
    text, wanted = BAD[name]
    found = problems(tmp_path, text)

    assert found == wanted
    assert CANARY not in MANY(found)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"x\n", 0o604, "can be read by everybody: chmod o-rwx"),
        (b"", 0o600, "is empty"),
        (b"\xff", 0o600, "is not UTF-8"),
        (b"x" * 5000, 0o600, "is larger than 4096 bytes"),
        (None, 0, "cannot be read: No such file or directory"),
    ],
)
def test_a_secret_file_must_be_one(tmp_path: Path, content: bytes | None, mode: int, words: str) -> None:
    """Private, small, text, and there."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
        (tmp_path / "secret").chmod(mode)

    found = problems(tmp_path, PBX + "  password_file: secret\n")
    assert words in found[0]


def test_credentials_of_systemd_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that systemd names; without it the error says whose it is."""
    text = PBX + "  password_file: $CREDENTIALS_DIRECTORY/secret_hq\n"
    found = problems(tmp_path, text)
    reason = "$CREDENTIALS_DIRECTORY is there for a service of systemd with LoadCredential= only"
    assert found == [f"b.yaml:6: pbxs[0].password_file: {reason}"]
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "secret_hq").write_text(CANARY)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    assert load(tmp_path / "b.yaml").pbxs[0].secret == CANARY


def test_secrets_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the file, without the last newline; systemd's credentials may be open."""
    (tmp_path / "secret").write_text(f"{CANARY}\r\n")
    (tmp_path / "secret").chmod(0o644)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = tmp_path / "b.yaml"
    file.write_text(PBX + "  password_file: secret\n")
    config = load(file)

    assert config.pbxs[0].secret == CANARY
    assert CANARY not in repr(config) + masked(config)
    both = PBX + f"  password_file: secret\n  password: {CANARY}\n"
    assert problems(tmp_path, both) == ["b.yaml:2: pbxs[0]: give password or password_file, not both"]


def test_files_of_tls_must_exist(tmp_path: Path) -> None:
    """And are named with the folder they start from."""
    found = problems(tmp_path, GOOD + "  tls: {ca_file: ca.pem}\n")

    assert found == ["b.yaml:7: pbxs[0].tls.ca_file: there is no file 'ca.pem'"]


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """No traceback."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_the_examples_load(name: str) -> None:
    """What ships must work."""
    config = load(ROOT / "config" / f"{name}.yaml")

    assert config.pbxs[0].name == "hq"
    assert yaml.safe_load(masked(config))["pbxs"][0]["password"] == "**********"


@pytest.mark.parametrize(
    ("section", "endpoints"),
    [
        ({"url": "https://a"}, ("https://a/PBX0/user.soap",)),
        ({"url": "http://a:81/"}, ("http://a:81/PBX0/user.soap",)),
        ({"url": "https://a", "dynamic_pbx": "x"}, ("https://a/PBX0-x/user.soap",)),
        ({"url": "https://a", "dynamic_pbx": "x", "path_style": "PBX-"}, ("https://a/PBX-x/user.soap",)),
        ({"url": "https://a/PBX0-y/user.soap"}, ("https://a/PBX0-y/user.soap",)),
        ({"urls": ["https://a", "https://b"]}, ("https://a/PBX0/user.soap", "https://b/PBX0/user.soap")),
    ],
)
def test_addresses_of_a_pbx(section: dict[str, Any], endpoints: tuple[str, ...]) -> None:
    """Standard, dynamic in both forms, complete, with a standby (wire reference 6)."""
    basics = {"name": "hq", "username": "u", "password": "p", "session_user": "API"}
    config = Config.model_validate({"pbxs": [{**basics, **section}]})

    assert config.pbxs[0].endpoints == endpoints


def test_addresses_of_broker_and_web() -> None:
    """Ports by scheme, the path of a WebSocket, off and IPv6 for the web."""
    basics = {"name": "hq", "url": "http://a", "username": "u", "password": "p", "session_user": "API"}

    def made(url: str, *, listen: object) -> Config:
        rules = [{"group": "g", "active": True}]
        pin = {"sha256": ":".join(["AB"] * 32)}
        return Config.model_validate(
            {
                "mqtt": {"url": url},
                "pbxs": [{**basics, "users": rules, "tls": pin}],
                "http": {"listen": listen},
            }
        )

    first, second = made("wss://b/x", listen=False), made("mqtt://b", listen="[::1]:80")
    assert (first.mqtt.address, first.mqtt.websocket_path, first.mqtt.encrypted) == (("b", 443), "/x", True)
    assert (second.mqtt.address, second.mqtt.websocket_path) == (("b", 1883), None)
    assert (first.http.address, second.http.address) == (None, ("::1", 80))
    assert first.pbxs[0].users[0].to_rule() == Rule(group="g", active=True)
    assert first.pbxs[0].tls.pin == "ab" * 32
