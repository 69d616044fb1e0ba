"""Every metric of the project, by name, once. No user, number or call is ever a label."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from bridge import __version__
from bridge.core.model import EventType
from bridge.core.verbs import VERBS

PREFIX = "innovaphone_mqtt"
_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_POLL_S = (0.01, 0.1, 1, 10, 30, 55, 65, 75)


class Metrics:
    """The metrics of one process over one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.pbx_up = Gauge(
            f"{PREFIX}_pbx_up",
            "1 while the PBX session is up and the list complete.",
            ["pbx"],
            registry=registry,
        )
        self.mqtt_up = Gauge(
            f"{PREFIX}_mqtt_up", "1 while the MQTT session of a PBX is up.", ["pbx"], registry=registry
        )
        self.sessions = Counter(
            f"{PREFIX}_session_ends",
            "Sessions that ended or did not come about, by side and kind of error.",
            ["pbx", "side", "error"],
            registry=registry,
        )
        self.events = Counter(f"{PREFIX}_events", "Call events, by type.", ["pbx", "type"], registry=registry)
        self.dropped = Gauge(
            f"{PREFIX}_dropped_messages",
            "Messages dropped since the start, by reason.",
            ["pbx", "reason"],
            registry=registry,
        )
        self.commands = Counter(
            f"{PREFIX}_commands",
            "Commands answered, by verb and code.",
            ["pbx", "verb", "code"],
            registry=registry,
        )
        self.command_seconds = Histogram(
            f"{PREFIX}_command_duration_seconds",
            "From the receipt of a command to its reply.",
            ["pbx"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.publish_seconds = Histogram(
            f"{PREFIX}_publish_latency_seconds",
            "From a change to the broker's acknowledgement.",
            ["pbx"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.poll_seconds = Histogram(
            f"{PREFIX}_poll_duration_seconds",
            "How long a Poll took, by what it brought.",
            ["pbx", "outcome"],
            buckets=_POLL_S,
            registry=registry,
        )
        self.last_poll = Gauge(
            f"{PREFIX}_poll_last_success_timestamp_seconds",
            "When a Poll last came back.",
            ["pbx"],
            registry=registry,
        )
        self.calls = Gauge(f"{PREFIX}_active_calls", "Calls that run now.", ["pbx"], registry=registry)
        self.users = Gauge(f"{PREFIX}_users", "Users that are published.", ["pbx"], registry=registry)
        self.outbox = Gauge(
            f"{PREFIX}_outbox_messages",
            "Messages the broker has not acknowledged.",
            ["pbx"],
            registry=registry,
        )
        self.beat = Gauge(
            f"{PREFIX}_loop_beat_timestamp_seconds", "When the event loop last turned.", registry=registry
        )
        build = Gauge(f"{PREFIX}_build_info", "What runs here.", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def announce(self, pbx: str) -> None:
        """Show zeros for everything that is known in advance of a PBX."""
        for gauge in (self.pbx_up, self.mqtt_up, self.calls, self.users, self.outbox, self.last_poll):
            gauge.labels(pbx).set(0)
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
