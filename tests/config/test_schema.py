"""Configuration: every problem at once, with file and line, and never a secret."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config.file import CUT, NUMBERS, load, masked
from bridge.config.schema import Config
from bridge.config.tls import UNVERIFIED
from bridge.config.types import BrokerAddress
from bridge.core.commands.dialling import EMERGENCY, DialRules
from bridge.core.commands.permissions import Form, Grant, Permissions
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.dial_plan import DialPlan
from bridge.core.rules import Rule
from bridge.errors import ConfigError

ROOT = Path(__file__).parents[2]
CANARY = "hunter2-canary"
PBX = "pbxs:\n- name: hq\n  url: https://pbx.example\n  username: u\n  session_user: API\n"
GOOD = PBX + f"  password: {CANARY}\n"
MANY = "; ".join
NO_TEXT = "expected text; quote numbers and words like yes"
NO_PATTERN = "expected digits, * and ? for digits (three * at most), [*] for the star key, #"
NO_FILE = "no such file, or no permission to see it; relative paths start at the folder of this file"


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
    "not yaml": (
        "mqtt: [\n",
        ["b.yaml:1: not YAML: unclosed [ or {: close it, or quote the value"],
    ),
    "anchors": (
        "a: &x 1\nb: *x\n",
        ["b.yaml:1: a value that begins with &, * or ! must be quoted"],
    ),
    "twice": (GOOD + "log: {}\nlog: {}\n", ["b.yaml:8: log: given twice"]),
    "twice in a list": ("pbxs:\n- name: a\n  name: b\n", ["b.yaml:3: pbxs[0].name: given twice"]),
    "no pbx": ("mqtt: {}\n", ["b.yaml:1: pbxs: required"]),
    "no pbxs": ("pbxs: []\n", ["b.yaml:1: pbxs: must not be empty"]),
    "no such country": (
        GOOD + "dial_plan: {country_code: 999}\n",
        ["b.yaml:7: dial_plan.country_code: no country has this code: 49 for Germany, 1 for the USA"],
    ),
    "an area without its country": (
        GOOD + 'dial_plan: {area_code: "711", trunk_prefix: "0"}\n',
        ["b.yaml:7: dial_plan.area_code: needs country_code; set it too"],
    ),
    "an area without a trunk prefix": (
        GOOD + '  dial_plan:\n    country_code: 49\n    area_code: "711"\n',
        ["b.yaml:9: pbxs[0].dial_plan.area_code: needs trunk_prefix, to tell local numbers from extensions"],
    ),
    "a prefix that is no text": (
        GOOD + "dial_plan: {trunk_prefix: 0, internal: [x]}\n",
        [f"b.yaml:7: dial_plan.trunk_prefix: {NO_TEXT}", f"b.yaml:7: dial_plan.internal[0]: {NO_PATTERN}"],
    ),
    "unknown": (GOOD + "moqtt: {}\n", ["b.yaml:7: unknown key 'moqtt' (did you mean 'mqtt'?)"]),
    "very unknown": (
        GOOD + "zzz: {}\n",
        ["b.yaml:7: unknown key; known keys: " + ", ".join(Config.model_fields)],
    ),
    "verbs for some": (
        GOOD
        + "commands:\n  allow:\n    - basc\n    - {verbs: [clera], users: [{nam: a}], topic: users}\n"
        + "    - {users: []}\n    - 5\n    - {verb: [call]}\n",
        [
            "b.yaml:9: commands.allow[0]: this version has no such verb (did you mean 'basic'?)",
            "b.yaml:10: commands.allow[1].verbs[0]: this version has no such verb (did you mean 'clear'?)",
            "b.yaml:10: commands.allow[1].users[0]: unknown key 'nam' (did you mean 'name'?)",
            "b.yaml:10: commands.allow[1].topic: expected 'user', 'pbx' or 'any' (did you mean 'user'?)",
            "b.yaml:11: commands.allow[2].verbs: required",
            f"b.yaml:12: commands.allow[3]: {NO_TEXT}",
            "b.yaml:13: commands.allow[4].verbs: required",
            "b.yaml:13: commands.allow[4]: unknown key 'verb' (did you mean 'verbs'?)",
        ],
    ),
    "what may be dialled": (
        GOOD
        + 'commands:\n  facilities: [1000, "21"]\n  from_numbers: [anna]\n  types: gw\n'
        + '  numbers:\n    emergency: ["112*"]\n    outside_line: [0]\n    longest: 65\n',
        [
            "b.yaml:12: commands.numbers.emergency[0]: expected one to six digits, in quotes",
            f"b.yaml:13: commands.numbers.outside_line[0]: {NO_TEXT}",
            "b.yaml:14: commands.numbers.longest: must be at most 64",
            f"b.yaml:9: commands.from_numbers[0]: {NO_PATTERN}",
            "b.yaml:8: commands.facilities[0]: must be at most 999",
            "b.yaml:8: commands.facilities[1]: expected a whole number",
            "b.yaml:10: commands.types: expected a list: [a, b]",
        ],
    ),
    "unknown inside": (
        GOOD + "mqtt:\n  protocl: auto\n",
        ["b.yaml:8: mqtt: unknown key 'protocl' (did you mean 'protocol'?)"],
    ),
    "no number": (
        GOOD + "mqtt: {keepalive_s: eighteen}\n",
        ["b.yaml:7: mqtt.keepalive_s: expected a whole number"],
    ),
    "no float": (
        GOOD + "events: {max_age_s: long}\n",
        ["b.yaml:7: events.max_age_s: expected a number"],
    ),
    "no truth": (
        GOOD + "  transfers: 1\n",
        ["b.yaml:7: pbxs[0].transfers: expected true or false"],
    ),
    "no text": (
        GOOD + "  device: 5\n",
        ["b.yaml:7: pbxs[0].device: expected text; quote numbers and words like yes"],
    ),
    "no section": (GOOD + "log: loud\n", ["b.yaml:7: log: expected a section of keys, like 'level: ...'"]),
    "out of range": (
        GOOD + "commands: {clear_cause: 128}\n",
        ["b.yaml:7: commands.clear_cause: must be at most 127"],
    ),
    "wrong word": (
        GOOD + "user_id: h232\n",
        ["b.yaml:7: user_id: expected 'h323', 'e164', 'cn' or 'guid' (did you mean 'h323'?)"],
    ),
    "name": (
        GOOD.replace("name: hq", "name: HQ"),
        ["b.yaml:2: pbxs[0].name: expected a-z, 0-9, _ and -, at most 28 characters, like hq-berlin"],
    ),
    "names": (GOOD + GOOD.removeprefix("pbxs:\n"), ["b.yaml:7: pbxs[1].name: given twice, first in line 2"]),
    "no url": (
        GOOD.replace("  url: https://pbx.example\n", ""),
        ["b.yaml:2: pbxs[0]: give url, or urls for a primary and its standby"],
    ),
    "two ways to the broker": (
        GOOD + "mqtt: {url: mqtt://127.0.0.1, urls: [mqtt://127.0.0.2]}\n",
        ["b.yaml:7: mqtt.urls: give url, or urls for a primary and its standby"],
    ),
    "a standby broker with credentials": (
        GOOD + "mqtt:\n  urls: [mqtts://a, mqtts://u:p@b]\n",
        ["b.yaml:8: mqtt.urls[1]: no user name or password here: use username and password_file"],
    ),
    "no password": (PBX, ["b.yaml:2: pbxs[0]: give password_file (or password, for a trial)"]),
    "url scheme": (
        GOOD.replace("https:", "ftp:"),
        ["b.yaml:3: pbxs[0].url: expected http:// or https://"],
    ),
    "url path": (
        GOOD.replace("pbx.example", "pbx.example/x"),
        ["b.yaml:3: pbxs[0].url: give only the host, or the full address ending in /user.soap"],
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
        ["b.yaml:7: pbxs[0].dynamic_pbx: the url already contains the path; remove one of them"],
    ),
    "pin and ca": (
        GOOD + "  tls: {sha256: ab, verify: false}\n",
        ["b.yaml:7: pbxs[0].tls.sha256: pins the certificate; remove verify and ca_file"],
    ),
    "pin": (
        GOOD + "  tls: {sha256: ab}\n",
        ["b.yaml:7: pbxs[0].tls.sha256: expected 64 hexadecimal digits, colons allowed"],
    ),
    "rule": (
        GOOD + "  users: [{active: true}]\n",
        ["b.yaml:7: pbxs[0].users[0].active: needs group; set it too"],
    ),
    "mqtt scheme": (
        GOOD + "mqtt: {url: 'tcp://h'}\n",
        ["b.yaml:7: mqtt.url: expected mqtt://, mqtts://, ws:// or wss://"],
    ),
    "mqtt path": (
        GOOD + "mqtt: {url: 'mqtt://h/x'}\n",
        ["b.yaml:7: mqtt.url: only ws:// and wss:// may have a path or a query"],
    ),
    "mqtt password alone": (
        GOOD + f"mqtt: {{password: {CANARY}}}\n",
        ["b.yaml:7: mqtt.username: a password needs a username"],
    ),
    "secret as list": (
        PBX + f"  password: [{CANARY}]\n",
        ["b.yaml:6: pbxs[0].password: expected text; quote numbers and words like yes"],
    ),
    "misspelt secret": (
        PBX + f"  passwrod: {CANARY}\n",
        ["b.yaml:6: pbxs[0]: unknown key 'passwrod' (did you mean 'password'?)"],
    ),
    "all at once": (
        GOOD + "  transfers: 1\nlog: {level: loud}\n",
        [
            "b.yaml:7: pbxs[0].transfers: expected true or false",
            "b.yaml:8: log.level: expected 'debug', 'info', 'warning' or 'error'",
        ],
    ),
}


COLON = "': ' inside a value, or wrong indentation: quote the value, or align the keys"
DASH = "a value that begins with '- ' must be quoted; a list must begin on its own line"
NO_VERB = f"this version has no such verb; known: {', '.join((*SETS, *VERBS))}"
PATTERN = "expected digits, * and ? for digits (three * at most), [*] for the star key, #"
LEVEL = "a topic level is empty: remove the leading or double slash"
TAGS = "a value that begins with &, * or ! must be quoted"
INDENT = "wrong indentation: the keys of a section must begin in the same column"
SPECIAL = "a value that begins with @, %, ` or | must be quoted"
MISTAKES: dict[str, tuple[str, list[str]]] = {
    "wrong indentation": (
        "mqtt:\n  url: x\n username: y\n",
        [f"b.yaml:3: not YAML: {INDENT}"],
    ),
    "deeper than its neighbour": (
        "log:\n  level: info\n    format: auto\n",
        [f"b.yaml:3: not YAML: {COLON}"],
    ),
    "a tab": ("log:\n\tlevel: info\n", ["b.yaml:2: not YAML: tab found: indent with spaces"]),
    "password with ': '": (PBX + "  password: s3c: x\n", [f"b.yaml:6: not YAML: {COLON}"]),
    "password with @": (PBX + "  password: @x\n", [f"b.yaml:6: not YAML: {SPECIAL}"]),
    "password with %": (PBX + "  password: %x\n", [f"b.yaml:6: not YAML: {SPECIAL}"]),
    "password with `": (PBX + "  password: `x\n", [f"b.yaml:6: not YAML: {SPECIAL}"]),
    "password with !": (PBX + "  password: !x\n", [f"b.yaml:6: {TAGS}"]),
    "password with *": (PBX + "  password: *x\n", [f"b.yaml:6: {TAGS}"]),
    "password with &": (PBX + "  password: &x\n", [f"b.yaml:6: {TAGS}"]),
    "password with |": (
        PBX + "  password: |x\n",
        ["b.yaml:6: not YAML: a value that begins with | or > must be quoted"],
    ),
    "password with [": (
        PBX + "  password: [x\n",
        ["b.yaml:6: not YAML: unclosed [ or {: close it, or quote the value"],
    ),
    "password with -": (
        PBX + "  password: - x\n",
        [f"b.yaml:6: not YAML: {DASH}"],
    ),
    "password with #": (
        PBX + "  password: #x\n",
        [
            "b.yaml:2: pbxs[0]: give password_file (or password, for a trial)",
            f"b.yaml:6: pbxs[0].password: {CUT}",
        ],
    ),
    "backslash": (
        PBX + '  password: "a\\qb"\n',
        ["b.yaml:6: not YAML: a backslash in double quotes: use single quotes"],
    ),
    "open quotes": (PBX + "  password: 'x\n", ["b.yaml:6: not YAML: unterminated quotes"]),
    "text behind quotes": (
        PBX + '  password: "x" y\n',
        ["b.yaml:6: not YAML: text after a quoted value: quote the whole value"],
    ),
    "half a character": (
        PBX + '  password: "\\ud800"\n',
        ["b.yaml:6: half of a surrogate pair: write the character itself, not \\ud..."],
    ),
    "a control character": (PBX + "  password: \x01\n", ["b.yaml:6: not YAML: a control character"]),
    "no colon": (
        "log:\n  level info\n  format: auto\n",
        [f"b.yaml:3: not YAML: {COLON}"],
    ),
    "two documents": (
        "log: {}\n---\nlog: {}\n",
        ["b.yaml:2: only one document is allowed: remove the second '---'"],
    ),
    "a key of brackets": (
        "? [a]\n: b\n",
        ["b.yaml:1: a key must be a word: quote values that contain brackets"],
    ),
    "deep": ("a: " + "[" * 30_000, ["b.yaml:1: nested too deeply"]),
    "deep by lines": (
        "".join(" " * depth + "a:\n" for depth in range(900)),
        ["b.yaml:21: nested too deeply"],
    ),
    "a date": (
        GOOD + "  device: 2026-99-99\n  end_grace_s: 2026-99-99\n",
        ["b.yaml:8: pbxs[0].end_grace_s: expected a number"],
    ),
    "a number without end": (
        GOOD + f"mqtt: {{keepalive_s: {'9' * 5000}}}\nevents: {{max_age_s: 0x{'f' * 5000}}}\n",
        [
            "b.yaml:7: mqtt.keepalive_s: expected a whole number",
            "b.yaml:8: events.max_age_s: expected a number",
        ],
    ),
    "no number at all": (
        GOOD + "events: {max_age_s: .nan}\nmqtt: {keepalive_s: 1e3}\n",
        [
            "b.yaml:8: mqtt.keepalive_s: expected a whole number",
            "b.yaml:7: events.max_age_s: expected a number",
        ],
    ),
    "user for username": (
        GOOD.replace("username", "user"),
        [
            "b.yaml:2: pbxs[0].username: required",
            "b.yaml:4: pbxs[0]: unknown key 'user' (did you mean 'username'?)",
        ],
    ),
    "a name of ours": (
        GOOD.replace("name: hq", "name: reply"),
        ["b.yaml:2: pbxs[0].name: 'reply' is reserved for reply topics; choose another name"],
    ),
    "no dash": (
        GOOD.replace("- name", "  name"),
        ["b.yaml:1: pbxs: expected a list: begin each item with '- name: ...'"],
    ),
    "no list": (
        GOOD + "commands: {allow: call}\n",
        ["b.yaml:7: commands.allow: expected a list: [a, b]"],
    ),
    "web off": (GOOD + "http: off\n", ["b.yaml:7: http: expected a section of keys, like 'listen: ...'"]),
    "no scheme": (
        GOOD + "mqtt:\n  url: 127.0.0.1:1884\n",
        ["b.yaml:8: mqtt.url: expected a URL with a host, like mqtt://broker.example"],
    ),
    "discovery on": (
        GOOD + "homeassistant:\n  discovery: on\n",
        ["b.yaml:8: homeassistant.discovery: expected 'off', 'device' or 'component'"],
    ),
    "no such verb": (
        GOOD + "commands:\n  allow: [call,\n    clera, teleport]\n",
        [
            "b.yaml:9: commands.allow[1]: this version has no such verb (did you mean 'clear'?)",
            f"b.yaml:9: commands.allow[2]: {NO_VERB}",
        ],
    ),
    "no pattern": (
        GOOD + "commands: {numbers: {allow: [anna], deny: ['0*1*2*3*', '[5-2]']}}\n",
        [
            f"b.yaml:7: commands.numbers.allow[0]: {PATTERN}",
            f"b.yaml:7: commands.numbers.deny[0]: {PATTERN}",
            "b.yaml:7: commands.numbers.deny[1]: a range like [2-5] must ascend",
        ],
    ),
    "an empty level": (
        GOOD + "mqtt: {base_topic: home//pbx}\nhomeassistant: {prefix: /ha}\n",
        [
            f"b.yaml:7: mqtt.base_topic: {LEVEL}",
            f"b.yaml:8: homeassistant.prefix: {LEVEL}",
        ],
    ),
    "a wildcard": (
        GOOD + "mqtt: {base_topic: home/+}\n",
        ["b.yaml:7: mqtt.base_topic: a topic must not contain +, # or control characters, or begin with $"],
    ),
    "a long topic": (
        GOOD + f"mqtt: {{base_topic: {'x' * 129}}}\n",
        ["b.yaml:7: mqtt.base_topic: the topic is longer than 128 bytes"],
    ),
    "a file of no name": (
        GOOD.replace(f"password: {CANARY}", "password_file: 5"),
        ["b.yaml:6: pbxs[0].password_file: expected the path of a file"],
    ),
    "a path that is none": (
        GOOD + f"  tls: {{ca_file: {'x' * 5000}}}\nstate_dir: 5\n",
        [f"b.yaml:7: pbxs[0].tls.ca_file: {NO_FILE}", "b.yaml:8: state_dir: expected a path"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_that_people_make(tmp_path: Path, name: str) -> None:
    """The place, the problem and the way out, in one line each."""
    text, wanted = MISTAKES[name]
    assert problems(tmp_path, text) == wanted


@pytest.mark.parametrize(
    "password",
    ["2026-99-99", "0123", "1:30", "0x1F", "=", "<<", ".inf", "1_", "9" * 40, "a#b", "x:y", "~x", "'~'"],
)
def test_what_only_looks_like_something_else_is_text(tmp_path: Path, password: str) -> None:
    """Nothing that people write as a password becomes a date, an octal number or a merge key."""
    file = tmp_path / "b.yaml"
    file.write_text(PBX + f"  password: {password}\n")

    assert load(file).pbxs[0].secret == password.strip("'")


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
        (b"x\n", 0o604, "is readable by everybody: chmod o-rwx"),
        (b"", 0o600, "is empty"),
        (b"\xff", 0o600, "is not UTF-8"),
        (b"x" * 5000, 0o600, "is larger than 4096 bytes"),
        (None, 0, "no such file, or no permission to see it"),
    ],
)
def test_a_secret_file_must_be_one(tmp_path: Path, content: bytes | None, mode: int, words: str) -> None:
    """Private, small, text, and there."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
        (tmp_path / "secret").chmod(mode)

    found = problems(tmp_path, PBX + "  password_file: secret\n")
    assert words in found[0]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_secret_is_in_a_plain_file(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """What is there but is no file is not said to be missing."""
    make(tmp_path / "secret")
    reason = "a folder, a pipe or a device: give the path of a regular file"

    found = problems(tmp_path, PBX + "  password_file: secret\n")
    assert found == [f"b.yaml:6: pbxs[0].password_file: {reason}"]


@pytest.mark.parametrize(
    ("written", "number"), [(".5", 0.5), ("+.25", 0.25), ("5.", 5.0), ("0.5e1", 5.0), (".5e1", 5.0)]
)
def test_numbers_as_yaml_has_them(tmp_path: Path, written: str, number: float) -> None:
    """Also without a digit in front of the point."""
    (tmp_path / "b.yaml").write_text(GOOD + f"  end_grace_s: {written}\n")
    assert load(tmp_path / "b.yaml").pbxs[0].end_grace_s == number


def test_credentials_of_systemd_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder that systemd names; without it the error says whose it is."""
    text = PBX + "  password_file: $CREDENTIALS_DIRECTORY/secret_hq\n"
    found = problems(tmp_path, text)
    reason = "$CREDENTIALS_DIRECTORY is set only in a systemd service with LoadCredential="
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
    assert problems(tmp_path, both) == [
        "b.yaml:6: pbxs[0].password_file: give password or password_file, not both"
    ]


def test_files_of_tls_must_exist(tmp_path: Path) -> None:
    """A name of no file is not repeated: it may be a password in the wrong line."""
    found = problems(tmp_path, GOOD + "  tls: {ca_file: ca.pem}\n")

    assert found == [f"b.yaml:7: pbxs[0].tls.ca_file: {NO_FILE}"]


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
    """Standard, dynamic in both forms, complete, with a standby (docs/wire.md#address)."""
    basics = {"name": "hq", "username": "u", "password": "p", "session_user": "API"}
    config = Config.model_validate({"pbxs": [{**basics, **section}]})

    assert config.pbxs[0].endpoints == endpoints


def test_addresses_of_broker_and_web() -> None:
    """Ports by scheme, the path of a WebSocket, off and IPv6 for the web."""
    basics = {"name": "hq", "url": "https://a", "username": "u", "password": "p", "session_user": "API"}

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

    first, second = made("wss://b/x?token=t0ps3cret", listen=False), made("mqtt://b", listen="[::1]:80")
    path = "/x?token=t0ps3cret"
    assert first.mqtt.brokers == (BrokerAddress("b", 443, encrypted=True, websocket_path=path),)
    assert "t0ps3cret" not in masked(first)
    assert "wss://b/x?**********" in masked(first)
    assert second.mqtt.brokers == (BrokerAddress("b", 1883, encrypted=False, websocket_path=None),)
    assert (first.http.address, second.http.address) == (None, ("::1", 80))
    assert (first.http.probes_address, first.http.pages) == (None, "loopback")
    full = load(ROOT / "config" / "full.yaml").http
    assert full.model_copy(update={"hosts": ()}) == type(full)(), "the example shows the defaults"
    assert first.pbxs[0].users[0].to_rule() == Rule(group="g", active=True)
    assert first.pbxs[0].tls.pin == "ab" * 32


def test_what_is_doubtful_is_said_and_used(tmp_path: Path) -> None:
    """With file and line: a certificate nobody checks, a password that a comment may have cut."""
    file, heard = tmp_path / "b.yaml", list[str]()
    file.write_text(
        "mqtt:\n  url: mqtts://b\n  username: u\n  password: a # b\n  tls: {verify: false}\n"
        + PBX
        + "  password: a #b\n  tls:\n    verify: false\n"
    )
    config = load(file, heard.append)

    assert config.pbxs[0].secret == "a"
    assert [each.replace(f"{tmp_path}/", "") for each in heard] == [
        f"b.yaml:11: pbxs[0].password: {CUT}",
        f"b.yaml:5: mqtt.tls.verify: {UNVERIFIED}",
        f"b.yaml:13: pbxs[0].tls.verify: {UNVERIFIED}",
    ]
    file.write_text(PBX + "  password: 'a #b'\n")
    heard.clear()
    assert load(file, heard.append).pbxs[0].secret == "a #b"
    assert heard == []


@pytest.mark.parametrize(
    ("given", "topic"), [("home/pbx/", "home/pbx"), ("home//", "home"), ("a b/\u00e4", None)]
)
def test_slashes_at_the_end_of_a_topic_go(given: str, topic: str | None) -> None:
    """Here and in the prefix of Home Assistant."""
    basics = {"name": "hq", "url": "http://a", "username": "u", "password": "p", "session_user": "API"}
    sections = {"mqtt": {"base_topic": given}, "homeassistant": {"prefix": given}}
    config = Config.model_validate({"pbxs": [basics], **sections})

    assert (config.mqtt.base_topic, config.homeassistant.prefix) == (topic or given, topic or given)


@pytest.mark.parametrize(
    ("allow", "verbs"),
    [
        (None, ("call", "clear", "ping", "presence", "resync")),
        (["basic"], ("call", "clear", "ping", "presence", "resync")),
        (["ping", "basic"], ("ping", "call", "clear", "presence", "resync")),
        (["clear"], ("clear",)),
        ([], ()),
    ],
)
def test_sets_of_verbs_are_shown_as_verbs(allow: list[str] | None, verbs: tuple[str, ...]) -> None:
    """What is in force, as the bridge itself names it; nothing that does not exist."""
    basics = {"name": "hq", "url": "http://a", "username": "u", "password": "p", "session_user": "API"}
    config = Config.model_validate({"pbxs": [basics], "commands": {} if allow is None else {"allow": allow}})

    assert config.commands.allow == verbs
    assert yaml.safe_load(masked(config))["commands"]["allow"] == list(verbs)


def test_verbs_for_some_only(tmp_path: Path) -> None:
    """Limited to users and to a form of topic; shown as they are in force."""
    rule = {"verbs": ["basic"], "users": [{"short_name": "door-*"}], "topic": "user"}
    file = tmp_path / "b.yaml"
    file.write_text(GOOD + f"commands: {{allow: [ping, {json.dumps(rule)}, {{verbs: [ping]}}]}}\n")
    config = load(file)
    doors = Grant(frozenset(SETS["basic"]), (Rule(short_name="door-*"),), Form.USER)
    shown = yaml.safe_load(masked(config))["commands"]["allow"]

    permissions = config.commands.to_permissions()
    assert permissions == Permissions(frozenset({"ping"}), DialRules(), (doors, Grant(frozenset({"ping"}))))
    assert shown[0] == "ping"
    assert (shown[1]["verbs"], shown[1]["topic"]) == (list(SETS["basic"]), "user")


def test_a_list_of_numbers_of_an_older_version_is_named(tmp_path: Path) -> None:
    """It means more now; whoever wrote one of the keys that came with this has seen it."""
    file, heard = tmp_path / "b.yaml", list[str]()
    for more in ("", "types: [ep]", "from_numbers: []", "facilities: [0]"):
        heard.clear()
        file.write_text(GOOD + f'commands:\n  numbers:\n    allow: ["2?"]\n  {more}\n')
        load(file, heard.append)
        assert heard == ([] if more else [f"{file}:9: commands.numbers.allow: {NUMBERS}"])
    file.write_text(GOOD + 'commands: {numbers: {deny: ["0900*"]}}\n')
    load(file, heard.append)
    assert heard == []


def test_what_may_be_dialled() -> None:
    """Nothing of it by default but calls between phones; emergency numbers are added to, never taken away."""
    basics = {"name": "hq", "url": "http://a", "username": "u", "password": "p", "session_user": "API"}
    given = {
        "numbers": {
            "allow": ["+49 *"],
            "deny": ["1"],
            "emergency": ["144"],
            "outside_line": ["9"],
            "longest": 12,
        },
        "from_numbers": ["2?"],
        "facilities": [21],
        "types": ["ep", "gw", ""],
    }
    plain = Config.model_validate({"pbxs": [basics]}).commands.to_rules()
    full = Config.model_validate({"pbxs": [basics], "commands": given}).commands.to_rules()

    assert plain == DialRules()
    assert (sorted(plain.types), sorted(plain.facilities), plain.from_numbers) == (["ep"], [], ())
    assert full == DialRules(
        allow=("0049*",),
        deny=("1",),
        from_numbers=("2?",),
        facilities=frozenset({21}),
        types=frozenset({"ep", "gw", ""}),
        emergency=EMERGENCY | {"144"},
        outside_line=("9",),
        longest=12,
    )


@pytest.mark.parametrize("protocol", ["5", "3.1.1", "auto", 5])
def test_a_protocol_may_be_a_number(protocol: object) -> None:
    """`protocol: 5` is what everybody writes."""
    basics = {"name": "hq", "url": "http://a", "username": "u", "password": "p", "session_user": "API"}
    config = Config.model_validate({"pbxs": [basics], "mqtt": {"protocol": protocol}})

    assert config.mqtt.protocol == str(protocol)


def test_the_old_name_of_two_times_still_works(tmp_path: Path) -> None:
    """With a warning that says what to write; a new key beside it wins."""
    (tmp_path / "b.yaml").write_text(GOOD + "  settle_s: 5\n  end_grace_s: 3\n")
    warnings: list[str] = []
    config = load(tmp_path / "b.yaml", warnings.append)

    assert (config.pbxs[0].resync_grace_s, config.pbxs[0].end_grace_s) == (5, 3)
    sentence = "renamed: write resync_grace_s and end_grace_s instead, both with this value"
    assert warnings[0] == f"{tmp_path}/b.yaml:7: pbxs[0].settle_s: {sentence}"
    assert "settle_s" not in masked(config)
    found = problems(tmp_path, GOOD + "  settle_s: 99\n")
    assert found == ["b.yaml:7: pbxs[0].settle_s: must be at most 60.0"]


def test_a_dial_plan_of_a_pbx_replaces_that_of_all(tmp_path: Path) -> None:
    """Whole, so that no branch has the area code of another country."""
    file = tmp_path / "b.yaml"
    file.write_text(GOOD + "  dial_plan: {country_code: 43}\n" + 'dial_plan: {internal: ["2?"]}\n')
    config = load(file)

    assert config.dial_plan.to_plan() == DialPlan(internal=("2?",))
    assert config.pbxs[0].dial_plan is not None
    assert config.pbxs[0].dial_plan.to_plan() == DialPlan(43)


def test_a_phonebook_may_come_later(tmp_path: Path) -> None:
    """Nothing is asked of its disk here, which may hang."""
    file, heard = tmp_path / "b.yaml", list[str]()
    file.write_text(GOOD + "phonebook:\n  file: names.csv\n")
    config = load(file, heard.append)

    assert config.phonebook.file == tmp_path / "names.csv"
    assert heard == []


def test_a_broker_and_its_standby() -> None:
    """The configuration in force shows those that are used, without their tokens."""
    urls = ["wss://a.example/x?token=t0ps3cret", "mqtts://b.example:2883"]
    pbx = {"name": "hq", "url": "https://a", "username": "u", "password": "p", "session_user": "A"}
    config = Config.model_validate({"mqtt": {"urls": urls}, "pbxs": [pbx]})

    assert [broker.place for broker in config.mqtt.brokers] == [("a.example", 443), ("b.example", 2883)]
    shown = yaml.safe_load(masked(config))["mqtt"]
    assert (shown["url"], shown["urls"]) == (None, ["wss://a.example/x?**********", urls[1]])
