"""TLS settings without effect and secrets that others could read: errors with a way out, or warnings."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config.file import load
from bridge.config.tls import IDLE, OPEN, UNVERIFIED
from bridge.errors import ConfigError
from bridge.net.addresses import is_loopback

PIN = "AB:" * 31 + "AB"
CANARY = "hunter2-canary"
PBX: dict[str, Any] = {
    "name": "hq",
    "url": "https://pbx.example",
    "username": "u",
    "password": CANARY,
    "session_user": "API",
}
BROKER: dict[str, Any] = {"url": "mqtts://broker.example", "username": "u", "password": CANARY}
KEY = "-----BEGIN PRIVATE KEY-----\n"
NOBODY = 65534
ENCRYPTED = {"mqtt": "mqtts", "ws": "wss", "http": "https"}
Settings = dict[str, Any]


def heard(folder: Path, *, mqtt: Settings | None = None, pbx: Settings | None = None) -> list[str]:
    """What is said of a configuration: `error` or `warn`, place, sentence. A key that is None is left out."""
    settings = {
        "mqtt": {key: value for key, value in {**BROKER, **(mqtt or {})}.items() if value is not None},
        "pbxs": [{key: value for key, value in {**PBX, **(pbx or {})}.items() if value is not None}],
    }
    file, found, kind = folder / "b.yaml", list[str](), "warn"
    file.write_text(json.dumps(settings))
    try:
        load(file, found.append)
    except ConfigError as error:
        found, kind = list(error.problems), "error"
    assert CANARY not in "".join(found)
    return [f"{kind} {line.removeprefix(f'{file}:').partition(': ')[2]}" for line in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With files of TLS: a CA, a certificate, its key."""
    for name in ("ca.pem", "client.pem", "client.key"):
        (tmp_path / name).write_text(KEY if name == "client.key" else "-----BEGIN CERTIFICATE-----\n")
        (tmp_path / name).chmod(0o600)
    return tmp_path


TLS: dict[str, Settings] = {
    "verify": {"verify": True},
    "ca_file": {"ca_file": "ca.pem"},
    "sha256": {"sha256": PIN},
    "cert_file": {"cert_file": "client.pem", "key_file": "client.key"},
}


@pytest.mark.parametrize("key", TLS)
@pytest.mark.parametrize("url", ["mqtt://broker.example", "MQTT://127.0.0.1", "ws://[::1]:81/x"])
@pytest.mark.parametrize("insecure", [False, True])
def test_tls_of_a_broker_without_tls(folder: Path, key: str, url: str, *, insecure: bool) -> None:
    """Wherever the broker is: nobody may believe that its certificate is checked."""
    scheme = url.partition(":")[0].lower()
    words = f"has no effect with {scheme}://: write {ENCRYPTED[scheme]}:// in the address, or remove it"
    found = heard(folder, mqtt={"url": url, "tls": TLS[key], "insecure": insecure})
    assert found == [f"error mqtt.tls.{key}: {words}"]


@pytest.mark.parametrize("key", [key for key in TLS if key != "cert_file"])
@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["pbx.example"], ["a.example", "b.example"]])
def test_tls_of_a_pbx_without_tls(folder: Path, key: str, hosts: list[str]) -> None:
    """The same, also with a standby."""
    urls = [f"http://{host}" for host in hosts]
    address = {"url": urls[0]} if len(urls) == 1 else {"url": None, "urls": urls}
    words = "has no effect with http://: write https:// in the address, or remove it"
    assert heard(folder, pbx={**address, "tls": TLS[key]}) == [f"error pbxs[0].tls.{key}: {words}"]


@pytest.mark.parametrize("empty", [{}, {"ca_file": None}, {"verify": True, "ca_file": None, "sha256": None}])
def test_an_empty_section_claims_nothing(folder: Path, empty: Settings) -> None:
    """Keys without a value are keys that are not given; `verify: true` is the default where there is TLS."""
    local = {"url": "mqtt://127.0.0.1", "tls": {key: each for key, each in empty.items() if each is None}}
    assert heard(folder, mqtt=local, pbx={"tls": empty}) == []


@pytest.mark.parametrize(
    ("urls", "place"),
    [
        (["https://a.example", "http://b.example"], 1),
        (["http://a.example", "https://b.example"], 0),
        (["https://127.0.0.1", "http://127.0.0.1"], 1),
        (["https://a.example", "https://b.example", "HTTP://c.example"], 2),
    ],
)
@pytest.mark.parametrize("more", [{}, {"tls": {"sha256": PIN}}, {"auth": "basic", "insecure": True}])
def test_a_standby_is_as_safe_as_the_primary(
    folder: Path, urls: list[str], place: int, more: Settings
) -> None:
    """Else whoever blocks one address chooses the other; nothing allows that."""
    why = "an attacker who blocks the https:// address gets the login over http://"
    found = heard(folder, pbx={"url": None, "urls": urls, **more})
    assert found == [f"error pbxs[0].urls[{place}]: {why}: write https:// for all addresses"]


def test_a_standby_broker_is_as_safe_as_the_primary(folder: Path) -> None:
    """It gets the same password."""
    found = heard(folder, mqtt={"url": None, "urls": ["mqtts://a.example", "ws://b.example"]})
    why = "an attacker who blocks the wss:// address gets the login over ws://"
    assert found == [f"error mqtt.urls[1]: {why}: write wss:// for all addresses"]


QUERY = {"url": "ws://b.example/mqtt?token=hunter2-canary", "username": None, "password": None}
SENT: dict[str, tuple[str, Settings, str, str]] = {
    "broker": ("mqtt", {"url": "mqtt://b.example"}, "mqtt", "the password"),
    "address": ("mqtt", {"url": "mqtt://192.0.2.1:1884"}, "mqtt", "the password"),
    "websocket": ("mqtt", {"url": "WS://b.example/x"}, "ws", "the password"),
    "token": ("mqtt", QUERY, "ws", "the query of the address, which may hold a token"),
    "basic": (
        "pbxs[0]",
        {"url": "http://pbx.example", "auth": "basic"},
        "http",
        "the password (auth: basic)",
    ),
}
"""Where a secret goes over the network as it is: the section, its keys, the scheme, the secret in words."""


@pytest.mark.parametrize("name", SENT)
def test_a_secret_over_an_open_wire(folder: Path, name: str) -> None:
    """Refused; with `insecure: true` allowed, and said at each start."""
    section, keys, scheme, secret = SENT[name]
    argument = "mqtt" if section == "mqtt" else "pbx"
    way = f"write {ENCRYPTED[scheme]}://, or insecure: true to accept the risk"
    refused = f"error {section}.url: anybody on the network path could read {secret}: {way}"
    assert heard(folder, **{argument: keys}) == [refused]
    assert heard(folder, **{argument: {**keys, "insecure": False}}) == [refused]
    read = f"anybody on the network path can read {secret}, and read and change everything else"
    allowed = f"warn {section}.insecure: true: {scheme}:// is not encrypted: {read}"
    assert heard(folder, **{argument: {**keys, "insecure": True}}) == [allowed]


def test_a_standby_over_an_open_wire(folder: Path) -> None:
    """Named by its place: a primary on this machine hides nothing."""
    urls = ["http://127.0.0.1:8080", "http://pbx.example"]
    way = "write https://, or insecure: true to accept the risk"
    words = f"anybody on the network path could read the password (auth: basic): {way}"
    found = heard(folder, pbx={"url": None, "urls": urls, "auth": "basic"})
    assert found == [f"error pbxs[0].urls[1]: {words}"]
    found = heard(folder, pbx={"url": None, "urls": urls})
    assert found == [f"warn pbxs[0].urls[1]: http:// is not encrypted: {OPEN}; write https://"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9:99", "[::1]", "localhost", "LOCALHOST."])
def test_this_machine_needs_no_encryption(folder: Path, host: str) -> None:
    """Nor a word."""
    pbx = {"url": f"http://{host}", "auth": "basic"}
    for scheme in ("mqtt", "ws"):
        assert heard(folder, mqtt={"url": f"{scheme}://{host}"}, pbx=pbx) == []


def test_what_is_readable_without_a_secret_is_a_warning(folder: Path) -> None:
    """Digest does not send the password, and a broker may need none: the calls can be read all the same."""
    pbx, mqtt = {"url": "http://pbx.example"}, {"url": "mqtt://b.example", "username": None, "password": None}
    assert heard(folder, mqtt=mqtt, pbx=pbx) == [
        f"warn mqtt.url: mqtt:// is not encrypted: {OPEN}; write mqtts://",
        f"warn pbxs[0].url: http:// is not encrypted: {OPEN}; write https://",
    ]


@pytest.mark.parametrize(
    "keys", [{}, {"url": "http://pbx.example"}, {"url": "http://127.0.0.1", "auth": "basic"}]
)
def test_a_permission_that_is_not_needed(folder: Path, keys: Settings) -> None:
    """It would allow tomorrow what nobody wants: said, and nothing hides behind it."""
    found = heard(folder, pbx={**keys, "insecure": True})
    assert found[0] == f"warn pbxs[0].insecure: {IDLE}"
    assert len(found) == (2 if keys.get("url") == "http://pbx.example" else 1)
    assert heard(folder, mqtt={"insecure": True}) == [f"warn mqtt.insecure: {IDLE}"]


def test_a_certificate_that_nobody_checks_is_a_warning(folder: Path) -> None:
    """Of the broker as of a PBX."""
    unchecked = {"tls": {"verify": False}}
    assert heard(folder, mqtt=unchecked, pbx=unchecked) == [
        f"warn mqtt.tls.verify: {UNVERIFIED}",
        f"warn pbxs[0].tls.verify: {UNVERIFIED}",
    ]


@pytest.mark.parametrize("section", ["mqtt", "pbx"])
def test_keys_of_tls_that_exclude_each_other(folder: Path, section: str) -> None:
    """The same towards both sides: one way to know who answers."""
    place = "mqtt" if section == "mqtt" else "pbxs[0]"
    idle = "has no effect with verify: false; remove one of them"
    pins = "sha256: pins the certificate; remove verify and ca_file"
    cases = [
        (
            {"ca_file": "ca.pem", "verify": False},
            f"ca_file: {idle}",
        ),
        ({"sha256": PIN, "ca_file": "ca.pem"}, pins),
        ({"sha256": PIN, "verify": False}, pins),
        ({"sha256": PIN[:-1]}, "sha256: expected 64 hexadecimal digits, colons allowed"),
    ]
    for tls, words in cases:
        assert heard(folder, **{section: {"tls": tls}}) == [f"error {place}.tls.{words}"]
    assert heard(folder, **{section: {"tls": {"sha256": PIN.lower(), "verify": True}}}) == []


PRIVATE: dict[str, tuple[Settings, str, str]] = {
    "key": ({"cert_file": "client.pem", "key_file": "client.key"}, "client.key", "key_file"),
    "both in one file": ({"cert_file": "client.key"}, "client.key", "cert_file"),
}


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602])
def test_a_private_key_is_as_secret_as_a_password(folder: Path, name: str, mode: int) -> None:
    """Refused where others can read it, with the way out; the certificate may be public."""
    tls, secret, key = PRIVATE[name]
    (folder / "client.pem").chmod(0o644)
    (folder / secret).chmod(mode)
    words = f"'{folder / secret}' is readable by everybody: chmod o-rwx"
    assert heard(folder, mqtt={"tls": tls}) == [f"error mqtt.tls.{key}: {words}"]
    (folder / secret).chmod(0o640)
    assert heard(folder, mqtt={"tls": tls}) == []


def test_a_key_without_its_certificate(folder: Path) -> None:
    """Nothing would be sent."""
    found = heard(folder, mqtt={"tls": {"key_file": "client.key"}})
    assert found == ["error mqtt.tls.key_file: has no effect without cert_file; give both"]


@pytest.fixture
def of_others() -> Iterator[Path]:
    """A folder of root's with a key that everybody can read, seen by a user who cannot change that."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else for a moment")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "client.key").write_text(KEY)
        (folder / "client.key").chmod(0o444)
        os.seteuid(NOBODY)
        yield folder
        os.seteuid(0)


def test_a_key_whose_mode_only_others_can_change_is_a_warning(of_others: Path) -> None:
    """As for passwords: Docker and Kubernetes mount secrets as 0444, owned by root."""
    found = heard(of_others, mqtt={"tls": {"cert_file": "client.key"}})
    words = f"'{of_others / 'client.key'}' is readable by everybody on this machine"
    assert found == [f"warn mqtt.tls.cert_file: {words}"]


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("localhost.", True),
        ("0.0.0.0", False),  # noqa: S104  (nothing listens)
        ("::", False),
        ("128.0.0.1", False),
        ("127.0.0.1.example", False),
        ("localhost.example", False),
        ("broker.localhost", False),
        ("", False),
    ],
)
def test_what_this_machine_is_called(host: str, *, here: bool) -> None:
    """By its address or as localhost, nothing else: names are not resolved."""
    assert is_loopback(host) is here
