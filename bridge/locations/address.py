"""Asks a master for the address of a location, once. Keeps nothing."""

from collections.abc import Awaitable, Callable

from bridge.config.found import address_of
from bridge.config.locations import Locations
from bridge.config.schema import Pbx
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.locate import LocatePbx
from bridge.core.message import Json

Ask = Callable[[Action], Awaitable[Json]]


async def address(master: Pbx, location: str, ask: Ask) -> str:
    """The address, from the configuration or from the master.

    Raises ValueError for one that must not be used, and what `ask` raises.
    """
    override = (master.locations or Locations()).override(location)
    if override.url is not None:
        return override.url
    encrypted = master.endpoints[0].startswith("https:")
    answer = await ask(LocatePbx(location, encrypted))
    return address_of(master, location, str(answer.get("url") or ""))
