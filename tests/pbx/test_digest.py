"""Challenges read and answered: the vectors of the RFCs, another implementation, and garbage."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.auth import HTTPDigestAuth

from bridge.pbx.challenge import Challenge, challenges, parameters
from bridge.pbx.digest import Account, Digest, Request, Use, authorization, best, unknown

MUFASA, CNONCE = Account("Mufasa", "Circle of Life"), "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
NOT_ASCII = (
    'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
    'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
    'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", '
    "charset=UTF-8, userhash=true"
)


def understood(*headers: str) -> Digest:
    """The challenge that is answered; there is one."""
    found = best(challenges(headers))
    assert found is not None
    return found


def fields(header: str | None) -> Mapping[str, str]:
    """The parts of an Authorization header."""
    assert header is not None
    (read,) = challenges([header])
    assert read.scheme == "digest"
    return read.parameters


def answered(header: str, account: Account, uri: str, *, cnonce: str, count: int = 1) -> Mapping[str, str]:
    """The parts of the answer to a challenge, for a GET without a body."""
    digest = understood(header)
    return fields(authorization(digest, account, Request("GET", uri, b""), Use(digest.nonce, count, cnonce)))


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_vectors_of_rfc_7616(algorithm: str, response: str) -> None:
    """Section 3.9.1."""
    given = answered(RFC_7616.format(algorithm), MUFASA, "/dir/index.html", cnonce=CNONCE)

    assert given["response"] == response
    assert (given["qop"], given["nc"], given["algorithm"]) == ("auth", "00000001", algorithm)
    assert given["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"


def test_a_name_that_is_not_ascii() -> None:
    """Section 3.9.2, with the erratum 4897: the figures of the RFC itself are not those of SHA-512/256."""
    account = Account("J\u00e4s\u00f8n Doe", "Secret, or not?")
    hashed = answered(NOT_ASCII, account, "/doe.json", cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v")
    plain = answered(
        NOT_ASCII.replace("true", "false"), account, "/doe.json", cnonce="NTg6RKcb9boFIAS3KrFK9BGeh"
    )

    assert hashed["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert hashed["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert hashed["userhash"] == "true"
    assert plain["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
    assert "username" not in plain


def test_the_vector_of_rfc_2617() -> None:
    """Section 3.5."""
    header = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    given = answered(header, Account("Mufasa", "Circle Of Life"), "/dir/index.html", cnonce="0a4f113b")

    assert given["response"] == "6629fae49393a05397450978507c4ef1"
    assert "algorithm" not in given


def test_without_qop() -> None:
    """RFC 2069, with the erratum of its example: no count, and no nonce of ours."""
    header = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    given = answered(header, Account("Mufasa", "CircleOfLife"), "/dir/index.html", cnonce="unused")

    assert given["response"] == "1949323746fe6a43ef61f9606e7febea"
    assert not {"nc", "cnonce", "qop"} & set(given)


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NAMES = TEXTS.filter(lambda text: ":" not in text)


@given(
    NAMES,
    TEXTS,
    st.text("abc xyz@.-", min_size=1),
    st.sampled_from(["MD5", "MD5-SESS", "SHA-256", ""]),
    st.sampled_from(["auth", ""]),
)
def test_another_implementation_agrees(
    name: str, password: str, realm: str, algorithm: str, qop: str
) -> None:
    """That of requests, for what it knows: the same proof from the same nonce and count."""
    challenge = {"realm": realm, "nonce": "n0nce", **({"algorithm": algorithm} if algorithm else {})}
    challenge |= {"qop": "auth"} if qop else {}
    oracle = HTTPDigestAuth(name, password)
    oracle.init_per_thread_state()
    oracle._thread_local.chal = challenge
    theirs = oracle.build_digest_header("POST", "http://pbx/PBX0/user.soap")
    cnonce = re.search(r'cnonce="(\w+)"', theirs or "")
    if algorithm == "MD5-SESS" and not cnonce:
        return  # requests does not say which one it took
    header = "Digest " + ", ".join(f'{key}="{value}"' for key, value in challenge.items())
    digest = understood(header)
    use = Use("n0nce", 1, cnonce[1] if cnonce else "")
    ours = authorization(digest, Account(name, password), Request("POST", "/PBX0/user.soap", b""), use)

    assert fields(ours)["response"] == re.search(r'response="(\w+)"', theirs or "")[1]  # type: ignore[index]


def test_the_strongest_that_we_know() -> None:
    """In whatever order, header or number they come; what nobody knows is left out."""
    offers = [
        'Newauth a=b, Basic realm="x", Digest realm="1", nonce="n", algorithm=TIGER, qop="auth"',
        'Digest realm="2", nonce="n", Digest realm="3", nonce="n", algorithm=sha-256, qop="auth"',
        'Negotiate, Digest realm="4", nonce="n", algorithm=SHA-512-256, qop="auth-conf"',
        'Digest realm="5", algorithm=SHA-256, qop="auth"',
        'Digest realm="6", nonce="n", algorithm=SHA-512-256-sess, qop="new, AUTH-INT"',
    ]

    assert understood(*offers).realm == "6"
    assert understood(*offers[:4]).realm == "3"
    assert understood(*offers[:2]).algorithm == "sha-256"
    assert best(challenges(offers[:1])) is None
    assert best(challenges(offers[3:4])) is None
    assert unknown(challenges(offers[:1])) == "algorithm TIGER, qop auth"
    assert unknown(challenges(offers[3:4])) == "algorithm SHA-256, qop auth"
    assert unknown(challenges(['Digest nonce="n", algorithm="<script>"'])) == "an incomplete challenge"


def test_the_body_is_proven_where_that_is_all_they_take() -> None:
    """The form auth is preferred, auth-int done."""
    digest = understood('Digest realm="r", nonce="n", qop="auth-int"')
    one, other = (
        fields(authorization(digest, MUFASA, Request("POST", "/", body), Use("n", 1, "c")))
        for body in (b"1", b"2")
    )

    assert one["qop"] == "auth-int"
    assert one["response"] != other["response"]
    assert understood('Digest realm="r", nonce="n", qop="auth-int, auth"').qop == "auth"


def test_a_session_key_stays_when_the_nonce_changes() -> None:
    """-sess: made of the first nonce (RFC 7616 3.4.2), and its nonce of ours is said even without qop."""
    digest = understood('Digest realm="r", nonce="first", algorithm=MD5-sess, qop="auth"')
    request = Request("POST", "/", b"")
    first = fields(authorization(digest, MUFASA, request, Use("first", 1, "c")))
    later = fields(authorization(digest, MUFASA, request, Use("later", 1, "c")))
    old = understood('Digest realm="r", nonce="first", algorithm=MD5-sess')

    assert first["response"] != later["response"]
    assert (first["nonce"], later["nonce"]) == ("first", "later")
    assert fields(authorization(old, MUFASA, request, Use("first", 1, "c")))["cnonce"] == "c"


@given(TEXTS, st.booleans())
def test_user_names_arrive_as_they_are(name: str, utf8: bool) -> None:  # noqa: FBT001
    """Umlauts, quotation marks, backslashes: in UTF-8, escaped, or percent-encoded."""
    header = 'Digest realm="r", nonce="n", qop="auth"' + (", charset=UTF-8" if utf8 else "")
    digest = understood(header)
    text = authorization(digest, Account(name, "p"), Request("POST", "/", b""), Use("n", 1, "c"))
    given = fields(text)
    if "username*" in given:
        assert utf8
        assert unquote(given["username*"].removeprefix("UTF-8''")) == name
    else:
        assert given["username"].encode("latin-1").decode() == name


@pytest.mark.parametrize("name", ["a\r\nX-Header: b", "a\0", "\x7f"])
def test_control_characters_cannot_be_said(name: str) -> None:
    """No header can be smuggled in; with charset=UTF-8 they are percent-encoded."""
    request, use = Request("POST", "/", b""), Use("n", 1, "c")
    digest, utf8 = understood('Digest nonce="n"'), understood('Digest nonce="n", charset=utf-8')
    text = authorization(utf8, Account(name, "p"), request, use)

    assert authorization(digest, Account(name, "p"), request, use) is None
    assert text is not None
    assert text.isprintable()


def test_a_realm_comes_back_byte_by_byte() -> None:
    """Latin-1, UTF-8, quoted pairs: what the server wrote is what it gets, in proof and header."""
    realm = 'B\u00fcro "\\ \u00c3\u00a4'
    digest = understood('Digest realm="B\u00fcro \\"\\\\ \u00c3\u00a4", nonce="n", opaque="\\"o"')
    given = fields(authorization(digest, MUFASA, Request("POST", "/", b""), Use("n", 1, "c")))

    assert digest.realm == given["realm"] == realm
    assert given["opaque"] == '"o'


READ = {
    'Basic realm="x"': [Challenge("basic", {"realm": "x"})],
    "basic": [Challenge("basic")],
    "Negotiate YWJj==, BASIC Realm = x": [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
    'Digest realm="a, b", nonce=n, , stale=TRUE': [
        Challenge("digest", {"realm": "a, b", "nonce": "n", "stale": "TRUE"})
    ],
    'Digest qop=auth,auth-int, nonce="n"': [
        Challenge("digest", {"qop": "auth", "nonce": "n"}),
        Challenge("auth-int"),
    ],
    'Digest nonce=a/b+c==, realm="x"': [Challenge("digest", {"nonce": "a/b+c==", "realm": "x"})],
    'Digest nonce="first", nonce="second"': [Challenge("digest", {"nonce": "first"})],
    'Digest realm="open, nonce="n"': [Challenge("digest", {"nonce": "n"})],
    "Digest ??, nonce=n": [Challenge("digest", {"nonce": "n"})],
    '"", =, Basic realm=x': [Challenge("basic", {"realm": "x"})],
    "": [],
    ",": [],
}


@pytest.mark.parametrize("header", READ)
def test_headers_that_are_read(header: str) -> None:
    """The forms of RFC 9110, and what can be saved of others."""
    assert [*challenges([header])] == READ[header]


def test_the_next_nonce() -> None:
    """Authentication-Info has parameters only."""
    assert parameters('nextnonce="n2", ??, qop=auth') == {"nextnonce": "n2", "qop": "auth"}


PIECES = st.sampled_from(
    [*'",=\\ \t', "Digest ", "Basic", "realm", "nonce", "n", "qop", "auth", "\u00fc", "\x00"]
)


@given(st.lists(st.one_of(st.lists(PIECES).map("".join), st.text(st.characters(max_codepoint=255)))))
def test_garbage_never_raises(headers: list[str]) -> None:
    """Nothing at all is read from it, or something that can be answered."""
    offers = challenges(headers)
    found = best(offers)
    if found is not None:
        text = authorization(found, MUFASA, Request("POST", "/", b""), Use(found.nonce, 1, "c"))
        assert text is not None
        assert not set(text) & set("\r\n\0")
        text.encode("latin-1")
    assert unknown(offers).isprintable()
    assert all(parameters(header) is not None for header in headers)
