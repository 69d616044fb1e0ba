"""The process: builds the links, runs them until a signal, keeps the health. Decides nothing else."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import ExitStack

import structlog
from prometheus_client import CollectorRegistry

from bridge import __version__
from bridge.build import Builder
from bridge.config import Config, Pbx
from bridge.daemon_threads import DaemonExecutor
from bridge.errors import ConfigError
from bridge.link import Link
from bridge.metrics import Metrics
from bridge.observer import Observer
from bridge.web import Health, Web

BEAT_S = 1.0


async def run(config: Config, pbxs: Sequence[Pbx], stop: asyncio.Event | None = None) -> None:
    """Serve some PBXs of a configuration until SIGTERM, SIGINT or `stop`; a second signal kills.

    Raises ConfigError when the address for metrics cannot be had.
    """
    log = structlog.get_logger()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(DaemonExecutor())
    stop = stop or asyncio.Event()
    registry, health = CollectorRegistry(), Health()
    metrics, builder = Metrics(registry), Builder(config)
    links = {pbx.name: builder.link(pbx, Observer(pbx.name, metrics, log)) for pbx in pbxs}
    with ExitStack() as stack:
        _serve_web(config, registry, health, stack)
        _on_signals(loop, stop, stack)
        _warn(config, log)
        log.info("bridge started", version=__version__, pbxs=len(links))
        beat = asyncio.create_task(_beat(links, metrics, health), name="beat")
        try:
            async with asyncio.TaskGroup() as tasks:
                for name, link in links.items():
                    tasks.create_task(link.run(stop), name=f"link:{name}")
        finally:
            beat.cancel()
    log.info("bridge stopped")


def _serve_web(config: Config, registry: CollectorRegistry, health: Health, stack: ExitStack) -> None:
    address = config.http.address
    if address is None:
        return
    try:
        stack.enter_context(Web(address, registry, health))
    except OSError as error:
        raise ConfigError((f"http.listen: {config.http.listen} cannot be used: {error.strerror}",)) from None


def _on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, stack: ExitStack) -> None:
    """The first signal stops; the next one has the system's own effect again."""

    def stopping(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number)
        stack.callback(loop.remove_signal_handler, number)


def _warn(config: Config, log: structlog.typing.FilteringBoundLogger) -> None:
    for pbx in config.pbxs:
        if not pbx.tls.verify:
            log.warning("certificate is not verified", pbx=pbx.name, hint="set tls.ca_file or tls.sha256")


async def _beat(links: dict[str, Link], metrics: Metrics, health: Health) -> None:
    while True:
        health.beat({name: link.ready for name, link in links.items()})
        metrics.beat.set_to_current_time()
        for link in links.values():
            link.measure()
        await asyncio.sleep(BEAT_S)
