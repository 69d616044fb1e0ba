"""The section `locations` of a PBX: whether the other PBXs of its system are found, and which are let in.

An address comes from the master and decides where the login goes, so it is checked here. Finds nothing.
"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, model_validator

from bridge.config.tls import Tls
from bridge.config.types import MisplacedError, PbxName, PbxUrl, Section, WithPassword, pbx_url

_PORTS = {"http": 80, "https": 443}
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_MOST_LOCATIONS = 1000


def auto(value: object) -> object:
    """The word `auto` stands for the section with its defaults; YAML reads `off` as false."""
    return (
        {"auto": {}, "off": None, False: None}.get(value, value) if isinstance(value, str | bool) else value
    )


def _host_rule(rule: str) -> str:
    """A network, or a pattern for a host, with a port or not."""
    host, port = _parts(rule)
    if "/" in host:
        try:
            ip_network(host)
        except ValueError:
            raise ValueError("expected the first address of a network, like 10.1.0.0/16") from None
    elif not host or set(host) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.*?:"):
        raise ValueError(
            "expected a host, like pbx-*.example or 10.1.2.3:8443, or a network, like 10.1.0.0/16"
        )
    if port and not set(port) <= set("0123456789*"):
        raise ValueError("expected a port, or * for any, behind the colon")
    return rule


HostRule = Annotated[str, AfterValidator(_host_rule)]


class LocationOverride(WithPassword):
    """What differs at one location. `name`: what the found PBX is called, in place of its name by rule."""

    location: str = Field(min_length=1, max_length=1024)
    ignore: bool = False
    name: PbxName | None = None
    url: PbxUrl | None = None
    username: str | None = Field(None, min_length=1)
    auth: Literal["digest", "basic"] | None = None
    tls: Tls | None = None
    session_user: str | None = Field(None, min_length=1)


class Locations(Section):
    """How the other PBXs of the system are found, and how many at most.

    `hosts`: where their addresses may lead besides the hosts of the master; by default to private addresses.
    `empty`: whose users have an empty location in the list of a found PBX: its own, or those of the master.
    `grace_s`: how long a location is served after its last user has gone. `ask_s`: how often to ask for the
    address of one that is not reached.
    """

    hosts: tuple[HostRule, ...] = Field((), strict=False)
    limit: int = Field(50, ge=1, le=_MOST_LOCATIONS)
    empty: Literal["own", "master"] = "own"
    grace_s: float = Field(60, gt=0, le=86_400)
    ask_s: float = Field(60, gt=0, le=3_600)
    overrides: tuple[LocationOverride, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _once(self) -> Self:
        first: dict[str, int] = {}
        for index, override in enumerate(self.overrides):
            before = first.setdefault(override.location, index)
            if before != index:
                here = ("overrides", index, "location")
                raise MisplacedError("given twice", *here, see=("overrides", before, "location"))
        return self

    def override(self, location: str) -> LocationOverride:
        """What differs at a location; nothing for one that the configuration does not name."""
        named = (each for each in self.overrides if each.location == location)
        return next(named, LocationOverride(location="?"))

    def admitted(self, url: str, masters: Sequence[str], *, secret_sent: bool) -> str:
        """The address that the PBX gave, in its usual form. Raises ValueError for one to refuse.

        `masters`: the configured addresses of the master. `secret_sent`: the login sends the password.
        """
        url = pbx_url(url)
        parts, own = urlsplit(url), [urlsplit(master) for master in masters]
        if parts.scheme not in {each.scheme for each in own}:
            raise ValueError(f"{parts.scheme}:// where the master has {own[0].scheme}://")
        host, port = parts.hostname or "", _port(parts)
        usual = {_PORTS[parts.scheme], *map(_port, own)}
        if host in {each.hostname for each in own} and port in usual:
            return url
        by_default = not self.hosts and not secret_sent and _private(host) and port in usual
        if not by_default and not any(_fits(rule, host, port, usual) for rule in self.hosts):
            raise ValueError(f"locations.hosts does not allow {parts.netloc}")
        return url


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _parts(rule: str) -> tuple[str, str]:
    """Host and port of a rule; IPv6 needs brackets only before a port."""
    if rule.startswith("["):
        host, _, port = rule[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = rule.rpartition(":")
    return (host, port) if colon and ":" not in host else (rule, "")


def _fits(rule: str, host: str, port: int, usual: Iterable[int]) -> bool:
    """Whether a rule of `hosts` allows a host. Without a port it allows the usual ones."""
    wanted, wanted_port = _parts(rule)
    if not (fnmatchcase(str(port), wanted_port) if wanted_port else port in usual):
        return False
    if "/" not in wanted:
        return fnmatchcase(host, wanted) and (not _numeric(wanted) or _ip(host))
    try:
        return ip_address(host) in ip_network(wanted)
    except ValueError:
        return False


def _numeric(pattern: str) -> bool:
    """A pattern like `10.1.*` means IP addresses: anybody may own the name 10.1.example."""
    return pattern.strip("*.") != "" and set(pattern) <= set("0123456789.*?")


def _ip(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _private(host: str) -> bool:
    try:
        return any(ip_address(host) in network for network in _PRIVATE)
    except ValueError:
        return False
