"""What a survey of a PBX says of its locations, for the check. Opens no session."""

from collections.abc import Collection

from bridge.config.found import is_own
from bridge.config.locations import Locations
from bridge.config.schema import Pbx
from bridge.core.locations import Home
from bridge.errors import CommandError, LinkError
from bridge.link.survey import Survey
from bridge.locations.address import address


async def located(master: Pbx, found: Survey) -> tuple[dict[str, str], dict[str, str]]:
    """The addresses of the locations of a master, and why others have none that can be used."""
    home = master.home.also(found.about.location).names if master.home else frozenset[str]()
    section = master.locations or Locations()
    places = {user.location for user in await found.listed() if user.active} - home
    good, bad = dict[str, str](), dict[str, str]()
    for place in sorted(each for each in places if not section.override(each).ignore)[: section.limit]:
        try:
            url = await address(master, place, found.ask)
            own = is_own(master, place, url)
        except (LinkError, CommandError, ValueError) as error:
            bad[place] = str(error)
        else:
            if not own:
                good[place] = url
    return good, bad


def own_location(home: Home, locations: Collection[str]) -> str:
    """Whether a found PBX names its own location in its list, as the key `empty` says (docs/locations.md)."""
    if home.finds or "" not in locations or (home.location in locations) == ("" not in home.names):
        return ""
    if "" in home.names:
        return "it names its own location, so users without one appear twice: set locations.empty: master"
    return "no user has its location: set locations.empty: own"
