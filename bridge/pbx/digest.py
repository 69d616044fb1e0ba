"""Digest authentication of RFC 7616, and of RFC 2069 where a server offers no qop. Pure: no clock, no random.

It is written here because no maintained library covers it: httpx, aiohttp and requests lack userhash, read
one challenge per header and fail on unknown ones; the dedicated packages on PyPI date from 2011 to 2022.
The server's proof in Authentication-Info (rspauth) is not verified: embedded servers often get it wrong,
and TLS identifies the PBX.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from bridge.pbx.challenge import Challenge

_ALGORITHMS = {"sha-512-256": "sha512_256", "sha-256": "sha256", "md5": "md5"}
"""Strongest first, each also with -sess; the values are the names in hashlib."""
_QOPS = ("auth", "auth-int", "")
_SESS = "-sess"


@dataclass(frozen=True, slots=True)
class Account:
    """The credentials."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A challenge that can be answered. Texts are Latin-1, so they hold the bytes of the header.

    `algorithm`: as the server wrote it, empty where it wrote none. `qop`: auth, auth-int or empty (RFC 2069).
    """

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str
    qop: str
    stale: bool
    userhash: bool
    utf8: bool


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a challenge. `nonce`: the latest, from the challenge or from nextnonce."""

    nonce: str
    count: int
    cnonce: str


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that its digest covers."""

    method: str
    uri: str
    body: bytes


def best(offers: Iterable[Challenge]) -> Digest | None:
    """The strongest digest challenge that is supported, the first of equals; None if there is none."""
    known = [digest for offer in offers if (digest := _understood(offer)) is not None]
    return min(known, key=lambda digest: (_strength(digest), _QOPS.index(digest.qop)), default=None)


def unknown(offers: Iterable[Challenge]) -> str:
    """The algorithms and qops of unsupported digest challenges, for an error message."""
    asked = [
        f"{name} {value}"
        for offer in offers
        if offer.scheme == "digest"
        for name in ("algorithm", "qop")
        if (value := offer.parameters.get(name, "")[:40]).replace("-", "").isalnum() and value.isascii()
    ]
    return ", ".join(dict.fromkeys(asked)) or "an incomplete challenge"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What all answers to one challenge have in common, so that each request costs one hash.

    `secret` and `asked` are the hashes of the account and of the request line (RFC 7616 3.4.1); `asked` is
    empty where the body counts too. `start`, `middle` and `end` stand around nonce, response and count.
    """

    digest: Digest
    request_line: str
    secret: str = field(repr=False)
    asked: str
    start: str
    middle: str
    end: str

    def header(self, body: bytes, use: Use) -> str:
        """The value of the Authorization header, as Latin-1."""
        hashed, qop = _hash_of(self.digest), self.digest.qop
        asked = self.asked or hashed(f"{self.request_line}:{hashed(body)}".encode("latin-1"))
        nonce = _quoted(use.nonce)
        if not qop:
            response = hashed(f"{self.secret}:{use.nonce}:{asked}".encode("latin-1"))
            return f'{self.start}{nonce}{self.middle}"{response}"{self.end}'
        count = f"{use.count:08x}"
        text = f"{self.secret}:{use.nonce}:{count}:{use.cnonce}:{qop}:{asked}"
        response = hashed(text.encode("latin-1"))
        return f'{self.start}{nonce}{self.middle}"{response}", nc={count}{self.end}'


def prepared(digest: Digest, account: Account, method: str, uri: str, cnonce: str) -> Prepared | None:
    """Prepare the answers to a challenge; None if no header can carry the user name."""
    username = _username(digest, account)
    if username is None:
        return None
    hashed, line = _hash_of(digest), f"{method}:{uri}"
    fields = [f"algorithm={digest.algorithm}"] if digest.algorithm else []
    if digest.opaque is not None:
        fields.append(f"opaque={_quoted(digest.opaque)}")
    if digest.qop:
        fields.append(f"qop={digest.qop}")
    if digest.qop or _is_sess(digest):
        fields.append(f'cnonce="{cnonce}"')
    if digest.userhash:
        fields.append("userhash=true")
    return Prepared(
        digest,
        line,
        secret=_secret(digest, account, cnonce),
        asked="" if digest.qop == "auth-int" else hashed(line.encode("latin-1")),
        start=f"Digest {username}, realm={_quoted(digest.realm)}, nonce=",
        middle=f", uri={_quoted(uri)}, response=",
        end="".join(f", {each}" for each in fields),
    )


def authorization(digest: Digest, account: Account, request: Request, use: Use) -> str | None:
    """The value of the Authorization header, as Latin-1; None if it cannot carry the user name."""
    answers = prepared(digest, account, request.method, request.uri, use.cnonce)
    return None if answers is None else answers.header(request.body, use)


def _understood(offer: Challenge) -> Digest | None:
    given = offer.parameters
    algorithm = given.get("algorithm", "")
    offered = {word.strip().lower() for word in given.get("qop", "").split(",")}
    qop = next((qop for qop in _QOPS if qop in offered), None)
    name = _ALGORITHMS.get((algorithm or "md5").lower().removesuffix(_SESS))
    if offer.scheme != "digest" or not given.get("nonce") or qop is None:
        return None
    if name not in hashlib.algorithms_available:
        return None
    return Digest(
        realm=given.get("realm", ""),
        nonce=given["nonce"],
        opaque=given.get("opaque"),
        algorithm=algorithm,
        qop=qop,
        stale=given.get("stale", "").lower() == "true",
        userhash=given.get("userhash", "").lower() == "true",
        utf8=given.get("charset", "").lower() == "utf-8",
    )


def _strength(digest: Digest) -> int:
    return list(_ALGORITHMS).index((digest.algorithm or "md5").lower().removesuffix(_SESS))


def _is_sess(digest: Digest) -> bool:
    return digest.algorithm.lower().endswith(_SESS)


def _username(digest: Digest, account: Account) -> str | None:
    """The user name as its hash, percent-encoded, or plain: whichever the server supports (RFC 7616 3.4)."""
    raw = account.username.encode()
    if digest.userhash:
        return f'username="{_hash_of(digest)(raw + b":" + digest.realm.encode("latin-1"))}"'
    if digest.utf8 and not (account.username.isascii() and account.username.isprintable()):
        return f"username*=UTF-8''{quote(raw, safe='')}"
    if any(ord(char) < ord(" ") or char == "\x7f" for char in account.username):
        return None
    return f"username={_quoted(raw.decode('latin-1'))}"


def _secret(digest: Digest, account: Account, cnonce: str) -> str:
    """The hash of the account."""
    hashed = _hash_of(digest)
    realm = digest.realm.encode("latin-1")
    secret = hashed(b":".join((account.username.encode(), realm, account.password.encode())))
    if not _is_sess(digest):
        return secret
    # Always the first nonce, even after nextnonce: the session key is computed once (RFC 7616 3.4.2).
    return hashed(f"{secret}:{digest.nonce}:{cnonce}".encode("latin-1"))


def _hash_of(digest: Digest) -> Callable[[bytes], str]:
    name = _ALGORITHMS[(digest.algorithm or "md5").lower().removesuffix(_SESS)]
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
