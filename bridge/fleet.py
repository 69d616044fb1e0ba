"""The links of the process: starts them, and on reload replaces those whose configuration has changed.

A reload does not interrupt the other links, and a link that is slow to end delays its own successor only. A
bug ends only the link that has it, and a new link replaces it. Handles no signals, reads no configuration.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import random

from bridge.build import Builder
from bridge.config.found import places, served
from bridge.config.schema import Config, Pbx
from bridge.core.backoff import delays
from bridge.core.journal import Journal, MemoryJournal
from bridge.core.presentation import Presentation
from bridge.core.status import Down
from bridge.errors import Crashed
from bridge.link.link import Link
from bridge.link.supervise import NEEDS_A_HUMAN_S, Up, supervise
from bridge.locations.finder import Finder
from bridge.locations.kept import KeptAddresses
from bridge.ops.bugs import OWNER, REASON, Bugs, Owner
from bridge.ops.health import LinkStatus
from bridge.ops.observer import Observer

ENDS_S = 10.0
"""How long a reload waits for links that end. It takes two seconds, unless a disk hangs."""


class Keeper:
    """Keeps the link of one PBX running. After a bug it makes a new link, with a growing delay."""

    def __init__(
        self,
        name: str,
        made_from: tuple[object, ...],
        make: Callable[[], Awaitable[Link]],
        observer: Observer,
        bugs: Bugs,
    ) -> None:
        self.made_from = made_from
        self.observer = observer
        self._name = name
        self._make = make
        self._bugs = bugs
        self._link: Link | None = None
        self._stop = asyncio.Event()

    @property
    def link(self) -> Link | None:
        """The link, while it runs."""
        return self._link

    @property
    def status(self) -> LinkStatus:
        """The status of the link, also while there is none."""
        return self.observer.crash_status() if self._link is None else self._link.status

    @property
    def pulse(self) -> object:
        """See `Link`."""
        return None if self._link is None else self._link.pulse

    @property
    def ready(self) -> bool:
        """Whether the broker delivers what the link publishes."""
        return self._link is not None and self._link.ready

    def measure(self) -> None:
        """Measure the link, if there is one."""
        if self._link is not None:
            self._link.measure()

    def stuck(self) -> tuple[str, ...]:
        """The parts of the link that make no progress."""
        return () if self._link is None else self._link.stuck()

    async def run(self) -> None:
        """Serve the PBX until `stop`. Never raises."""
        OWNER.set(Owner(self._name, self._crashed))
        with self._bugs.contained("supervision", self._name):
            await supervise(
                self._life,
                delays=partial(delays, random),
                flapping=partial(delays, random, longest_s=NEEDS_A_HUMAN_S),
                report=self._report,
                sleep=self._rest,
                over=self._stop.is_set,
            )

    def stop(self, *, clear: bool = False) -> None:
        """Let `run` end. With `clear`, erase everything retained of this PBX."""
        self._stop.set()
        if self._link is not None:
            self._link.stop(clear=clear)

    async def _life(self, _attempt: int, up: Up) -> None:
        """Run one link until it is stopped or has a bug."""
        up()
        try:
            self.observer.fresh()
            self._link = await self._make()
            if self._stop.is_set():
                self._link.stop()
            await self._link.run()
        except Crashed:
            raise
        except Exception as bug:
            self._bugs.report(bug, "link", self._name)
            raise Crashed(REASON) from bug
        finally:
            self._link = None

    def _crashed(self, bug: BaseException) -> None:
        """Handle a bug in a callback of the link, or in a task that nothing awaits."""
        self._bugs.report(bug, "callback", self._name)
        if self._link is not None:
            self._link.crash()

    def _report(self, down: Down) -> None:
        with self._bugs.contained("supervision", self._name):
            self.observer.crashed_link(down)

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


class Fleet:
    """The links of one process by the name of their PBX. `tasks` must outlive them."""

    def __init__(self, tasks: asyncio.TaskGroup, observer: Callable[[str], Observer], bugs: Bugs) -> None:
        self._tasks = tasks
        self._observer = observer
        self._bugs = bugs
        self._running: dict[str, tuple[Keeper, asyncio.Task[None]]] = {}
        self._ending: dict[str, tuple[Keeper, asyncio.Task[None]]] = {}
        self._claims: dict[str, frozenset[object]] = {}
        self._waiting: list[tuple[Pbx, frozenset[object]]] = []
        self._memories: dict[str, MemoryJournal] = {}
        self._finders: dict[str, tuple[Finder, asyncio.Task[None]]] = {}
        self._found = asyncio.Event()
        self._matcher = tasks.create_task(bugs.side_job("locations", self._match_what_is_found), name="match")
        self._applied: tuple[Config, Sequence[Pbx], Builder] | None = None
        self.pbxs: tuple[Pbx, ...] = ()
        self.builder: Builder | None = None
        """Knows the settings of `pbxs`."""

    @property
    def keepers(self) -> Mapping[str, Keeper]:
        """The keeper of each link, by the name of its PBX."""
        return {name: keeper for name, (keeper, _) in self._running.items()}

    async def apply(self, config: Config, pbxs: Sequence[Pbx], builder: Builder) -> tuple[str, ...]:
        """Start, replace and end links to match this configuration, except for what its locations need.

        Returns when the old ones have ended, or the names of those that have not within ENDS_S. The locations
        that these PBXs have found stay found.
        """
        self._applied = config, pbxs, builder
        masters = {pbx.name: pbx for pbx in pbxs if pbx.locations}
        for name in self._finders.keys() - masters:
            self._finders.pop(name)[1].cancel()
            if name in self._running:
                self._running[name][0].observer.not_located()
        for name, pbx in masters.items():
            if name in self._finders:
                self._finders[name][0].configure(pbx)
            else:
                self._find(pbx, KeptAddresses(config.state_dir, name))
        self._match()
        if self._ending:
            await asyncio.wait([task for _, task in self._ending.values()], timeout=ENDS_S)
        return tuple(self._ending)

    def _find(self, pbx: Pbx, kept: KeptAddresses) -> None:
        """Start to look for the locations of a master."""
        finder = Finder(pbx, kept, partial(self._reached, pbx.name), self._found.set)
        task = self._tasks.create_task(self._bugs.side_job("locations", finder.run), name=f"find:{pbx.name}")
        self._finders[pbx.name] = finder, task

    def _reached(self, master: str) -> set[str]:
        """The locations of this master whose links are online."""
        homes = {pbx.name: pbx.home for pbx in self.pbxs}
        links = ((homes.get(name), keeper.link) for name, keeper in self.keepers.items())
        return {
            home.location
            for home, link in links
            if home and home.master == master and link is not None and link.mirror.online
        }

    async def _match_what_is_found(self) -> None:
        """Match at the news of a finder."""
        while True:
            self._found.clear()
            self._match()
            await self._found.wait()

    def _match(self) -> None:
        """Let what runs match the configuration and the locations that were found."""
        if self._applied is None:
            return
        config, pbxs, builder = self._applied
        addresses = {name: finder.addresses for name, (finder, _) in self._finders.items()}
        found, left_out = served(config, pbxs, addresses)
        self.pbxs, self.builder = (*pbxs, *found), builder
        self._replace(config)
        self._start_missing([(pbx, _claims(pbx)) for pbx in self.pbxs if pbx.name not in self._running])
        for master in pbxs:
            if master.name in self._finders and master.name in self._running:
                finder, keeper = self._finders[master.name][0], self._running[master.name][0]
                mine = {place: why for (name, place), why in left_out.items() if name == master.name}
                names = {pbx.home.location: pbx.name for pbx in found if pbx.home.master == master.name}
                refused = {place: why for place, why in finder.refused.items() if place not in names}
                keeper.observer.located(names, {**refused, **mine})

    def _replace(self, config: Config) -> None:
        """Let the links end that are not wanted like this."""
        wanted = {pbx.name: pbx for pbx in self.pbxs}
        clear = config.mqtt.clear_removed
        for name, (keeper, _) in tuple(self._running.items()):
            if name not in wanted:
                self._end(name, clear=clear)
            elif keeper.made_from != made_from(config, wanted[name]):
                self._end(name)
        for name, (keeper, _) in self._ending.items():
            if clear and name not in wanted:  # it was to have a successor when it began to end
                keeper.stop(clear=True)

    def _start_missing(self, missing: Sequence[tuple[Pbx, frozenset[object]]]) -> None:
        """Start these links, but for those whose PBX an old link has still not left."""
        if self._applied is None:
            return
        config, _, builder = self._applied
        held = frozenset[object]().union(*(self._claims[name] for name in self._ending))
        self._waiting = []
        for pbx, claims in missing:
            if held.isdisjoint(claims):
                self._claims[pbx.name] = claims
                self._start(config, pbx, builder)
            else:
                self._waiting.append((pbx, claims))

    def show(self, presentation: Callable[[Pbx], Presentation]) -> None:
        """Show the parties of calls in another way, such as by the names of another phonebook."""
        for pbx in self.pbxs:
            link = self._running[pbx.name][0].link if pbx.name in self._running else None
            if link is not None:
                with self._bugs.contained("presentation", pbx.name):
                    link.mirror.present(presentation(pbx))

    def stop(self) -> None:
        """Let all links end."""
        self._applied = None
        self._matcher.cancel()
        for _, task in self._finders.values():
            task.cancel()
        for keeper, _ in self._running.values():
            keeper.stop()

    def _start(self, config: Config, pbx: Pbx, builder: Builder) -> None:
        observer = self._observer(pbx.name)

        async def make() -> Link:
            journal = await self._journal(pbx, builder, observer)
            try:
                link = builder.link(pbx, observer, journal)
            except BaseException:
                journal.close()
                await journal.closed()
                raise
            if pbx.name in self._finders:
                self._finders[pbx.name][0].attach(link)
            return link

        keeper = Keeper(pbx.name, made_from(config, pbx), make, observer, self._bugs)
        task = self._tasks.create_task(keeper.run(), name=f"link:{pbx.name}")
        self._running[pbx.name] = keeper, task
        builder.spread.among(len(self._running))

    async def _journal(self, pbx: Pbx, builder: Builder, observer: Observer) -> Journal:
        """The journal for a new link. A new state directory takes over what waited in memory."""
        memory = self._memories.get(pbx.name, MemoryJournal())
        store = await builder.store(pbx, observer, memory.kept())
        if store is None:
            return self._memories.setdefault(pbx.name, memory)
        self._memories.pop(pbx.name, None)
        return store

    def _end(self, name: str, *, clear: bool = False) -> None:
        keeper, task = self._ending[name] = self._running.pop(name)
        keeper.stop(clear=clear)
        task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, _task: asyncio.Task[None]) -> None:
        """An old link has ended: start what waited for that."""
        del self._ending[name], self._claims[name]
        if all(pbx.name != name for pbx in self.pbxs):
            self._memories.pop(name, None)
            self._observer(name).gone()
        with self._bugs.contained("links", name):
            self._start_missing(self._waiting)


def _claims(pbx: Pbx) -> frozenset[object]:
    """What only one link may have: the name and the addresses of its PBX."""
    return frozenset({pbx.name, *places(pbx)})


def made_from(config: Config, pbx: Pbx) -> tuple[object, ...]:
    """Everything a link depends on. Files count by content, as they change in place.

    How the locations of a master are found concerns their links, not its own.
    """
    own = pbx.model_copy(update={"locations": None})
    tls = config.mqtt.tls
    files = (tls.ca_file, tls.cert_file, tls.key_file, pbx.tls.ca_file)
    shown = (config.user_id, config.dial_plan, config.phonebook, config.privacy, config.homeassistant)
    mqtt = config.mqtt.model_copy(update={"clear_removed": False})
    others = (config.events, config.commands, config.state_dir)
    return (own, pbx.home, mqtt, *shown, *others, *(_digest(file) for file in files))


def _digest(file: Path | None) -> str | None:
    """A digest of a file's content; None without a file, or if it has just been deleted."""
    if file is None:
        return None
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
