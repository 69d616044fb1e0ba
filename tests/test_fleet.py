"""The links of a process while a slow one ends: never two of one PBX, and nothing stays of one that went."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bridge import clock
from bridge.build import Builder
from bridge.config.schema import Config, Pbx
from bridge.core.journal import Journal, Snapshot
from bridge.fleet import Fleet
from bridge.link.link import Link
from bridge.locations.kept import KeptAddresses
from bridge.mqtt.dialer import Dialer
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from tests.bus import eventually

SHARED, SLOW = "https://10.0.0.9", "two-berlin"


class SlowLink(Link):
    """Connects to nothing, and does not end before it may, if it is the slow one."""

    running: Counter[str]
    most: Counter[str]
    may_end: asyncio.Event

    async def run(self) -> None:
        """Count the links of this PBX that run."""
        pbx = self._settings.topics.pbx
        self.running[pbx] += 1
        self.most[pbx] = max(self.most[pbx], self.running[pbx])
        await self._stop.wait()
        if pbx == SLOW:
            await self.may_end.wait()
        self.running[pbx] -= 1


class SlowLinks(Builder):
    """Builds links; the slow one ends when `may_end` is set."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.running, self.most, self.may_end = Counter[str](), Counter[str](), asyncio.Event()

    def link(self, pbx: Pbx, observer: Observer, journal: Journal) -> Link:
        """A link that connects to nothing."""
        link = SlowLink(
            self._link_settings(pbx),
            self.backend(pbx).sessions(observer.pbx.asked),
            Dialer.all(self.brokers(pbx), self.spread),
            observer=observer,
            clock=clock.now,
            later=clock.later,
            journal=journal,
        )
        link.running, link.most, link.may_end = self.running, self.most, self.may_end
        return link

    async def store(self, _pbx: Pbx, _observer: Observer, _memory: Snapshot) -> None:
        """No file."""


def entry(name: str, address: str, locations: str = "off") -> dict[str, Any]:
    """One PBX of a configuration."""
    login = {"username": "u", "password": "p", "session_user": "API"}
    return {"name": name, "url": f"https://{address}", "locations": locations, **login}


@pytest.mark.parametrize("stays", [True, False])
async def test_a_finder_that_ends_while_its_links_are_replaced(tmp_path: Path, *, stays: bool) -> None:
    """What it has begun is finished: no second link starts beside one that ends, no metrics stay."""
    for master, location in (("one", "Rom"), ("two", "Berlin")):
        KeptAddresses(tmp_path / "state", master).write({location: SHARED})
    registry = CollectorRegistry()
    metrics, bugs = Metrics(registry, ()), Bugs(lambda _pbx: None)
    links = SlowLinks(Config.model_validate({"pbxs": [entry("one", "10.0.0.1"), entry("two", "10.0.0.2")]}))
    async with asyncio.TaskGroup() as tasks:
        fleet = Fleet(tasks, lambda pbx: Observer(pbx, metrics, bugs), bugs)

        async def apply(one: str, two: str) -> None:
            pbxs = [entry("one", "10.0.0.1", one), entry("two", "10.0.0.2", two)]
            config = Config.model_validate({"state_dir": str(tmp_path / "state"), "pbxs": pbxs})
            await fleet.apply(config, config.pbxs, links)

        try:
            await apply("off", "auto")
            await eventually(lambda: links.running[SLOW] == 1, "the location is served")
            await apply("auto", "auto")
            await eventually(lambda: SLOW not in fleet.keepers, "the other master takes it over")
            reload = asyncio.create_task(apply("off", "auto" if stays else "off"))
            for _ in range(50):  # turns of the event loop, in which a second link would have started
                await asyncio.sleep(0)
            links.may_end.set()
            await reload
            await eventually(lambda: links.running[SLOW] == stays, "the last configuration holds")
            assert max(links.most.values()) == 1
            page = generate_latest(registry).decode()
            assert (f'pbx="{SLOW}"' in page) is stays
            assert ('_locations{pbx="two"' in page, '_locations{pbx="one"' in page) == (stays, False)
        finally:
            links.may_end.set()
            fleet.stop()


async def test_the_pbxs_of_a_reload_that_waits_have_their_builder() -> None:
    """The certificates are looked at meanwhile; the next builder knows no TLS settings of the old PBXs."""
    pin = {"sha256": "ab" * 32}
    first, second, third = (
        Config.model_validate({"pbxs": pbxs})
        for pbxs in (
            [entry("one", "10.0.0.1") | {"tls": pin}, entry(SLOW, "10.0.0.2")],
            [entry("one", "10.0.0.1") | {"tls": pin}],
            [entry("one", "10.0.0.1")],
        )
    )
    bugs, metrics, links = Bugs(lambda _pbx: None), Metrics(CollectorRegistry(), ()), SlowLinks(first)
    async with asyncio.TaskGroup() as tasks:
        fleet = Fleet(tasks, lambda pbx: Observer(pbx, metrics, bugs), bugs)
        try:
            await fleet.apply(first, first.pbxs, links)
            await eventually(lambda: links.running[SLOW] == 1, "the links run")
            ends = asyncio.create_task(fleet.apply(second, second.pbxs, links))
            await eventually(lambda: SLOW not in fleet.keepers, "the slow link ends")
            newer = SlowLinks(third)
            waits = asyncio.create_task(fleet.apply(third, third.pbxs, newer))
            await asyncio.sleep(0)
            with pytest.raises(KeyError):
                newer.certificate_targets(fleet.pbxs)
            assert fleet.builder is not None
            assert [target.pbx for target in fleet.builder.certificate_targets(fleet.pbxs)] == ["", "one"]
            newer.may_end = links.may_end
            links.may_end.set()
            await asyncio.gather(ends, waits)
            assert (fleet.builder, fleet.pbxs) == (newer, tuple(third.pbxs))
        finally:
            links.may_end.set()
            fleet.stop()
