"""Log lines and metrics of what a broker takes, refuses and cannot do. Never changes the link."""

import time
from collections import Counter

from bridge.core.line import Kind
from bridge.core.status import LinkFigures
from bridge.errors import LinkError, Unreachable
from bridge.ops.failure_log import LONGEST_REASON, REMIND_S, Logger
from bridge.ops.link_metrics import BrokerMetrics


class BrokerObserver:
    """Hears what becomes of messages of one link. `dropped`: messages dropped by this link, by reason."""

    def __init__(self, pbx: str, metrics: BrokerMetrics, log: Logger) -> None:
        self.dropped: Counter[str] = Counter()
        self.refused_reason = ""
        self._pbx = pbx
        self._metrics = metrics
        self._log = log
        self._refused, self._held_back, self._oversized, self._contradictions = 0, 0, 0, 0
        self._contradicted_s: float | None = None
        self._warned: set[str] = set()

    def fresh(self) -> None:
        """A new link begins, whose counts start at zero."""
        self.dropped.clear()
        self._refused = self._held_back = 0

    def acknowledged(self, seconds: float) -> None:
        """The broker has acknowledged a message."""
        self._metrics.publish_seconds.observe(seconds, self._pbx)

    def refused(self, topic: str, error: LinkError) -> None:
        """The broker refused a message, for good or for the moment. The first of each is a warning."""
        later = isinstance(error, Unreachable)
        self._refused += not later
        self._held_back += later
        self._metrics.held_back.add(self._pbx, by=later)
        what, count = ("held back", self._held_back) if later else ("refused", self._refused)
        say = self._log.warning if count == 1 else self._log.debug
        reason = error.reason[:LONGEST_REASON]
        say(f"publish {what}", topic=topic[:LONGEST_REASON], reason=reason, count=count)

    def refused_topics(self, reason: str, count: int) -> None:
        """The broker refuses `count` topics; `reason` names the first."""
        self._metrics.refused_topics.set(count, self._pbx)
        self.refused_reason = reason

    def set_aside(self, topic: str, size: int, *, too_large: bool) -> None:
        """The broker closes the connection when it gets this message, which is not sent again."""
        why = "larger than any it has taken: its limit?" if too_large else "is the topic forbidden?"
        reason = f"the broker closed the connection twice when it got this ({why})"
        self._log.warning("message set aside", topic=topic, bytes=size, reason=reason)

    def answers_rest(self, topic: str, kind: Kind) -> None:
        """The broker closes the connection when it gets answers of this kind."""
        self._log.warning(
            "answers held back",
            kind=kind.value,
            topic=topic[:LONGEST_REASON],
            reason="the broker closed three connections when it got one; for an hour answers go only "
            "to topics that have worked before",
            hint="grant the right to write <base>/reply/#, response/# and command topics",
        )

    def impostor(self) -> None:
        """Another client answers as a bridge for this PBX, without proof that it knows the password."""
        reason = "another client has the bridge's client id and answers for this PBX without the password"
        hint = (
            "either a bridge with another version or password is running, or a client pretends to be one: "
            "bind the client id to the user name at the broker"
        )
        self._warn_once("probe answered without proof", reason, hint=hint)

    def limited(self, reason: str, **hint: str) -> None:
        """The broker lacks a feature, or the bridge lacks a right. Logged once."""
        self._warn_once("broker is limited", reason, **hint)

    def _warn_once(self, event: str, reason: str, **hint: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            self._log.warning(event, reason=reason, **hint)

    def oversized(self, topic: str) -> None:
        """A message larger than any of the bridge was skipped. The first is a warning."""
        self._oversized += 1
        say = self._log.warning if self._oversized == 1 else self._log.debug
        hint = "it was not read; a retained one on a topic of the bridge is erased"
        say("message too large", topic=topic, hint=hint)

    def cleared(self, count: int) -> None:
        """Retained states that do not belong to this bridge were erased at the start."""
        if count:
            self._log.warning(
                "foreign states erased",
                count=count,
                hint="another client may write the user states, or the state directory is of another bridge",
            )

    def deleted_elsewhere(self, count: int) -> None:
        """Retained states of users that were deleted while another broker was in use were erased."""
        if count:
            self._log.info("states of deleted users erased", count=count)

    def contradicted(self) -> None:
        """Another client overwrote the state topic, which was republished. A warning now and then."""
        self._contradictions += 1
        now_s = time.monotonic()
        loud = self._contradicted_s is None or now_s - self._contradicted_s >= REMIND_S
        self._contradicted_s = now_s if loud else self._contradicted_s
        say = self._log.warning if loud else self._log.debug
        say("state republished", count=self._contradictions, hint="is a second bridge running for this PBX?")

    def measure(self, figures: LinkFigures, polled_s: float) -> None:
        """Set the gauges. Delivered is everything up to the last Poll, or up to the oldest message queued."""
        metrics, pbx = self._metrics, self._pbx
        metrics.outbox.set(figures.outbox, pbx)
        for reason, count in {"refused": self._refused, **figures.dropped}.items():
            metrics.dropped.add(pbx, reason, by=count - self.dropped[reason])
            self.dropped[reason] = count
        since_s = figures.oldest_s
        oldest_s = 0.0 if since_s is None else time.time() - (time.monotonic() - since_s)
        metrics.oldest.set(oldest_s, pbx)
        if figures.broker_connected:
            metrics.delivered.set(min(polled_s, oldest_s or polled_s), pbx)
