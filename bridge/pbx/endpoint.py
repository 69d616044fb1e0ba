"""Where a PBX is, and whether the way there is encrypted: decided here, once, from the parsed address."""

import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote

from bridge.errors import Rejected
from bridge.net.addresses import split

_PORTS = {"http": 80, "https": 443}
_PATH_SAFE = "/:@!$&'()*+,;=-._~%?"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of a PBX and our account there. `auth`: digest or basic. `tls`: what https checks by."""

    url: str
    username: str
    password: str = field(repr=False)
    auth: str = "digest"
    tls: ssl.SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was understood. `authority` is the Host header. Only http has no `tls`."""

    host: str
    port: int
    path: str
    authority: str
    tls: ssl.SSLContext | None = field(repr=False)


def target(endpoint: Endpoint) -> Target:
    """Read the address. Raises Rejected, above all for https without settings to check the certificate by."""
    try:
        parts = split(endpoint.url, tuple(_PORTS), "https://pbx.example")
    except ValueError as error:
        raise Rejected(f"the address of the PBX cannot be used: {error}") from None
    encrypted = parts.scheme == "https"
    if encrypted and endpoint.tls is None:
        raise Rejected(f"{endpoint.url} needs TLS, and there is nothing to check its certificate by")
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
