"""The metrics of links, by what they measure: sessions, PBX, broker, commands. Sets none of them."""

from collections.abc import Iterable

from bridge.core.commands.verbs import SETS
from bridge.core.liveness import Deadlines
from bridge.core.model import EventType
from bridge.core.status import LinkState
from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, StandsBack, TakenOver, Unreachable
from bridge.ops.families import Families

SIDES = ("pbx", "mqtt")
RESULTS = ("ok", "error")
DROPS = ("overflow", "age", "refused", "inbound", "poison", "reply", "oversized", "takeover")
LIMITS = ("users", "calls", "calls_per_user", "retained")
FAILURES = ("refused", "pbx_offline", "pbx_error", "timeout")
"""Result codes that the sender of a command did not cause."""
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


class SessionMetrics:
    """Both sessions of a link, and the link itself."""

    def __init__(self, make: Families) -> None:
        self.pbx_up = make.gauge("pbx_up", "1 while the PBX session is up and the user list is complete.")
        self.mqtt_up = make.gauge("mqtt_up", "1 while the broker delivers what the bridge publishes.")
        self.link_state = make.gauge("link_state", "1 for the present state of the link, else 0.", "state")
        self.rejected = make.gauge(
            "rejected", "1 while this side rejects the bridge until someone changes a setting.", "side"
        )
        self.taken_over = make.gauge(
            "taken_over", "1 while another bridge serves the PBX and this one stands back."
        )
        self.standby = make.gauge(
            "standby",
            "1 while this side uses another than the first of its addresses; no series with one.",
            "side",
        )
        self.stuck = make.gauge(
            "stuck", "1 while this part of the link makes no progress, through a fault of the bridge.", "part"
        )
        self.locations = make.gauge(
            "locations",
            "Locations that a master has found, by what became of them: served or left_out.",
            "state",
        )
        self.starts = make.counter("session_starts", "Sessions established.", "side")
        self.ends = make.counter("session_ends", "Sessions lost and attempts that failed.", "side", "error")
        self.contradictions = make.counter(
            "state_contradictions",
            "Times that another client overwrote the state topic and the bridge republished it.",
        )
        self.takeovers = make.counter(
            "takeovers", "Times that another bridge, or its delayed Last Will, wrote to the bridge's topics."
        )
        self.bugs = make.counter("bugs", "Bugs that the bridge contained; the log has a traceback of each.")
        self.bugs.show("")
        self.certificate = make.gauge(
            "certificate_expiry_timestamp_seconds",
            "Unix time when the certificate expires; no series without TLS or if it cannot be read.",
            "side",
        )

    def announce(self, pbx: str) -> None:
        """Show zeros for a PBX that has not been reached yet."""
        for gauge in (self.pbx_up, self.mqtt_up, self.taken_over):
            gauge.set(0, pbx)
        for state in LinkState:
            self.link_state.set(state is LinkState.CONNECTING, pbx, state)
        for part in Deadlines().limits():
            self.stuck.set(0, pbx, part)
        for side in SIDES:
            self.rejected.set(0, pbx, side)
            self.starts.show(pbx, side)
            for error in _ERRORS:
                self.ends.show(pbx, side, error.__name__)
        for count in (self.contradictions, self.takeovers, self.bugs):
            count.show(pbx)


class PbxMetrics:
    """The PBX and what it reports. `operations`: those that have a series from the start."""

    def __init__(self, make: Families, operations: Iterable[str]) -> None:
        self._operations = tuple(operations)
        self.calls = make.gauge("active_calls", "Calls in progress.")
        self.users = make.gauge("users", "Users published.")
        self.monitored = make.gauge("monitored_users", "Users whose calls the PBX reports.")
        self.refused_users = make.gauge("refused_users", "Users whose calls the PBX refuses to report.")
        self.last_poll = make.gauge(
            "poll_last_success_timestamp_seconds", "Unix time of the last Poll response; 0 before the first."
        )
        self.poll_seconds = make.histogram(
            "poll_duration_seconds",
            "Duration of a Poll, by outcome: events, idle, or error if the session ended first.",
            _POLL_S,
            "outcome",
        )
        self.requests = make.counter(
            "pbx_requests", "Requests to the PBX other than Poll.", "operation", "result"
        )
        self.request_seconds = make.histogram(
            "pbx_request_duration_seconds", "Response time of the PBX.", _REQUEST_S, "operation"
        )
        self.events = make.counter("events", "Call events, by type.", "type")
        self.unreadable = make.counter(
            "unreadable_records", "Records skipped because the PBX sent them as invalid XML."
        )
        self.left_out = make.counter(
            "left_out_records", "Users, calls and retained states skipped beyond a limit.", "limit"
        )

    def announce(self, pbx: str) -> None:
        """Show zeros for a PBX that has not been reached yet."""
        for gauge in (self.calls, self.users, self.monitored, self.refused_users, self.last_poll):
            gauge.set(0, pbx)
        self.unreadable.show(pbx)
        for limit in LIMITS:
            self.left_out.show(pbx, limit)

    def announce_session(self, pbx: str) -> None:
        """Show zeros for what can happen once a session is up."""
        for kind in EventType:
            self.events.show(pbx, kind.value)
        for outcome in ("events", "idle", "error"):
            self.poll_seconds.show(pbx, outcome)
        for operation in self._operations:
            for result in RESULTS:
                self.requests.show(pbx, operation, result)


class BrokerMetrics:
    """What is published, and what the broker does with it."""

    def __init__(self, make: Families) -> None:
        self.outbox = make.gauge("outbox_messages", "Messages that the broker has not acknowledged.")
        self.oldest = make.gauge(
            "outbox_oldest_timestamp_seconds",
            "Unix time when the oldest message of the outbox was queued; 0 while it is empty.",
        )
        self.delivered = make.gauge(
            "delivered_timestamp_seconds",
            "Time up to which everything reported by the PBX has been acknowledged by the broker, or 0.",
        )
        self.refused_topics = make.gauge(
            "refused_topics", "Topics on which the broker refuses the bridge's messages."
        )
        self.store_up = make.gauge(
            "state_store_up", "1 while the state directory can be written; no series without one."
        )
        self.dropped = make.counter("dropped_messages", "Messages dropped.", "reason")
        self.held_back = make.counter(
            "held_back_messages", "Messages that the broker could not take at the time; they are sent again."
        )
        self.publish_seconds = make.histogram(
            "publish_latency_seconds", "Time from a change to the broker's acknowledgement.", _LATENCY_S
        )

    def announce(self, pbx: str) -> None:
        """Show zeros for a PBX that has not been reached yet."""
        for gauge in (self.outbox, self.oldest, self.delivered, self.refused_topics):
            gauge.set(0, pbx)
        self.held_back.show(pbx)
        for reason in DROPS:
            self.dropped.show(pbx, reason)


class CommandMetrics:
    """Commands and their replies."""

    def __init__(self, make: Families) -> None:
        self.commands = make.counter("commands", "Commands answered, by result code.", "verb", "code")
        self.seconds = make.histogram(
            "command_duration_seconds", "Time from the receipt of a command to its reply.", _LATENCY_S
        )
        self.unanswered = make.counter(
            "commands_unanswered", "Refused or repeated commands beyond 20 per second, which get no reply."
        )

    def announce_session(self, pbx: str) -> None:
        """Show zeros for what can happen once the broker session is up."""
        self.unanswered.show(pbx)
        self.seconds.show(pbx)
        for verb in SETS["basic"]:  # the other verbs are for the few who allow them: 150 series a PBX
            for code in ("ok", *FAILURES):
                self.commands.show(pbx, verb, code)
