"""The PBXs of one system: who is at home where, how a found PBX is named, which ones to serve. Pure.

A master lists the users of all PBXs of its system, each with its location (docs/wire.md#several-pbxs). A
location is a PBX; its calls are reported there alone, so each location gets a link of its own.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

_LONGEST_NAME, _DIGEST = 28, 6
SELDOM = 10
"""A location that is reached is asked for this many times less often than one that is not."""


@dataclass(frozen=True, slots=True)
class Home:
    """Which locations of users are this PBX itself; users of other locations are not published here.

    `master` and `location`: by whom, and as what, the PBX was found; empty for a configured one.
    """

    names: frozenset[str]
    master: str = ""
    location: str = ""

    @property
    def finds(self) -> bool:
        """The PBX is a master, whose users elsewhere are looked for."""
        return not self.master

    def also(self, name: str) -> "Home":
        """The same home, with the name that a master gives itself."""
        return replace(self, names=self.names | {name}) if self.finds else self


def found_name(master: str, location: str) -> str:
    """The name of a found PBX, always the same for the same two names: `hq` and `Berlin` are `hq-berlin`.

    Where characters have to go, or the name would be too long, it ends in a digest of both names instead, so
    that two locations do not share a name. Those that differ only in case do (`BERLIN`).
    """
    plain = unicodedata.normalize("NFKD", location.lower()).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")
    name = f"{master}-{plain}"
    if plain == location.lower() and len(name) <= _LONGEST_NAME:
        return name
    digest = sha256(f"{master}/{location}".encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[: _LONGEST_NAME - _DIGEST - 1].rstrip('-')}-{digest}"


@dataclass(frozen=True, slots=True)
class _Known:
    """A location: its last good address, when to ask for it, and when to give it up, if nobody is there."""

    url: str
    due_s: float
    over_s: float | None = None


class Watch:
    """Which locations of a master to ask for, to serve and to give up. Times are seconds of one clock.

    `grace_s`: how long a location is served after its last user has gone. `ask_s`: when to ask again for the
    address of one that is not reached. `at_most`: more locations are left out.
    """

    def __init__(self, grace_s: float, ask_s: float, at_most: int) -> None:
        self._grace_s = grace_s
        self._ask_s = ask_s
        self._at_most = at_most
        self._known: dict[str, _Known] = {}
        self.left_out = 0

    def tuned(self, grace_s: float, ask_s: float, at_most: int) -> None:
        """Go on with other settings."""
        self._grace_s, self._ask_s, self._at_most = grace_s, ask_s, at_most

    def remember(self, addresses: Mapping[str, str], now_s: float) -> None:
        """Serve what an earlier run has found, until the master tells otherwise."""
        room = max(0, self._at_most - len(self._known))
        kept = [each for each in addresses.items() if each[0] not in self._known][:room]
        self._known |= {location: _Known(url, now_s) for location, url in kept}

    def saw(self, locations: Collection[str], now_s: float) -> None:
        """The master has a complete list: these are the locations of its users."""
        for location, known in tuple(self._known.items()):
            if location in locations:
                self._known[location] = replace(known, over_s=None)
            elif known.over_s is None:
                self._known[location] = replace(known, over_s=now_s + self._grace_s)
            elif known.over_s <= now_s:
                del self._known[location]
        new = sorted(set(locations).difference(self._known))
        room = max(0, self._at_most - len(self._known))
        self._known |= {location: _Known("", now_s) for location in new[:room]}
        self.left_out = len(new[room:])

    def lost(self) -> None:
        """The master is away: nobody knows who is where, so nothing is given up."""
        self._known = {location: replace(known, over_s=None) for location, known in self._known.items()}

    def due(self, reached: Collection[str], now_s: float) -> Iterator[str]:
        """The locations whose address is to be asked for now. `reached`: those that need it least."""
        for location, known in self._known.items():
            wait_s = self._ask_s * (SELDOM - 1) if location in reached else 0.0
            if known.over_s is None and known.due_s + wait_s <= now_s:
                yield location

    def answered(self, location: str, url: str | None, now_s: float) -> None:
        """The address of a location; None: there is no good one. The last good one is kept."""
        known = self._known.get(location)
        if known is not None:
            self._known[location] = replace(known, url=url or known.url, due_s=now_s + self._ask_s)

    @property
    def served(self) -> Mapping[str, str]:
        """The locations to serve, with their addresses."""
        return {location: known.url for location, known in self._known.items() if known.url}

    def next_s(self, now_s: float) -> float:
        """How many seconds until something may be due."""
        overs = (known.over_s for known in self._known.values() if known.over_s is not None)
        return max(0.0, min([now_s + self._ask_s, *overs]) - now_s)
