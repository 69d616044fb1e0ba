"""The configuration of PBXs that a master has found, from its own and from what it says. Opens nothing."""

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from bridge.config.locations import LocationOverride, Locations
from bridge.config.schema import Config, Pbx
from bridge.core.locations import Home, found_name

_OWN = frozenset({"url", "urls", "dynamic_pbx", "password_file", "settle_s", "locations"})
"""What a found PBX does not inherit."""
_OVERRIDES = ("username", "auth", "tls", "session_user")
NOBODY = "the master knows no address of it: give its url in locations.overrides"
TAKEN = "the name {name} is taken: give another in locations.overrides"
KNOWN = "its address has an entry of its own, or is that of another location"
Addresses = Mapping[str, Mapping[str, str]]
"""The addresses of locations, by the name of their master."""
LeftOut = dict[tuple[str, str], str]
"""Why a location is not served, by its master and its name."""


class FoundPbx(Pbx):
    """The PBX of a location, with the settings of its master but for what `locations.overrides` says."""

    found_as: Home

    @property
    def home(self) -> Home:
        """The location."""
        return self.found_as


def address_of(master: Pbx, location: str, url: str) -> str:
    """The address to use, if the PBX gives this one for a location. Raises ValueError for one to refuse."""
    locations, override = _locations(master, location)
    if override.url is not None:
        return override.url
    if not url:
        raise ValueError(NOBODY)
    sent = (override.auth or master.auth) == "basic"
    return locations.admitted(url, master.urls or (master.url or "",), secret_sent=sent)


def found(master: Pbx, location: str, url: str) -> FoundPbx:
    """The PBX of a location at this address. Raises ValueError for settings that do not fit together."""
    locations, override = _locations(master, location)
    names = {location, ""} if locations.empty == "own" else {location}
    values = {key: getattr(master, key) for key in Pbx.model_fields if key not in _OWN}
    values |= {key: own for key in _OVERRIDES if (own := getattr(override, key)) is not None}
    values |= {
        "name": override.name or found_name(master.name, location),
        "url": url,
        "password": SecretStr(override.secret or master.secret or ""),
        "found_as": Home(frozenset(names), master.name, location),
    }
    try:
        return FoundPbx.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(first["msg"].removeprefix("Value error, ")) from None


def is_own(master: Pbx, location: str, url: str) -> bool:
    """Whether the address of a location is that of the master itself. Raises ValueError, see `found`."""
    return _place(found(master, location, url)) in places(master)


def served(config: Config, masters: Sequence[Pbx], addresses: Addresses) -> tuple[list[FoundPbx], LeftOut]:
    """The PBXs to serve for the locations of these masters, and why others are left out.

    A PBX with an entry of its own in the configuration is left to that entry, and has its name.
    """
    names = {pbx.name for pbx in config.pbxs}
    known = {place for pbx in config.pbxs for place in places(pbx)}
    serve, left_out = list[FoundPbx](), LeftOut()
    for master in masters:
        for location, url in sorted(addresses.get(master.name, {}).items()):
            if _locations(master, location)[1].ignore:
                continue
            try:
                pbx = found(master, location, address_of(master, location, url))
            except ValueError as error:
                left_out[master.name, location] = str(error)
                continue
            if pbx.name in names:
                left_out[master.name, location] = TAKEN.format(name=pbx.name)
            elif _place(pbx) in known:
                left_out[master.name, location] = KNOWN
            else:
                names.add(pbx.name)
                known.add(_place(pbx))
                serve.append(pbx)
    return serve, left_out


def wrong_overrides(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The overrides that cannot work, whatever the master says: place and sentence."""
    names = {pbx.name for pbx in config.pbxs}
    for index, pbx in enumerate(config.pbxs):
        for number, override in enumerate(pbx.locations.overrides if pbx.locations else ()):
            place = ("pbxs", index, "locations", "overrides", number)
            try:
                found(pbx, override.location, override.url or pbx.url or pbx.urls[0])
            except ValueError as error:
                yield place, str(error)
            if override.name in names:
                yield (*place, "name"), "given twice: another PBX has this name"
            if override.name is not None:
                names.add(override.name)


def _locations(master: Pbx, location: str) -> tuple[Locations, LocationOverride]:
    locations = master.locations or Locations()
    return locations, locations.override(location)


def places(pbx: Pbx) -> frozenset[object]:
    """What identifies the addresses of a PBX."""
    return frozenset(map(_split, pbx.endpoints))


def _place(pbx: Pbx) -> tuple[str, str, int, str]:
    return _split(pbx.endpoints[0])


def _split(url: str) -> tuple[str, str, int, str]:
    """What identifies an address, however it is written."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
        parts.path,
    )
