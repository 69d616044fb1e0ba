"""The address of a PBX, parsed once; here alone is decided whether the connection is encrypted."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote

from bridge.errors import Rejected
from bridge.net.addresses import split

_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/:@!$&'()*+,;=-._~%?"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of a PBX and the account. `auth`: digest or basic. `tls`: verifies https certificates."""

    url: str
    username: str
    password: str = field(repr=False)
    auth: str = "digest"
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed address. `authority` is the value of the Host header. `tls` is None for http only."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None = field(repr=False)


def target(endpoint: Endpoint) -> Target:
    """Parse the URL. Raises Rejected if it is invalid, or https without a TLS context."""
    try:
        parts = split(endpoint.url, tuple(_PORTS), "https://pbx.example")
    except ValueError as error:
        raise Rejected(f"the address of the PBX cannot be used: {error}") from None
    encrypted = parts.scheme == "https"
    if encrypted and endpoint.tls is None:
        raise Rejected(f"{endpoint.url} needs TLS, and no TLS settings are given")
    return Target(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        path=_path(parts),
        authority=parts.netloc,
        tls=endpoint.tls if encrypted else None,
    )


def _path(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return quote((parts.path or "/") + query, safe=_PATH_SAFE)
