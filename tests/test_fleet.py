"""The links of a process while a slow one ends: never two of one PBX, and nothing stays of one that went."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    topics: dict[str, str]
    may_end: asyncio.Event

    async def run(self) -> None:
        """Count the links of this PBX that run."""
        pbx = self._settings.topics.pbx
        self.running[pbx] += 1
        self.most[pbx] = max(self.most[pbx], self.running[pbx])
        self.topics[pbx] = self._settings.topics.base
        await self._stop.wait()
        if pbx == SLOW:
            await self.may_end.wait()
        self.running[pbx] -= 1


class SlowLinks(Builder):
    """Builds links; the slow one ends when `may_end` is set. `earlier` counts for both."""

    def __init__(self, config: Config, earlier: "SlowLinks | None" = None) -> None:
        super().__init__(config)
        self.running: Counter[str] = Counter() if earlier is None else earlier.running
        self.most: Counter[str] = Counter() if earlier is None else earlier.most
        self.topics: dict[str, str] = {} if earlier is None else earlier.topics
        self.may_end: asyncio.Event = asyncio.Event() if earlier is None else earlier.may_end

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
        link.running, link.most, link.topics = self.running, self.most, self.topics
        link.may_end = self.may_end
        return link

    async def store(self, _pbx: Pbx, _observer: Observer, _memory: Snapshot) -> None:
        """No file."""


def entry(name: str, address: str, locations: str = "off") -> dict[str, Any]:
    """One PBX of a configuration."""
    login = {"username": "u", "password": "p", "session_user": "API"}
    return {"name": name, "url": f"https://{address}", "locations": locations, **login}


@asynccontextmanager
async def fleet_of(config: Config) -> AsyncIterator[tuple[Fleet, SlowLinks]]:
    """The links of this configuration."""
    bugs, metrics, links = Bugs(lambda _pbx: None), Metrics(CollectorRegistry(), ()), SlowLinks(config)
    async with asyncio.TaskGroup() as tasks:
        fleet = Fleet(tasks, lambda pbx: Observer(pbx, metrics, bugs), bugs)
        try:
            await fleet.apply(config, config.pbxs, links)
            yield fleet, links
        finally:
            links.may_end.set()
            fleet.stop()


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
            names = {"one", "two", SLOW} if stays else {"one", "two"}
            await eventually(lambda: {pbx.name for pbx in fleet.pbxs} == names, "the reload begins")
            assert links.running.total() == 3, "no link starts beside the one that ends"
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


async def test_the_pbxs_have_their_builder_while_old_links_end() -> None:
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
    async with fleet_of(first) as (fleet, links):
        await eventually(lambda: links.running[SLOW] == 1, "the links run")
        for config in (second, third):
            newer = SlowLinks(config, links)
            reload = asyncio.create_task(fleet.apply(config, config.pbxs, newer))
            await eventually(lambda: fleet.pbxs == tuple(config.pbxs), "the reload begins")  # noqa: B023  (awaited before it changes)
            assert fleet.builder is newer
            assert [target.pbx for target in newer.certificate_targets(fleet.pbxs)] == ["", "one"]
            assert not reload.done()


async def test_a_link_that_does_not_end_delays_its_successor_only() -> None:
    """A disk may hang for hours: all others start, also at later reloads, and the reload says who is late."""
    first, second, third = (
        Config.model_validate({"mqtt": {"base_topic": topic}, "pbxs": pbxs})
        for topic, pbxs in (
            ("a", [entry("one", "10.0.0.1"), entry(SLOW, "10.0.0.2"), entry("three", "10.0.0.3")]),
            ("b", [entry("one", "10.0.0.1"), entry(SLOW, "10.0.0.2"), entry("four", "10.0.0.4")]),
            ("c", [entry("one", "10.0.0.1"), entry(SLOW, "10.0.0.2"), entry("moved", "10.0.0.2")]),
        )
    )
    async with fleet_of(first) as (fleet, links):
        await eventually(lambda: links.running.total() == 3, "the links run")
        reloads = [asyncio.create_task(fleet.apply(second, second.pbxs, SlowLinks(second, links)))]
        await eventually(lambda: links.running["four"] == 1, "a new link starts")
        await eventually(lambda: links.topics["one"] == "b", "a successor starts")
        reloads.append(asyncio.create_task(fleet.apply(third, third.pbxs, SlowLinks(third, links))))
        await eventually(lambda: links.topics["one"] == "c", "a later reload has its effect")
        await eventually(lambda: not links.running["four"], "what it removes ends")
        assert links.running["moved"] == 0, "the slow link is still at this PBX"
        assert not any(reload.done() for reload in reloads)
        links.may_end.set()
        await eventually(lambda: links.topics[SLOW] == "c", "the successor is that of the last reload")
        assert await asyncio.gather(*reloads) == [(), ()]
        assert max(links.most.values()) == 1


async def test_a_reload_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the link that still ends, and the next reload can begin."""
    monkeypatch.setattr("bridge.fleet.ENDS_S", 0.01)
    first, second = (
        Config.model_validate({"mqtt": {"base_topic": topic}, "pbxs": [entry(SLOW, "10.0.0.2")]})
        for topic in "ab"
    )
    async with fleet_of(first) as (fleet, links):
        await eventually(lambda: links.running[SLOW] == 1, "the link runs")
        assert await fleet.apply(second, second.pbxs, SlowLinks(second, links)) == (SLOW,)
