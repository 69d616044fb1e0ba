"""Parses the request of an HTTP client and judges where it came from. Opens no socket and knows no page.

No library: a GET without a body needs one line and one header of it, and nothing else of HTTP is accepted.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(rb"(?P<method>[A-Z]{1,16}) (?P<target>[!-~]+) HTTP/1\.[01]")
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `host`: the Host header without its port. `peer`: the address of the client."""

    method: str
    target: str
    host: str = ""
    peer: str = ""

    @property
    def local(self) -> bool:
        """The client runs on this machine."""
        return _is_loopback(self.peer)

    def names(self, hosts: Collection[str]) -> bool:
        """The Host header is an IP address, localhost or one of these names.

        This stops DNS rebinding: a browser that a hostile page has sent here names the host of that page.
        """
        return self.host in {"localhost", *hosts} or _is_address(self.host)


def read(head: bytes, peer: str) -> Request | None:
    """Parse the head of a request; None if it is not HTTP/1 or does not name exactly one host."""
    first, *lines = head.splitlines() or [b""]
    line = _LINE.fullmatch(first)
    found = [value for name, _, value in (each.partition(b":") for each in lines) if name.lower() == b"host"]
    host = _HOST.fullmatch(b"".join(found).decode("latin-1").strip())
    if line is None or host is None or len(found) > 1:
        return None
    name = (host["six"] or host["name"]).lower().removesuffix(".")
    return Request(line["method"].decode(), line["target"].decode(), name, peer)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
