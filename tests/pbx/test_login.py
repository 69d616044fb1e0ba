"""Logging in: to the simulated PBX in each way it knows, and to servers with odd or unknown challenges."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import trustme

from bridge.errors import LinkError, Rejected, Unreachable
from bridge.net.tls import TlsSettings, context
from bridge.pbx.client import Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.http import Http
from bridge.pbx.soap import Soap
from bridge.sim.auth import Account
from bridge.sim.pbx import SimPbx
from tests.kit.raw_http import RawHttp, answer, raw_http
from tests.pbx.attempt import attempt
from tests.running import FAST, STAFF

SOAP = Soap()
DIGEST = 'WWW-Authenticate: Digest realm="r", nonce="n{}", qop="auth"'
NAMES = ["admin", "Jörg Müller", 'a"b', "back\\slash", "日本語", "comma, equals=", "a b"]
PASSWORDS = ["secret", 'quo"te', "back\\slash", "schlüssel: ß", "  "]


async def versions(account: Account, endpoint: Endpoint, times: int = 3) -> list[str]:
    """Ask some times over one connection."""
    async with (
        SimPbx(STAFF, replace(FAST, account=account)) as sim,
        Client(SOAP, replace(endpoint, url=sim.soap_url), poll_s=5, request_s=5) as client,
    ):
        return [(await client.version()).firmware for _ in range(times)]


@pytest.mark.parametrize(
    "algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"]
)
@pytest.mark.parametrize("name", NAMES)
async def test_digest_with_each_algorithm(algorithm: str, name: str) -> None:
    """Names in UTF-8, as they are, encoded, or hashed."""
    for utf8, userhash in product((False, True), repeat=2):
        account = Account(name, "schlüssel", algorithm=algorithm, utf8=utf8, userhash=userhash)
        assert await versions(account, Endpoint("", name, "schlüssel"), 2) == ["14r2 simulated"] * 2


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize("mode", ["digest", "basic"])
async def test_passwords(password: str, mode: str) -> None:
    """Whatever is in them."""
    account = Account("Jörg", password, mode)
    assert await versions(account, Endpoint("", "Jörg", password, mode)) == ["14r2 simulated"] * 3


async def test_the_next_nonce_is_taken() -> None:
    """No request is sent twice where each answer names the next nonce."""

    def answers(number: int, request: bytes) -> bytes:
        if b'nonce="n%d"' % (number - 1) in said(request):
            return answer(b"<ok/>", "200 OK", f'Authentication-Info: qop=auth, nextnonce="n{number}"')
        return unauthorised(DIGEST.format(number))

    async with raw_http(answers) as server, Http(Endpoint(server.url, "admin", "x")) as client:
        for _ in range(5):
            await client.post(b"<q/>", {}, 5)
    assert len(server.requests) == 1 + 5
    assert all(b"nc=00000001" in said(request) for request in server.requests[1:])


async def test_nonces_that_two_connections_take_from_each_other() -> None:
    """A whole session where each answer makes all older nonces stale."""
    account = Account("admin", "secret", algorithm="SHA-256", next_nonce=True)
    async with SimPbx(STAFF, replace(FAST, account=account)) as sim:
        ending = await attempt(sim.soap_url, within_s=5)
    assert ending.error.reason == "a new session was asked for"


async def test_a_wrong_password_is_tried_once() -> None:
    """A PBX may lock an account after a few."""
    with pytest.raises(Rejected, match="rejected the credentials of 'admin'") as error:
        await versions(Account("admin", "right"), Endpoint("", "admin", "canary-1"))
    assert "canary-1" not in error.value.reason


def unauthorised(*headers: str) -> bytes:
    """A 401 with its challenges."""
    return answer(b"no", "401 Unauthorized", *headers)


async def post(server: RawHttp, **account: str) -> bytes:
    """One request, with the password canary-1 unless something else is said."""
    who = {"username": "admin", "password": "canary-1", "auth": "digest", **account}
    endpoint = Endpoint(server.url, who["username"], who["password"], who["auth"])
    async with Http(endpoint) as client:
        return await client.post(b"<q/>", {}, 5)


def said(request: bytes) -> bytes:
    """The Authorization header of a request; empty where there is none."""
    lines = [line for line in request.split(b"\r\n") if line.lower().startswith(b"authorization:")]
    return lines[0] if lines else b""


UNKNOWN = {
    "algorithm": ['WWW-Authenticate: Digest realm="r", nonce="n", algorithm=TIGER, qop="auth"'],
    "qop": ['WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-conf"'],
    "no-nonce": ['WWW-Authenticate: Digest realm="r", qop="auth"'],
    "beside-basic": ['WWW-Authenticate: Digest nonce="n", algorithm=X, Basic realm="r"'],
    "basic": ['WWW-Authenticate: Basic realm="r"'],
    "negotiate": ["WWW-Authenticate: Negotiate YWJj=="],
    "garbage": ['WWW-Authenticate: \xff\xfe"=,;,,"', "WWW-Authenticate:"],
    "none": [],
}
WORDS = {
    "algorithm": "a digest that is not supported: algorithm TIGER, qop auth",
    "qop": "a digest that is not supported: qop auth-conf",
    "no-nonce": "a digest that is not supported: qop auth",
    "beside-basic": "a digest that is not supported: algorithm X",
    "basic": (
        "it offers basic authentication only, or an attacker on the path does; "
        "over http the attacker would read the password: use https, then set auth: basic"
    ),
    "negotiate": "it offers neither digest nor basic authentication",
    "garbage": "it offers neither digest nor basic authentication",
    "none": "it offers neither digest nor basic authentication",
}


ADVICE = {
    "ca": "it offers basic authentication only: set auth: basic",
    "pin": "it offers basic authentication only: set auth: basic",
    "nothing": (
        "it offers basic authentication only, or an attacker on the path does; "
        "with verify: false the attacker would read the password: set tls.sha256 first"
    ),
}


@pytest.mark.parametrize("known_by", ADVICE)
async def test_basic_is_advised_where_we_know_who_answers(tmp_path: Path, known_by: str) -> None:
    """There the password cannot be overheard; else somebody on the way may have written the offer."""
    ca, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = ca.issue_cert("127.0.0.1")
    issued.configure_cert(server)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    der = ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
    settings = {
        "ca": TlsSettings(ca_file=str(tmp_path / "ca.pem")),
        "pin": TlsSettings(sha256=hashlib.sha256(der).hexdigest()),
        "nothing": TlsSettings(verify=False),
    }
    async with raw_http(unauthorised(*UNKNOWN["basic"]), tls=server) as pbx:
        tls = context(settings[known_by])
        async with Http(Endpoint(f"HTTPS://127.0.0.1:{pbx.port}", "admin", "canary-1", tls=tls)) as client:
            with pytest.raises(Rejected) as error:
                await client.post(b"<q/>", {}, 5)
    assert f"({ADVICE[known_by]})" in error.value.reason
    assert said(pbx.requests[0]) == b""


@pytest.mark.parametrize("name", UNKNOWN)
async def test_challenges_that_cannot_be_answered(name: str) -> None:
    """Rejected with a sentence; nothing of the account was sent, no advice shows the password."""
    async with raw_http(unauthorised(*UNKNOWN[name])) as server:
        with pytest.raises(Rejected) as error:
            await post(server)

    assert WORDS[name] in error.value.reason
    assert [said(request) for request in server.requests] == [b""]


KNOWN: dict[str, Sequence[str]] = {
    "beside-unknown": ['WWW-Authenticate: Digest nonce="x", algorithm=TIGER', DIGEST],
    "in-one-header": [f'{DIGEST}, Digest nonce="x", algorithm=TIGER, Basic realm="x"'],
    "qop-beside-unknown": [DIGEST.replace('"auth"', '"new, auth"')],
    "latin-1": [DIGEST.replace('"r"', '"B\xfcro"')],
    "utf-8": [DIGEST.replace('"r"', '"B\xc3\xbcro"')],
    "quoted": [DIGEST.replace('"r"', r'"a\"b\\"')],
    "no-qop": ['WWW-Authenticate: Digest realm="r", nonce="n{}"'],
    "folded": ['WWW-Authenticate: Digest realm="r",\r\n\tnonce="n{}",\r\n qop="auth"'],
    "capitals": ['www-AUTHENTICATE: dIGEST REALM="r", NONCE="n{}", ALGORITHM=md5'],
}


@pytest.mark.parametrize("name", KNOWN)
async def test_challenges_that_are_answered(name: str) -> None:
    """What is odd about them does no harm; realm and nonce come back byte by byte."""

    def answers(_: int, request: bytes) -> bytes:
        challenge = unauthorised(*(line.replace("{}", "") for line in KNOWN[name]))
        return answer() if b'nonce="n"' in said(request) else challenge

    async with raw_http(answers) as server:
        assert await post(server) == b"<ok/>"

    assert len(server.requests) == 2
    assert b"Digest " in said(server.requests[1])
    if name in {"latin-1", "utf-8", "quoted"}:
        realm = KNOWN[name][0].partition("realm=")[2].partition(", nonce")[0].encode("latin-1")
        assert b"realm=" + realm in said(server.requests[1])


@pytest.mark.parametrize(("stale", "sent"), [(", stale=true", 3), ("", 2)])
async def test_a_challenge_again(stale: str, sent: int) -> None:
    """A stale nonce is replaced once; a plain second 401 is a refusal."""
    async with raw_http(lambda number, _: unauthorised(DIGEST.format(number) + stale)) as server:
        with pytest.raises(Rejected):
            await post(server)

    assert len(server.requests) == sent


async def test_the_count_goes_up_for_each_nonce() -> None:
    """And starts at one with the next."""

    def answers(number: int, request: bytes) -> bytes:
        wanted = b'nonce="n1"' if number < 5 else b'nonce="n5"'
        return answer() if wanted in said(request) else unauthorised(DIGEST.format(number))

    async with raw_http(answers) as server, Http(Endpoint(server.url, "admin", "x")) as client:
        for _ in range(5):
            await client.post(b"<q/>", {}, 5)

    counts = [said(request).partition(b"nc=")[2][:8] for request in server.requests]
    assert counts == [b"", b"00000001", b"00000002", b"00000003", b"00000004", b"00000001", b"00000002"]


@pytest.mark.parametrize(
    ("username", "password", "auth", "words"),
    [
        ("a\r\nX: y", "p", "digest", "a user name with a control character"),
        ("a", "\ud800", "digest", "cannot be encoded as UTF-8"),
        ("\udcff", "p", "basic", "cannot be encoded as UTF-8"),
        ("a:b", "p", "basic", "a user name with a colon"),
    ],
)
async def test_accounts_that_cannot_be_sent(username: str, password: str, auth: str, words: str) -> None:
    """A sentence, no bug, and no header of somebody's choice."""
    async with raw_http(unauthorised(DIGEST)) as server:
        with pytest.raises(Rejected, match=words):
            await post(server, username=username, password=password, auth=auth)

    assert all(b"X: y" not in request for request in server.requests)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ([DIGEST], "(it offers digest authentication only: set auth: digest)"),
        (['WWW-Authenticate: Basic realm="r"'], "of 'admin'"),
    ],
)
async def test_basic_is_refused(headers: list[str], words: str) -> None:
    """It is tried once."""
    async with raw_http(unauthorised(*headers)) as server:
        with pytest.raises(LinkError) as error:
            await post(server, auth="basic")

    assert words in error.value.reason
    assert isinstance(error.value, Rejected)
    assert len(server.requests) == 1


async def test_other_trouble_after_a_login() -> None:
    """The status counts, whatever else is in the answer."""
    odd = answer(b"no", "503 Busy", "Authentication-Info: nextnonce=, ??", DIGEST)
    async with raw_http(odd) as server:
        with pytest.raises(Unreachable, match="HTTP 503"):
            await post(server)
