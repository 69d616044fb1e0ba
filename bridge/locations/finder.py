"""Asks a master for the addresses of its locations, and keeps those that may be used. Starts no link."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping

from bridge.config.found import is_own
from bridge.config.locations import Locations
from bridge.config.schema import Pbx
from bridge.core.locations import Watch
from bridge.errors import CommandError, LinkError
from bridge.link.link import Link
from bridge.locations.address import address
from bridge.locations.kept import KeptAddresses

OWN = ""
"""In place of an address: the location is the master itself."""
TOO_MANY = "more locations than locations.limit allows"


class Finder:
    """The locations of one master, over all its links.

    `reached`: the locations whose links are up. `changed` is called when the locations to serve, or their
    addresses, or the reasons to serve none, may have changed.
    """

    def __init__(
        self,
        pbx: Pbx,
        kept: KeptAddresses,
        reached: Callable[[], Collection[str]],
        changed: Callable[[], None],
    ) -> None:
        self._pbx = pbx
        self._kept = kept
        self._reached = reached
        self._changed = changed
        self._link: Link | None = None
        self._wake = asyncio.Event()
        self._refused: dict[str, str] = {}
        section = self._section
        self._watch = Watch(section.grace_s, section.ask_s, section.limit)

    def configure(self, pbx: Pbx) -> None:
        """Go on with other settings: a new one may let in what the old one refused."""
        if pbx != self._pbx:
            self._pbx = pbx
            section = self._section
            self._watch.tuned(section.grace_s, section.ask_s, section.limit)
            self._wake.set()

    def attach(self, link: Link) -> None:
        """The master has a new link."""
        self._link = link
        link.mirror.away.changed = self._wake.set

    @property
    def addresses(self) -> Mapping[str, str]:
        """The locations to serve, with their addresses."""
        return self._watch.served

    @property
    def refused(self) -> Mapping[str, str]:
        """Why locations have no address that can be used."""
        more = {f"{self._watch.left_out} others": TOO_MANY} if self._watch.left_out else {}
        return {**self._refused, **more}

    async def run(self) -> None:
        """Find locations for ever."""
        loop = asyncio.get_running_loop()
        kept = dict(await loop.run_in_executor(None, self._kept.read))
        self._watch.remember(kept, loop.time())
        told: object = None
        while True:
            self._wake.clear()
            await self._look()
            now = dict(self.addresses), dict(self.refused)
            if now != told:
                told = now
                self._changed()
            if now[0] != kept:
                kept = now[0]
                await loop.run_in_executor(None, self._kept.write, kept)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._watch.next_s(loop.time())):
                    await self._wake.wait()

    @property
    def _section(self) -> Locations:
        return self._pbx.locations or Locations()

    async def _look(self) -> None:
        link, now_s = self._link, asyncio.get_running_loop().time()
        if link is None or not _online(link):
            self._watch.lost()
            return
        here = link.mirror.scope.home.names if link.mirror.scope.home else frozenset[str]()
        abroad = link.mirror.away.locations - here
        locations = {each for each in abroad if not self._section.override(each).ignore}
        self._watch.saw(locations, now_s)
        self._refused = {location: why for location, why in self._refused.items() if location in locations}
        own = list[str]()
        for location in tuple(self._watch.due(self._reached(), now_s)):
            url = await self._ask(link, location)
            if not _online(link):  # that was no answer: ask again when the master is back
                self._refused.pop(location, None)
                break
            self._watch.answered(location, url, now_s)
            own += [location] if url == OWN else []
        if own:  # at the end, because it ends the session
            with contextlib.suppress(LinkError, CommandError):
                await link.at_home(*own)

    async def _ask(self, link: Link, location: str) -> str | None:
        """The address of a location, or OWN; None if there is no good one now."""
        self._refused.pop(location, None)
        try:
            url = await address(self._pbx, location, link.ask)
            return OWN if is_own(self._pbx, location, url) else url
        except (LinkError, CommandError, ValueError) as error:
            self._refused[location] = str(error)
            return None


def _online(link: Link) -> bool:
    return link.mirror.online
