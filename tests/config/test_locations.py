"""The section `locations`: what it accepts, which addresses it lets in, and what a found PBX inherits."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config.file import load
from bridge.config.found import KNOWN, NOBODY, address_of, found, is_own, served
from bridge.config.schema import Config, Pbx
from bridge.core.locations import Home
from bridge.errors import ConfigError

PBX = {"name": "hq", "url": "https://pbx.example", "username": "u", "password": "p", "session_user": "API"}


def master(locations: Any = "auto", **changes: Any) -> Pbx:
    """An entry with locations."""
    return Pbx.model_validate({**PBX, "locations": locations, **changes})


def config(*pbxs: Any) -> Config:
    """A configuration with these entries."""
    return Config.model_validate({"pbxs": list(pbxs)})


def test_the_word_auto_is_enough() -> None:
    """And `off`, which YAML reads as false, is none."""
    assert master().locations == master({}).locations is not None
    assert [master(word).locations for word in (None, False, "off")] == [None, None, None]
    assert (master().home is None, master(None).home is None) == (False, True)


BAD: dict[str, tuple[Any, str]] = {
    "a word": ("on", "pbxs[0].locations: expected a section of keys, like 'hosts: ...'"),
    "true": (True, "pbxs[0].locations: expected a section of keys, like 'hosts: ...'"),
    "a host": (
        {"hosts": ["a b"]},
        (
            "pbxs[0].locations.hosts[0]: expected a host, like pbx-*.example or 10.1.2.3:8443, "
            "or a network, like 10.1.0.0/16"
        ),
    ),
    "a network": (
        {"hosts": ["10.0.0.1/8"]},
        "pbxs[0].locations.hosts[0]: expected the first address of a network, like 10.1.0.0/16",
    ),
    "a port": (
        {"hosts": ["a:x"]},
        "pbxs[0].locations.hosts[0]: expected a port, or * for any, behind the colon",
    ),
    "a location": ({"overrides": [{}]}, "pbxs[0].locations.overrides[0].location: required"),
    "twice": (
        {"overrides": [{"location": "b"}, {"location": "b"}]},
        "pbxs[0].locations.overrides[1].location: given twice, first in line 9",
    ),
    "a name": (
        {"overrides": [{"location": "b", "name": "hq"}]},
        "pbxs[0].locations.overrides[0].name: given twice: another PBX has this name",
    ),
    "two names": (
        {"overrides": [{"location": "b", "name": "x"}, {"location": "c", "name": "x"}]},
        "pbxs[0].locations.overrides[1].name: given twice: another PBX has this name",
    ),
    "http with tls": (
        {"overrides": [{"location": "b", "url": "http://b.example", "tls": {"verify": False}}]},
        (
            "pbxs[0].locations.overrides[0]: has no effect with http://: "
            "write https:// in the address, or remove it"
        ),
    ),
    "basic": (
        {"overrides": [{"location": "b", "url": "http://b.example", "auth": "basic"}]},
        (
            "pbxs[0].locations.overrides[0]: anybody on the network path could read "
            "the password (auth: basic): write https://, or insecure: true to accept the risk"
        ),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_section_is_refused(case: str, tmp_path: Path) -> None:
    """With its line, as everything in the file."""
    locations, sentence = BAD[case]
    file = tmp_path / "b.yaml"
    file.write_text(yaml.safe_dump({"pbxs": [{**PBX, "locations": locations}]}, sort_keys=False))
    with pytest.raises(ConfigError) as error:
        load(file)
    assert [problem.split(": ", 1)[1] for problem in error.value.problems] == [sentence]


S = "https"
ADDRESSES: list[tuple[dict[str, Any], str, str]] = [
    # What the entry says, what the PBX says, and what becomes of it; empty: it is refused.
    ({}, f"{S}://pbx.example/PBX0-b/user.soap", f"{S}://pbx.example/PBX0-b/user.soap"),
    ({}, f"{S}://PBX.example:443/x/user.soap", f"{S}://pbx.example:443/x/user.soap"),
    ({}, f"{S}://10.1.2.3/PBX0/user.soap", f"{S}://10.1.2.3/PBX0/user.soap"),
    ({}, f"{S}://[fd00::1]/PBX0/user.soap", f"{S}://[fd00::1]/PBX0/user.soap"),
    ({}, f"{S}://10.1.2.3", f"{S}://10.1.2.3"),
    ({}, f"{S}://pbx.example:444/x/user.soap", ""),
    ({}, f"{S}://10.1.2.3:6379/x/user.soap", ""),
    ({}, f"{S}://pbx.example.evil.example/x/user.soap", ""),
    ({}, "http://10.1.2.3/PBX0/user.soap", ""),
    ({}, f"{S}://8.8.8.8/PBX0/user.soap", ""),
    ({}, f"{S}://127.0.0.1/PBX0/user.soap", ""),
    ({}, f"{S}://localhost/PBX0/user.soap", ""),
    ({}, f"{S}://[::1]/PBX0/user.soap", ""),
    ({}, f"{S}://[::ffff:10.0.0.1]/PBX0/user.soap", ""),
    ({}, f"{S}://169.254.169.254/PBX0/user.soap", ""),
    ({}, f"{S}://0x7f.1/PBX0/user.soap", ""),
    ({}, f"{S}://2130706433/PBX0/user.soap", ""),
    ({}, f"{S}://u:p@10.1.2.3/PBX0/user.soap", ""),
    ({}, f"{S}://10.1.2.3/admin", ""),
    ({}, f"{S}://10.1.2.3/x?y=.soap", ""),
    ({}, f"{S}://10.1.2.3/PBX0/user.soap\r\nHost: x", ""),
    ({}, "ftp://10.1.2.3/user.soap", ""),
    ({}, "nonsense", ""),
    ({}, "", ""),
    ({"auth": "basic"}, f"{S}://10.1.2.3/PBX0/user.soap", ""),
    ({"auth": "basic"}, f"{S}://pbx.example/PBX0/user.soap", f"{S}://pbx.example/PBX0/user.soap"),
    ({"hosts": ["b.example"], "auth": "basic"}, f"{S}://b.example", f"{S}://b.example"),
    ({"hosts": ["*.b.example"]}, f"{S}://x.b.example", f"{S}://x.b.example"),
    ({"hosts": ["*.b.example"]}, f"{S}://b.example", ""),
    ({"hosts": ["*.b.example"]}, f"{S}://10.1.2.3", ""),
    ({"hosts": ["10.1.0.0/16"]}, f"{S}://10.1.2.3", f"{S}://10.1.2.3"),
    ({"hosts": ["10.1.0.0/16"]}, f"{S}://10.2.2.3", ""),
    ({"hosts": ["10.1.0.0/16"]}, f"{S}://name.example", ""),
    ({"hosts": ["10.1.*"]}, f"{S}://10.1.2.3", f"{S}://10.1.2.3"),
    ({"hosts": ["10.1.*"]}, f"{S}://10.1.evil.example", ""),
    ({"hosts": ["1?.*"]}, f"{S}://10.evil.example", ""),
    ({"hosts": ["*"]}, f"{S}://name.example", f"{S}://name.example"),
    ({"hosts": ["10.1.0.0/16:8443"]}, f"{S}://10.1.2.3:8443", f"{S}://10.1.2.3:8443"),
    ({"hosts": ["b.example:8443"]}, f"{S}://b.example:8443", f"{S}://b.example:8443"),
    ({"hosts": ["b.example:8443"]}, f"{S}://b.example", ""),
    ({"hosts": ["b.example:*"]}, f"{S}://b.example:1", f"{S}://b.example:1"),
    ({"hosts": ["[fd00::1]:8443"]}, f"{S}://[fd00::1]:8443", f"{S}://[fd00::1]:8443"),
    ({"hosts": ["fd00::/8"]}, f"{S}://[fd00::1]", f"{S}://[fd00::1]"),
]


@pytest.mark.parametrize(("says", "url", "used"), ADDRESSES)
def test_where_the_login_may_go(says: dict[str, Any], url: str, used: str) -> None:
    """The address comes from the master, so it is hostile until it has been checked."""
    entry = master({"hosts": says.get("hosts", [])}, auth=says.get("auth", "digest"))
    if used:
        assert address_of(entry, "b", url) == used
    else:
        with pytest.raises(ValueError, match=r".+"):
            address_of(entry, "b", url)


def test_a_found_pbx_has_the_settings_of_its_master() -> None:
    """But for its address, and for what its override says."""
    override = {"location": "c", "name": "see", "username": "v", "password": "q", "session_user": "S"}
    locations = {"hosts": ["*.example"], "overrides": [override], "empty": "master"}
    entry = master(locations, forwards=True, limits={"users": 7}, dynamic_pbx="d")
    plain, other = (found(entry, each, "https://b.example") for each in "bc")
    assert (plain.name, plain.username, plain.secret) == ("hq-b", "u", "p")
    assert (other.name, other.username, other.secret, other.session_user) == ("see", "v", "q", "S")
    assert plain.endpoints == ("https://b.example/PBX0/user.soap",)
    assert (plain.forwards, plain.limits.users, plain.locations) == (True, 7, None)
    assert plain.home == Home(frozenset({"b"}), "hq", "b")
    assert found(master(), "b", "https://b.example").home.names == {"b", ""}


def test_which_locations_are_served() -> None:
    """Each address once, each name once; a configured PBX keeps both."""
    overrides = [{"location": "y", "ignore": True}, {"location": "z", "url": "https://z.example"}]
    first, second = (
        master({"hosts": ["*.example"], "overrides": overrides}),
        master({"hosts": ["*"]}, name="two", url="https://two.example"),
    )
    own = {**PBX, "name": "hq-oslo", "url": "https://own.example"}
    whole = config(first, second, own)
    urls = {"b": "https://b.example", "c": "https://b.example", "d": "https://own.example:443"}
    addresses = {
        "hq": {**urls, "oslo": "https://oslo.example", "x": "", "y": "https://y.example"},
        "two": {"b": "https://two-b.example"},
    }
    serve, left_out = served(whole, whole.pbxs, addresses)
    assert [pbx.name for pbx in serve] == ["hq-b", "two-b"]
    assert address_of(first, "z", "https://elsewhere.org") == "https://z.example"
    assert left_out == {
        ("hq", "c"): KNOWN,
        ("hq", "d"): KNOWN,
        ("hq", "oslo"): "the name hq-oslo is taken: give another in locations.overrides",
        ("hq", "x"): NOBODY,
    }
    assert (is_own(first, "b", "https://pbx.example"), is_own(first, "b", "https://b.example")) == (
        True,
        False,
    )


def test_an_override_is_judged_by_its_own_settings() -> None:
    """The master sends its password by https; a location has a login and an http address of its own."""
    login = {"username": "v", "password": "q", "auth": "digest"}
    entry = master({"overrides": [{"location": "b", "url": "http://b.example", **login}]}, auth="basic")
    assert is_own(entry, "b", address_of(entry, "b", "")) is False
