"""The process: builds the links, runs them until a signal, keeps the health. Decides nothing else."""

import asyncio
import faulthandler
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from bridge import __version__, log
from bridge.build import Builder
from bridge.config import Config, Pbx
from bridge.config_file import masked
from bridge.daemon_threads import DaemonExecutor
from bridge.errors import ConfigError
from bridge.fleet import Fleet
from bridge.ops import certificates
from bridge.ops.health import Health
from bridge.ops.metrics import Metrics
from bridge.ops.notify import Notifier
from bridge.ops.observer import Observer
from bridge.ops.web import Web

BEAT_S = 1.0
JUMP_S = 2.0
Chosen = tuple[Config, Sequence[Pbx]]
Reload = Callable[[], Chosen]


async def run(
    config: Config, pbxs: Sequence[Pbx], stop: asyncio.Event | None = None, reload: Reload | None = None
) -> None:
    """Serve some PBXs of a configuration until SIGTERM, SIGINT or `stop`; a second signal kills.

    At SIGHUP `reload` reads the configuration anew; without it the signal keeps its usual effect.
    Raises ConfigError when the address for metrics or a certificate cannot be used.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonExecutor())
    faulthandler.enable(log.STDERR)  # a watchdog ends the process by SIGABRT: all stacks go to the log
    process = Process(config, pbxs, stop or asyncio.Event(), reload)
    with ExitStack() as stack:
        _serve_web(config, process.registry, process.health, stack)
        _on_signals(loop, process, stack)
        await process.run()


class Process:
    """The links of this process, what is told of them, and the reading of a new configuration."""

    def __init__(
        self, config: Config, pbxs: Sequence[Pbx], stop: asyncio.Event, reload: Reload | None
    ) -> None:
        self.stop = stop
        self.hang_up = asyncio.Event()
        self.registry, self.health = CollectorRegistry(), Health()
        self.notifier = Notifier(os.environ)
        self.reload = reload
        self._chosen: Chosen = (config, pbxs)
        self._log = structlog.get_logger()
        self._metrics = Metrics(self.registry)
        self._observers: dict[str, Observer] = {}
        self._builder = Builder(config)
        self.health.config = partial(masked, config)

    async def run(self) -> None:
        """Serve until `stop`."""
        config, pbxs = self._chosen
        self._log.info("bridge started", version=__version__, pbxs=len(pbxs))
        try:
            async with asyncio.TaskGroup() as tasks:
                fleet = Fleet(tasks, self._observer)
                helpers = [
                    tasks.create_task(self._beat(fleet), name="beat"),
                    tasks.create_task(self._reload_at_signals(fleet), name="reload"),
                    tasks.create_task(self._look_at_certificates(), name="certificates"),
                ]
                await fleet.apply(config, pbxs, self._builder)
                self.notifier.ready()
                await self.stop.wait()
                self.notifier.stopping()
                for helper in helpers:
                    helper.cancel()
                await asyncio.wait(helpers)
                fleet.stop()
        finally:
            self._log.info("bridge stopped")

    def _observer(self, pbx: str) -> Observer:
        return Observer(pbx, self._metrics)

    async def _reload_at_signals(self, fleet: Fleet) -> None:
        while self.reload is not None:
            await self.hang_up.wait()
            self.hang_up.clear()
            try:
                chosen = self.reload()
                self._builder = self._builder.renewed(chosen[0])
            except ConfigError as error:
                self._metrics.reloaded(good=False)
                self.health.config_good = False
                for problem in error.problems:
                    self._log.error("configuration not reloaded", problem=problem)
            else:
                await self._take_over(fleet, chosen)
            self.notifier.ready()

    def reload_soon(self) -> None:
        """Read the configuration anew; systemd hears of it at once, so that it waits for the end of it."""
        self.notifier.reloading()
        self.hang_up.set()

    async def _take_over(self, fleet: Fleet, chosen: Chosen) -> None:
        config, pbxs = chosen
        if config.http != self._chosen[0].http:
            self._log.warning("http.listen changes at the next start only")
        self._chosen = chosen
        await fleet.apply(config, pbxs, self._builder)
        self._metrics.reloaded(good=True)
        self.health.config_good, self.health.config = True, partial(masked, config)
        self._log.info("configuration reloaded", pbxs=len(pbxs))

    async def _look_at_certificates(self) -> None:
        await certificates.watch(lambda: self._chosen, self._metrics.certificate_ends)

    async def _beat(self, fleet: Fleet) -> None:
        offset_s, dropped = time.time() - time.monotonic(), 0
        while True:
            before_s, offset_s = offset_s, time.time() - time.monotonic()
            before, dropped = dropped, log.dropped()
            self._metrics.log_dropped.inc(dropped - before)
            self._metrics.clock_jumps.inc(abs(offset_s - before_s) > JUMP_S)
            links = fleet.links
            stuck = {name: parts for name, link in links.items() if (parts := link.stuck())}
            ready = {pbx.name: pbx.name in links and links[pbx.name].ready for pbx in self._chosen[1]}
            self.health.beat(ready, stuck, tuple(link.status for link in links.values()))
            self.notifier.beat(self.health.statuses, moving=self.health.moving)
            self._metrics.beat.set_to_current_time()
            for link in links.values():
                link.measure()
            await asyncio.sleep(BEAT_S)


def _serve_web(config: Config, registry: CollectorRegistry, health: Health, stack: ExitStack) -> None:
    address = config.http.address
    if address is None:
        return
    try:
        stack.enter_context(Web(address, registry, health))
    except OSError as error:
        raise ConfigError((f"http.listen: {config.http.listen} cannot be used: {error.strerror}",)) from None


def _on_signals(loop: asyncio.AbstractEventLoop, process: Process, stack: ExitStack) -> None:
    """The first signal stops; the next one has the system's own effect again."""

    def stopping(number: signal.Signals) -> None:
        process.stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number)
        stack.callback(loop.remove_signal_handler, number)
    if process.reload is not None:
        loop.add_signal_handler(signal.SIGHUP, process.reload_soon)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)
