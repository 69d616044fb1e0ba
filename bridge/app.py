"""The process: starts the links, serves pages, reloads at SIGHUP, stops at a signal. Knows no protocol."""

import asyncio
import faulthandler
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from bridge import __version__
from bridge.build import Builder
from bridge.config.file import masked
from bridge.config.schema import Config, Pbx
from bridge.errors import ConfigError
from bridge.fleet import Fleet
from bridge.link.state_files import forget_damaged
from bridge.net.executor import DaemonExecutor
from bridge.ops import certificates, log, phonebook
from bridge.ops.bugs import REASON, Bugs
from bridge.ops.health import Health
from bridge.ops.metrics import Metrics
from bridge.ops.notify import Notifier
from bridge.ops.observer import Observer
from bridge.ops.pages import Pages, Probes, Visitors
from bridge.ops.rounds import Rounds
from bridge.ops.web import serve

BEAT_S = 1.0
DAY_S = 24 * 3600.0
JUMP_S = 2.0
Chosen = tuple[Config, Sequence[Pbx]]
Reload = Callable[[], Chosen]


async def run(
    config: Config, pbxs: Sequence[Pbx], stop: asyncio.Event | None = None, reload: Reload | None = None
) -> None:
    """Serve some PBXs of a configuration until SIGTERM, SIGINT or `stop`; a second signal kills the process.

    At SIGHUP `reload` reads the configuration again; without it the signal keeps its default effect.
    Raises ConfigError if a certificate cannot be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonExecutor())
    faulthandler.enable(log.STDERR)  # systemd's watchdog sends SIGABRT: all stacks go to stderr
    process = Process(config, pbxs, stop or asyncio.Event(), reload)
    with process.bugs.hooks(), ExitStack() as stack:
        _on_signals(loop, process, stack)
        await process.run()


class Process:
    """The fleet of this process, its health and pages, and the reload of the configuration."""

    def __init__(
        self, config: Config, pbxs: Sequence[Pbx], stop: asyncio.Event, reload: Reload | None
    ) -> None:
        self.stop = stop
        self.reload_requested = asyncio.Event()
        self.health = Health()
        self.notifier = Notifier(os.environ)
        self.reload = reload
        self._chosen: Chosen = (config, pbxs)
        self._log = structlog.get_logger()
        self._builder = Builder(config)
        self._metrics = Metrics(CollectorRegistry(), self._builder.operations)
        self.bugs = Bugs(self._metrics.sessions.bugs.add)
        self._rounds = Rounds(self.health, self.bugs)
        self._offset_s, self._log_dropped = time.time() - time.monotonic(), 0
        self.health.config = partial(masked, config)

    async def run(self) -> None:
        """Serve until `stop`."""
        config, pbxs = self._chosen
        self._log.info("bridge started", version=__version__, pbxs=len(pbxs))
        doors = self._doors(config)
        try:
            async with asyncio.TaskGroup() as tasks:
                fleet = Fleet(tasks, self._observer, self.bugs)
                helpers = [
                    self._side_job("beat", lambda: self._beat(fleet)),
                    self._side_job("reload", lambda: self._reload_at_signals(fleet)),
                    self._side_job("certificates", lambda: self._look_at_certificates(fleet)),
                    self._side_job("damaged files", self._forget_damaged),
                    self._side_job("phonebook", lambda: self._look_at_phonebook(fleet)),
                ]
                await self._read_phonebook(fleet)
                await fleet.apply(config, pbxs, self._builder)
                with self.bugs.contained("notify"):
                    self.notifier.ready()
                await self.stop.wait()
                with self.bugs.contained("notify"):
                    self.notifier.stopping()
                await _ended(*helpers)
                fleet.stop()
        finally:
            await _ended(*doors)
            self._log.info("bridge stopped")

    def _side_job(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Start work that must never end the links."""
        return asyncio.create_task(self.bugs.side_job(name, work), name=name)

    def _doors(self, config: Config) -> list[asyncio.Task[None]]:
        """Serve the pages, and the probes on their own address if one is configured."""
        http = config.http
        pages = Pages(self._metrics.page, self.health, Visitors(http.hosts, http.pages == "all"))
        doors = (
            ("pages", http.address, pages.answer),
            ("probes", http.probes_address, Probes(self.health).answer),
        )
        turned_away = self._metrics.process.turned_away
        return [
            self._side_job(name, partial(serve, name, address, served, self.bugs, turned_away))
            for name, address, served in doors
            if address is not None
        ]

    def _observer(self, pbx: str) -> Observer:
        return Observer(pbx, self._metrics, self.bugs)

    async def _reload_at_signals(self, fleet: Fleet) -> None:
        while self.reload is not None:
            await self.reload_requested.wait()
            self.reload_requested.clear()
            try:
                chosen = self.reload()
                builder = self._builder.renewed(chosen[0])
            except ConfigError as error:
                self._not_reloaded(error.problems)
            except Exception as bug:  # noqa: BLE001  (a failed reload must not end the links)
                self.bugs.report(bug, "reload")
                self._not_reloaded((REASON,))
            else:
                await self._take_over(fleet, chosen, builder)
            self.notifier.ready()

    def _not_reloaded(self, problems: Sequence[str]) -> None:
        self._metrics.process.reloaded(good=False)
        self.health.config_good = False
        for problem in problems:
            self._log.error("configuration not reloaded", problem=problem)

    def reload_soon(self) -> None:
        """Request a reload. systemd is notified at once: `systemctl reload` waits until it is done."""
        self.reload_requested.set()
        self.notifier.reloading()

    async def _take_over(self, fleet: Fleet, chosen: Chosen, builder: Builder) -> None:
        config, pbxs = chosen
        if config.http != self._chosen[0].http:
            self._log.warning("changes in the section http take effect after a restart")
        self._chosen, self._builder = chosen, builder
        await self._read_phonebook(fleet)
        still = await fleet.apply(config, pbxs, self._builder)
        self._show(fleet)
        self._metrics.process.reloaded(good=True)
        self.health.config_good, self.health.config = True, partial(masked, config)
        self._log.info("configuration reloaded", pbxs=len(pbxs), **({"still_ending": still} if still else {}))

    async def _read_phonebook(self, fleet: Fleet) -> None:
        with self.bugs.contained("phonebook"):
            await phonebook.read_soon(self._builder.phonebook, partial(self._show, fleet))

    async def _look_at_phonebook(self, fleet: Fleet) -> None:
        await phonebook.watch(lambda: self._builder.phonebook, partial(self._show, fleet))

    def _show(self, fleet: Fleet) -> None:
        fleet.show(self._builder.presentation)

    async def _look_at_certificates(self, fleet: Fleet) -> None:
        def targets() -> list[certificates.Target]:
            return (fleet.builder or self._builder).certificate_targets(fleet.pbxs)

        await certificates.watch(targets, self._metrics.certificate_ends)

    async def _forget_damaged(self) -> None:
        """Delete old damaged files daily, for a bridge that runs for weeks; a start deletes them as well."""
        while True:
            await asyncio.sleep(DAY_S)
            folder = self._chosen[0].state_dir
            if folder is not None:
                await asyncio.get_running_loop().run_in_executor(None, forget_damaged, folder)

    async def _beat(self, fleet: Fleet) -> None:
        while True:
            with self.bugs.contained("beat"):
                self._measure()
            configured = (*self._chosen[1], *fleet.pbxs)
            self._rounds.go(fleet.keepers, {pbx.name: False for pbx in configured})
            with self.bugs.contained("notify"):
                self.notifier.beat(self.health.statuses, moving=self.health.moving)
            await asyncio.sleep(BEAT_S)

    def _measure(self) -> None:
        """Set the metrics of the process."""
        offset_s, dropped = time.time() - time.monotonic(), log.dropped()
        self._metrics.process.clock_jumps.inc(abs(offset_s - self._offset_s) > JUMP_S)
        self._metrics.process.log_dropped.inc(dropped - self._log_dropped)
        self._offset_s, self._log_dropped = offset_s, dropped
        self._metrics.process.beat.set_to_current_time()


async def _ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _on_signals(loop: asyncio.AbstractEventLoop, process: Process, stack: ExitStack) -> None:
    """The first SIGTERM or SIGINT shuts down gracefully; a second one kills the process."""

    def stopping(number: signal.Signals) -> None:
        process.stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number)
        stack.callback(loop.remove_signal_handler, number)
    if process.reload is not None:
        loop.add_signal_handler(signal.SIGHUP, process.reload_soon)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)
