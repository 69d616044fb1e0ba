"""Checks addresses in the configuration before anything connects to them. Resolves nothing.

The rules are those that apply when connecting (Python's IDNA, label lengths, numeric addresses), so that no
address fails later because of its form. Errors never quote an address: people write passwords into them.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

MOST_PORT = 65_535
_LABEL = re.compile(r"(?!xn--.*_)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LONGEST_HOST = 253
_LISTEN = re.compile(r"(?:\[(?P<six>[^\[\]]*:[^\[\]]*)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")


def split(url: str, schemes: Sequence[str], example: str) -> SplitResult:
    """Split a URL; scheme and host become lower-case ASCII. Raises ValueError with a sentence for people."""
    shape = f"expected a URL with a host, like {example}"
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("contains a space, a backslash or an invisible character: retype it")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise ValueError(shape) from None
    if "@" in parts.netloc:
        raise ValueError("no user name or password here: use username and password_file")
    if not host or ("[" in parts.netloc) != (":" in host):
        raise ValueError(shape)
    if parts.scheme not in schemes:
        *first, last = (f"{scheme}://" for scheme in schemes)
        raise ValueError(f"expected {', '.join(first)} or {last}")
    port = _port(parts)
    host = f"[{ascii_host(host)}]" if ":" in host else ascii_host(host)
    return parts._replace(netloc=host if port is None else f"{host}:{port}")


def ascii_host(host: str) -> str:
    """Encode a host name for DNS; an IP address stays as it is. Raises ValueError for anything else."""
    if ":" in host:
        return _checked(IPv6Address, host)
    try:
        name = host.lower().encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("the host is not a valid name") from None
    labels = name.removesuffix(".").split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _checked(IPv4Address, name)
    if len(name) > _LONGEST_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("the host is not a valid name")
    return name


def is_loopback(host: str) -> bool:
    """Whether the host is this machine: a loopback address or `localhost`."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower().removesuffix(".") == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def listening(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPv6]:PORT`. Raises ValueError with a sentence for people."""
    parts = _LISTEN.fullmatch(text)
    if parts is None or not text.isprintable():
        raise ValueError("expected HOST:PORT, like 127.0.0.1:9642 or [::1]:9642, or off")
    if (port := int(parts["port"])) > MOST_PORT:
        raise ValueError(f"the port must be 0 to {MOST_PORT}")
    return ascii_host(parts["six"] or parts["host"]), port


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"the port must be 1 to {MOST_PORT}")
    return port


def _checked(kind: type[IPv4Address | IPv6Address], host: str) -> str:
    try:
        address = kind(host)
    except ValueError:
        raise ValueError("the host is not a valid IP address") from None
    if getattr(address, "scope_id", None) is not None:
        raise ValueError("an IP address with a zone, like %eth0, cannot be used")
    return host
