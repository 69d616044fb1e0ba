"""Addresses: refused when the configuration is read, or usable as long as the program runs."""

import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.config.file import masked
from bridge.config.schema import Config
from bridge.net.addresses import listening, split

PBX = {"name": "hq", "username": "u", "password": "p", "session_user": "API"}
TLS = ssl.create_default_context()


def made(**sections: Any) -> Config:
    """A configuration of one PBX."""
    pbx = {"url": "https://pbx.example", **PBX, **sections.pop("pbx", {})}
    return Config.model_validate({"pbxs": [pbx], **sections})


def refusal(**sections: Any) -> str:
    """The sentence with which a configuration is refused, and its place."""
    with pytest.raises(ValidationError) as error:
        made(**sections)
    (detail,) = (one for one in error.value.errors() if one["type"] != "too_short")
    return f"{'.'.join(map(str, detail['loc']))}: {detail['ctx']['error']}"


BAD_HOSTS = {
    "pbx\u200b.example": "invisible",
    "pbx\u00ad": "invisible",
    "pbx .example": "contains a space",
    "pbx\t": "contains a space",
    "\u00fc_": "not a valid name",
    "a..b": "not a valid name",
    ".a": "not a valid name",
    "-a": "not a valid name",
    "a%20b": "not a valid name",
    "a" * 64: "not a valid name",
    ".".join(["a" * 50] * 6): "not a valid name",
    "1.2.3": "not a valid IP address",
    "256.1.1.1": "not a valid IP address",
    "0x7f000001": "not a valid IP address",
    "[fe80::1%eth0]": "with a zone",
    "[fe80::1": "expected a URL with a host",
    "[v1.x]": "expected a URL with a host",
    "": "expected a URL with a host",
    "a:0": "the port must be 1 to 65535",
    "a:65536": "the port must be 1 to 65535",
    "a:": "the port must be 1 to 65535",
    "a:8x": "the port must be 1 to 65535",
    "u:p@a": "no user name or password here",
    "@a": "no user name or password here",
}


@pytest.mark.parametrize("host", BAD_HOSTS)
@pytest.mark.parametrize("place", ["pbx", "standby", "broker", "websocket"])
def test_a_host_that_cannot_work_is_refused_at_once(place: str, host: str) -> None:
    """Wherever an address stands, with the place of its key."""
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "pbx": ("pbxs.0.url: ", {"pbx": {"url": f"HTTPS://{host}"}}),
        "standby": ("pbxs.0.urls.1: ", {"pbx": {"url": None, "urls": ["http://a", f"http://{host}/"]}}),
        "broker": ("mqtt.url: ", {"mqtt": {"url": f"mqtt://{host}"}}),
        "websocket": ("mqtt.url: ", {"mqtt": {"url": f"WSS://{host}/mqtt?token=1"}}),
    }
    start, sections = cases[place]
    sentence = refusal(**sections)

    assert sentence.startswith(start)
    assert BAD_HOSTS[host] in sentence


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://a/?x=1", "give only the host, or the full address ending in /user.soap"),
        ("https://a/PBX0/user.soap?x", "give only the host, or the full address ending in /user.soap"),
        ("https://a/PBX0/user.soap?", "give only the host, or the full address ending in /user.soap"),
        ("https://a#x", "give only the host, or the full address ending in /user.soap"),
        ("https://a/\u00e9.soap", "give only the host, or the full address ending in /user.soap"),
        ("httpss://a", "expected http:// or https://"),
        ("//a", "expected http:// or https://"),
        ("a:80", "expected a URL with a host, like https://pbx.example"),
    ],
)
def test_what_a_pbx_address_cannot_have(url: str, sentence: str) -> None:
    """It would be dropped or mangled on the way."""
    assert refusal(pbx={"url": url}) == f"pbxs.0.url: {sentence}"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mqtt://a/x", "only ws:// and wss:// may have a path or a query"),
        ("mqtts://a?x", "only ws:// and wss:// may have a path or a query"),
        ("wss://a/mqtt#x", "contains # or a character that is not ASCII: percent-encode it, like %23"),
        ("ws://a/\u00e9", "contains # or a character that is not ASCII: percent-encode it, like %23"),
        ("tcp://a", "expected mqtt://, mqtts://, ws:// or wss://"),
        ("127.0.0.1:1884", "expected a URL with a host, like mqtt://broker.example"),
    ],
)
def test_what_a_broker_address_cannot_have(url: str, sentence: str) -> None:
    """With the broker's own example."""
    assert refusal(mqtt={"url": url}) == f"mqtt.url: {sentence}"


@pytest.mark.parametrize(
    "listen", ["a:65536", "[::1]", "::1:80", ":80", "a_b\u200b:80", "[x]:80", "1.2.3:80"]
)
def test_what_the_pages_cannot_listen_on(listen: str) -> None:
    """Refused with the configuration, not when the socket is made."""
    assert refusal(http={"listen": listen}).startswith("http.listen: ")


def test_probes_listen_as_pages_do() -> None:
    """The same forms, the same refusals."""
    assert refusal(http={"probes": "1.2.3:80"}).startswith("http.probes: ")
    assert (
        refusal(http={"probes": "127.0.0.1:9642"})
        == "http: http.listen uses this address; choose another port, or off"
    )


@pytest.mark.parametrize("host", ["a b", "bridge:80", "http://bridge", "", "1.2.3", "*.example"])
def test_what_is_no_name_of_a_host(host: str) -> None:
    """Names alone: no port, no URL, no pattern."""
    assert refusal(http={"hosts": ["good.example", host]}).startswith("http.hosts.1: ")


def test_addresses_are_tidied() -> None:
    """Capitals, slashes at the end and letters outside ASCII; a WebSocket keeps its path and query."""
    config = made(
        mqtt={"url": "WSS://B\u00fccher.example/a/?token=geheim"},
        pbx={"url": "HTTPS://PBX.Example:8443///"},
    )

    assert config.pbxs[0].endpoints == ("https://pbx.example:8443/PBX0/user.soap",)
    (address,) = config.mqtt.brokers
    assert (address.place, address.encrypted) == (("xn--bcher-kva.example", 443), True)
    assert address.websocket_path == "/a/?token=geheim"
    assert made(mqtt={"url": "wss://b?x=1"}).mqtt.brokers[0].websocket_path == "/mqtt?x=1"
    assert "geheim" not in masked(config)
    assert "wss://xn--bcher-kva.example/a/?**********" in masked(config)
    assert made(pbx={"url": "http://pbx.soap"}).pbxs[0].endpoints == ("http://pbx.soap/PBX0/user.soap",)
    complete = made(pbx={"url": "http://[2001:DB8::1]/PBX0/user.soap/"})
    assert complete.pbxs[0].endpoints == ("http://[2001:db8::1]/PBX0/user.soap",)


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("aA\u00fc\u00df\u200b_-.:%[]1\u0663@?#/\\ \uff21x"), max_size=12))
def test_an_address_that_is_taken_can_be_used(text: str) -> None:
    """By the resolver, by TLS and in a header: nothing of the form of an address fails later."""
    try:
        host = split(f"https://{text}", ("http", "https"), "").hostname
        named = listening(f"{text}:1")[0]
    except ValueError:
        return
    for each in (host, named):
        assert each is not None
        assert each.encode("idna").decode() == each
        TLS.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=each.removesuffix("."))
