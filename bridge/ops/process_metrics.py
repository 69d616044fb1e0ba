"""The metrics of the process itself: version, event loop, log, configuration, HTTP. None of a link."""

import platform
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, ProcessCollector

from bridge import __version__
from bridge.ops.families import PREFIX

RESULTS = ("ok", "error")
TURNED_AWAY = ("crowd", "late")


class ProcessMetrics:
    """The metrics of one process, without a label `pbx`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        ProcessCollector(registry=registry)
        GCCollector(registry)
        build = Gauge(
            f"{PREFIX}_build_info",
            "Versions of the bridge and of Python; always 1.",
            ["version", "python"],
            registry=registry,
        )
        build.labels(__version__, platform.python_version()).set(1)
        self.beat = Gauge(
            f"{PREFIX}_loop_beat_timestamp_seconds",
            "Unix time of the last turn of the event loop.",
            registry=registry,
        )
        self.clock_jumps = Counter(
            f"{PREFIX}_clock_jumps",
            "Times that the system clock was stepped by more than 2 s.",
            registry=registry,
        )
        self.log_dropped = Counter(
            f"{PREFIX}_log_lines_dropped",
            "Log lines lost because stderr was full, closed or not read.",
            registry=registry,
        )
        self._reloads = _Reloads(registry)
        self._turned_away = Counter(
            f"{PREFIX}_http_turned_away",
            "HTTP connections closed without a response: too many at once (crowd) or too slow (late).",
            ["reason"],
            registry=registry,
        )
        for reason in TURNED_AWAY:
            self._turned_away.labels(reason)

    def reloaded(self, *, good: bool) -> None:
        """The configuration was read again, and is in force or was refused."""
        self._reloads.count(good=good)

    def turned_away(self, reason: str) -> None:
        """An HTTP connection was closed without a response."""
        self._turned_away.labels(reason).inc()


class _Reloads:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._good = Gauge(
            f"{PREFIX}_config_last_reload_successful",
            "1 if the configuration file was valid when last read; 0 while an older one is in force.",
            registry=registry,
        )
        self._loaded_at = Gauge(
            f"{PREFIX}_config_last_reload_success_timestamp_seconds",
            "Unix time when the configuration in force was loaded.",
            registry=registry,
        )
        self._reloads = Counter(
            f"{PREFIX}_config_reloads", "Reloads of the configuration.", ["result"], registry=registry
        )
        for result in RESULTS:
            self._reloads.labels(result)
        self._good.set(1)
        self._loaded_at.set(time.time())

    def count(self, *, good: bool) -> None:
        self._good.set(good)
        self._reloads.labels("ok" if good else "error").inc()
        if good:
            self._loaded_at.set(time.time())
