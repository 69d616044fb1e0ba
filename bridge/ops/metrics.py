"""Every metric of the project, by name, once. No user, number or call is ever a label."""

import platform
import time
from collections.abc import Iterable
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase

from bridge import __version__
from bridge.core.commands.verbs import VERBS
from bridge.core.liveness import Deadlines
from bridge.core.model import EventType
from bridge.core.status import LinkState
from bridge.errors import (
    LinkError,
    ProtocolError,
    Rejected,
    SessionLost,
    StandsBack,
    TakenOver,
    Unreachable,
)

Metric = TypeVar("Metric", bound=MetricWrapperBase)
PREFIX = "innovaphone_mqtt"
SIDES = ("pbx", "mqtt")
RESULTS = ("ok", "error")
REQUEST = ("operation", "result")
DROPS = ("overflow", "age", "refused", "inbound", "poison", "reply", "oversized")
TURNED_AWAY = ("crowd", "late")
LIMITS = ("users", "calls", "calls_per_user", "retained")
FAILURES = ("refused", "pbx_offline", "pbx_error", "timeout")
"""Codes of commands that a person at the bus did not cause."""
_ERRORS: tuple[type[LinkError], ...] = (
    Unreachable,
    SessionLost,
    ProtocolError,
    TakenOver,
    StandsBack,
    Rejected,
)
_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_REQUEST_S = (0.01, 0.05, 0.1, 0.5, 1, 5, 10)
_POLL_S = (0.01, 0.1, 1, 10, 30, 55, 65, 75)


class Metrics:
    """The metrics of one process over one registry. `operations`: the requests that a session can send."""

    def __init__(self, registry: CollectorRegistry, operations: Iterable[str] = ()) -> None:
        # A quarter of all series, which nothing asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # (so in the library)
        self.registry = registry
        self._operations = tuple(operations)
        self._of_pbxs: list[MetricWrapperBase] = []
        self._make_process()
        self._make_doors()
        self._make_gauges()
        self._make_times()
        self._make_counters()
        self._make_histograms()

    def _make_process(self) -> None:
        """What is told once, not for each PBX."""
        ProcessCollector(registry=self.registry)
        GCCollector(self.registry)
        build = Gauge(
            f"{PREFIX}_build_info", "What runs here.", ["version", "python"], registry=self.registry
        )
        build.labels(__version__, platform.python_version()).set(1)
        self.beat = self._own("loop_beat_timestamp_seconds", "When the event loop last turned.")
        self.clock_jumps = Counter(
            f"{PREFIX}_clock_jumps",
            "How often the clock of the day was set by more than 2 s.",
            registry=self.registry,
        )
        self.log_dropped = Counter(
            f"{PREFIX}_log_lines_dropped",
            "Log lines that could not be written: stderr is full, closed, or nobody reads it.",
            registry=self.registry,
        )
        self.reload_good = self._own(
            "config_last_reload_successful",
            "1 while what runs is what the configuration file said when it was last read.",
        )
        self.reloaded_at = self._own(
            "config_last_reload_success_timestamp_seconds", "When the configuration was last taken over."
        )
        self.reloads = Counter(
            f"{PREFIX}_config_reloads",
            "How often the configuration was read anew, by what came of it.",
            ["result"],
            registry=self.registry,
        )
        for result in RESULTS:
            self.reloads.labels(result)
        self.reload_good.set(1)
        self.reloaded_at.set(time.time())

    def _make_doors(self) -> None:
        """What is told of visitors."""
        self.turned_visitors = Counter(
            f"{PREFIX}_http_turned_away",
            "Connections to the pages that got no answer: too many at once (crowd), or too slow (late).",
            ["reason"],
            registry=self.registry,
        )
        for reason in TURNED_AWAY:
            self.turned_visitors.labels(reason)

    def reloaded(self, *, good: bool) -> None:
        """The configuration was read anew, and taken over or not."""
        self.reload_good.set(good)
        self.reloads.labels("ok" if good else "error").inc()
        if good:
            self.reloaded_at.set(time.time())

    def turned_away(self, reason: str) -> None:
        """A connection to the pages got no answer."""
        self.turned_visitors.labels(reason).inc()

    def certificate_ends(self, pbx: str, side: str, unix_s: float | None) -> None:
        """When the certificate of a side ends, if that is known; the broker's is nobody's in particular."""
        if unix_s is None:
            self.certificate.remove_by_labels({"pbx": pbx, "side": side})
        else:
            self.certificate.labels(pbx, side).set(unix_s)

    def _make_gauges(self) -> None:
        self.pbx_up = self._gauge("pbx_up", "1 while the PBX session is up and the list complete.")
        self.mqtt_up = self._gauge(
            "mqtt_up", "1 while the broker delivers what the bridge publishes for a PBX."
        )
        self.link_state = self._gauge("link_state", "1 for what the link to the PBX is doing now.", "state")
        self.rejected = self._gauge(
            "rejected", "1 while a side refuses us until somebody changes something.", "side"
        )
        self.calls = self._gauge("active_calls", "Calls that run now.")
        self.users = self._gauge("users", "Users that are published.")
        self.followed = self._gauge("followed_users", "Users whose calls the PBX reports.")
        self.refused_users = self._gauge("refused_users", "Users whose calls the PBX will not report.")
        self.outbox = self._gauge("outbox_messages", "Messages the broker has not acknowledged.")
        self.taken_over = self._gauge(
            "taken_over", "1 while another bridge serves the PBX and we stand back."
        )
        self.stuck = self._gauge("stuck", "1 while a part of a link does not move by our fault.", "part")
        self.refused_topics = self._gauge(
            "refused_topics", "Topics that the broker refuses to keep what the bridge publishes there."
        )
        self.store_up = self._gauge(
            "state_store_up", "1 while events are kept for a crash; no series without."
        )

    def _make_times(self) -> None:
        self.oldest = self._gauge(
            "outbox_oldest_timestamp_seconds",
            "Since when the oldest message waits for the broker; 0: none waits.",
        )
        self.last_poll = self._gauge(
            "poll_last_success_timestamp_seconds", "When a Poll last came back; 0: none yet."
        )
        self.delivered = self._gauge(
            "delivered_timestamp_seconds",
            "The broker has acknowledged all that the PBX told until then; 0: nothing yet.",
        )
        self.certificate = self._gauge(
            "certificate_expiry_timestamp_seconds",
            "When the certificate of a side ends; no series without TLS or where it cannot be read.",
            "side",
        )

    def _make_counters(self) -> None:
        self.starts = self._counter("session_starts", "Sessions that came up.", "side")
        self.sessions = self._counter(
            "session_ends", "Sessions that ended or did not come about.", "side", "error"
        )
        self.contradictions = self._counter(
            "state_contradictions", "How often somebody else's word on our state topic was put right."
        )
        self.bugs = self._counter("bugs", "Bugs that were contained; each is in the log with its trace.")
        self.bugs.labels("")
        self.takeovers = self._counter(
            "takeovers", "How often another bridge, or its late will, was on our topics."
        )
        self.events = self._counter("events", "Call events, by type.", "type")
        self.unreadable = self._counter(
            "unreadable_records", "Records in answers of the PBX that are no XML and were left out."
        )
        self.left_out = self._counter(
            "left_out_records",
            "Users, calls and retained states beyond a limit that were left out, by limit.",
            "limit",
        )
        self.dropped = self._counter("dropped_messages", "Messages dropped, by reason.", "reason")
        self.held_back = self._counter(
            "held_back_messages", "Messages the broker could not take for the moment; they come again."
        )
        self.requests = self._counter(
            "pbx_requests", "Requests to the PBX besides Poll, by whether they were answered.", *REQUEST
        )
        self.commands = self._counter("commands", "Commands answered.", "verb", "code")

        self.unanswered = self._counter(
            "commands_unanswered", "Refused or repeated commands beyond 20 a second: counted, not answered."
        )

    def _make_histograms(self) -> None:
        self.command_seconds = self._histogram(
            "command_duration_seconds", "From the receipt of a command to its reply.", _LATENCY_S
        )
        self.publish_seconds = self._histogram(
            "publish_latency_seconds", "From a change to the broker's acknowledgement.", _LATENCY_S
        )
        self.request_seconds = self._histogram(
            "pbx_request_duration_seconds", "How long the PBX took to answer.", _REQUEST_S, "operation"
        )
        self.poll_seconds = self._histogram(
            "poll_duration_seconds",
            "How long a Poll took, by what it brought; error: its session ended first.",
            _POLL_S,
            "outcome",
        )

    def forget(self, pbx: str) -> None:
        """Show nothing more of a PBX."""
        for metric in self._of_pbxs:
            metric.remove_by_labels({"pbx": pbx})

    def announce(self, pbx: str) -> None:
        """Show zeros for what can happen to a PBX that has never been reached."""
        for gauge in (self.pbx_up, self.mqtt_up, self.calls, self.users, self.followed, self.outbox):
            gauge.labels(pbx).set(0)
        for gauge in (
            self.oldest,
            self.refused_users,
            self.taken_over,
            self.last_poll,
            self.delivered,
            self.refused_topics,
        ):
            gauge.labels(pbx).set(0)
        for state in LinkState:
            self.link_state.labels(pbx, state).set(state is LinkState.CONNECTING)
        for part in Deadlines().limits():
            self.stuck.labels(pbx, part).set(0)
        for side in SIDES:
            self.rejected.labels(pbx, side).set(0)
        self._announce_counts(pbx)

    def announce_side(self, pbx: str, side: str) -> None:
        """Show zeros for what can only happen once a session has come up: most of all series."""
        if side == "mqtt":
            self.unanswered.labels(pbx)
            for seconds in (self.publish_seconds, self.command_seconds):
                seconds.labels(pbx)
            for verb in VERBS:
                for code in ("ok", *FAILURES):
                    self.commands.labels(pbx, verb, code)
            return
        for kind in EventType:
            self.events.labels(pbx, kind.value)
        for outcome in ("events", "idle", "error"):
            self.poll_seconds.labels(pbx, outcome)
        for operation in self._operations:
            for result in RESULTS:
                self.requests.labels(pbx, operation, result)

    def _announce_counts(self, pbx: str) -> None:
        for count in (self.contradictions, self.takeovers, self.held_back, self.unreadable, self.bugs):
            count.labels(pbx)
        for side in SIDES:
            self.starts.labels(pbx, side)
            for error in _ERRORS:
                self.sessions.labels(pbx, side, error.__name__)
        for reason in DROPS:
            self.dropped.labels(pbx, reason)
        for limit in LIMITS:
            self.left_out.labels(pbx, limit)

    def _own(self, name: str, what: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", what, registry=self.registry)

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
