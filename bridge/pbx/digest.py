"""Digest authentication as in RFC 7616, and RFC 2069 where a server offers no qop. Pure: no clock, no random.

No kept library does this whole: httpx, aiohttp and requests know no userhash, read one challenge of a header,
and fail on what they do not know; the packages on PyPI that are named for it are from 2011 to 2022.
The server's proof in Authentication-Info (rspauth) is not checked: embedded servers often get it wrong,
and TLS is what identifies a PBX.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote

from bridge.pbx.challenge import Challenge

_ALGORITHMS = {"sha-512-256": "sha512_256", "sha-256": "sha256", "md5": "md5"}
"""Best first; each also with -sess. The second name is hashlib's."""
_QOPS = ("auth", "auth-int", "")
_SESS = "-sess"


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A challenge that can be answered. Texts are Latin-1 with the bytes of the header.

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
    """One use of a challenge. `nonce`: the last one given, by the challenge or by nextnonce."""

    nonce: str
    count: int
    cnonce: str


@dataclass(frozen=True, slots=True)
class Request:
    """What of a request goes into the proof."""

    method: str
    uri: str
    body: bytes


def best(offers: Iterable[Challenge]) -> Digest | None:
    """The strongest digest challenge that we can answer; of equals the first. None: there is none."""
    known = [digest for offer in offers if (digest := _understood(offer)) is not None]
    return min(known, key=lambda digest: (_strength(digest), _QOPS.index(digest.qop)), default=None)


def unknown(offers: Iterable[Challenge]) -> str:
    """What a server asks for with the digest challenges that we cannot answer, for a sentence."""
    asked = [
        f"{name} {value}"
        for offer in offers
        if offer.scheme == "digest"
        for name in ("algorithm", "qop")
        if (value := offer.parameters.get(name, "")[:40]).replace("-", "").isalnum() and value.isascii()
    ]
    return ", ".join(dict.fromkeys(asked)) or "an incomplete challenge"


def authorization(digest: Digest, account: Account, request: Request, use: Use) -> str | None:
    """The value of the Authorization header, as Latin-1. None for a user name that it cannot carry."""
    username = _username(digest, account)
    if username is None:
        return None
    fields = [
        username,
        f"realm={_quoted(digest.realm)}",
        f"nonce={_quoted(use.nonce)}",
        f"uri={_quoted(request.uri)}",
        f'response="{_response(digest, account, request, use)}"',
    ]
    if digest.algorithm:
        fields.append(f"algorithm={digest.algorithm}")
    if digest.opaque is not None:
        fields.append(f"opaque={_quoted(digest.opaque)}")
    if digest.qop:
        fields += [f"qop={digest.qop}", f"nc={use.count:08x}"]
    if digest.qop or _is_sess(digest):
        fields.append(f'cnonce="{use.cnonce}"')
    if digest.userhash:
        fields.append("userhash=true")
    return "Digest " + ", ".join(fields)


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
    """The user name as its hash, percent-encoded where the server knows that (RFC 7616 3.4), or as it is."""
    raw = account.username.encode()
    if digest.userhash:
        return f'username="{_hash_of(digest)(raw + b":" + digest.realm.encode("latin-1"))}"'
    if digest.utf8 and not (account.username.isascii() and account.username.isprintable()):
        return f"username*=UTF-8''{quote(raw, safe='')}"
    if any(ord(char) < ord(" ") or char == "\x7f" for char in account.username):
        return None
    return f"username={_quoted(raw.decode('latin-1'))}"


def _response(digest: Digest, account: Account, request: Request, use: Use) -> str:
    hashed = _hash_of(digest)
    realm, nonce = digest.realm.encode("latin-1"), use.nonce.encode("latin-1")
    secret = hashed(b":".join((account.username.encode(), realm, account.password.encode())))
    if _is_sess(digest):
        # The first nonce, whatever nextnonce says: the key of the session is made once (RFC 7616 3.4.2).
        secret = hashed(f"{secret}:{digest.nonce}:{use.cnonce}".encode("latin-1"))
    done = f"{request.method}:{request.uri}"
    if digest.qop == "auth-int":
        done += f":{hashed(request.body)}"
    asked = hashed(done.encode("latin-1"))
    if not digest.qop:
        return hashed(b":".join((secret.encode(), nonce, asked.encode())))
    middle = f"{use.count:08x}:{use.cnonce}:{digest.qop}".encode()
    return hashed(b":".join((secret.encode(), nonce, middle, asked.encode())))


def _hash_of(digest: Digest) -> Callable[[bytes], str]:
    name = _ALGORITHMS[(digest.algorithm or "md5").lower().removesuffix(_SESS)]
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
