"""Every metric of the project, by name, once. No user, number or call is ever a label."""

from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from bridge import __version__
from bridge.core.model import EventType
from bridge.core.verbs import VERBS

Metric = TypeVar("Metric", bound=MetricWrapperBase)
PREFIX = "innovaphone_mqtt"
_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_POLL_S = (0.01, 0.1, 1, 10, 30, 55, 65, 75)


class Metrics:
    """The metrics of one process over one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._of_pbxs: list[MetricWrapperBase] = []
        self.reloaded = Gauge(
            f"{PREFIX}_config_last_reload_successful",
            "1 while what runs is what the configuration file said when it was last read.",
            registry=registry,
        )
        self.reloaded.set(1)
        self.pbx_up = self._gauge("pbx_up", "1 while the PBX session is up and the list complete.")
        self.mqtt_up = self._gauge("mqtt_up", "1 while the MQTT session of a PBX is up.")
        self.calls = self._gauge("active_calls", "Calls that run now.")
        self.users = self._gauge("users", "Users that are published.")
        self.outbox = self._gauge("outbox_messages", "Messages the broker has not acknowledged.")
        self.taken_over = self._gauge(
            "taken_over", "1 while another bridge serves the PBX and we stand back."
        )
        self.stuck = self._gauge("stuck", "1 while a part of a link does not move by our fault.", "part")
        self.store_up = self._gauge(
            "state_store_up", "1 while events are kept for a crash; no series without."
        )
        self.dropped = self._gauge("dropped_messages", "Messages dropped since the start.", "reason")
        self.last_poll = self._gauge("poll_last_success_timestamp_seconds", "When a Poll last came back.")
        self.beat = Gauge(
            f"{PREFIX}_loop_beat_timestamp_seconds", "When the event loop last turned.", registry=registry
        )
        build = Gauge(f"{PREFIX}_build_info", "What runs here.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._make_counts()

    def _make_counts(self) -> None:
        """Counters and histograms."""
        self.sessions = self._counter(
            "session_ends", "Sessions that ended or did not come about.", "side", "error"
        )
        self.contradictions = self._counter(
            "state_contradictions", "How often somebody else's word on our state topic was put right."
        )
        self.events = self._counter("events", "Call events, by type.", "type")
        self.commands = self._counter("commands", "Commands answered.", "verb", "code")
        self.command_seconds = self._histogram(
            "command_duration_seconds", "From the receipt of a command to its reply.", _LATENCY_S
        )
        self.publish_seconds = self._histogram(
            "publish_latency_seconds", "From a change to the broker's acknowledgement.", _LATENCY_S
        )
        self.poll_seconds = self._histogram(
            "poll_duration_seconds", "How long a Poll took, by what it brought.", _POLL_S, "outcome"
        )

    def forget(self, pbx: str) -> None:
        """Show nothing more of a PBX."""
        for metric in self._of_pbxs:
            metric.remove_by_labels({"pbx": pbx})

    def announce(self, pbx: str) -> None:
        """Show zeros for everything that is known in advance of a PBX."""
        for gauge in (self.pbx_up, self.mqtt_up, self.calls, self.users, self.outbox, self.last_poll):
            gauge.labels(pbx).set(0)
        self.taken_over.labels(pbx).set(0)
        self.contradictions.labels(pbx)
        for kind in EventType:
            self.events.labels(pbx, kind.value)
        for verb in VERBS:
            self.commands.labels(pbx, verb, "ok")
        for reason in ("overflow", "age", "refused", "inbound"):
            self.dropped.labels(pbx, reason).set(0)
        for outcome in ("events", "idle"):
            self.poll_seconds.labels(pbx, outcome)
        self.publish_seconds.labels(pbx)
        self.command_seconds.labels(pbx)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return self._kept(Gauge(f"{PREFIX}_{name}", what, ["pbx", *labels], registry=self.registry))

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return self._kept(Counter(f"{PREFIX}_{name}", what, ["pbx", *labels], registry=self.registry))

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        names = ["pbx", *labels]
        return self._kept(Histogram(f"{PREFIX}_{name}", what, names, registry=self.registry, buckets=buckets))

    def _kept(self, metric: Metric) -> Metric:
        self._of_pbxs.append(metric)
        return metric
