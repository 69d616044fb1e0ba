"""What people see of a link: its log lines and its metrics, from the same few occurrences."""

import time
from collections import Counter
from collections.abc import Mapping

import structlog

from bridge.core.commands.request import Address
from bridge.core.commands.verbs import VERBS
from bridge.core.line import Kind
from bridge.core.liveness import Deadlines
from bridge.core.model import Event
from bridge.core.status import Down, LinkFigures, LinkState
from bridge.errors import LinkError, Rejected, StandsBack, Unreachable
from bridge.ops.bugs import Bugs
from bridge.ops.failure_log import REMIND_S, FailureLog, Logger
from bridge.ops.health import LinkStatus, SessionStatus
from bridge.ops.metrics import SIDES, Metrics

LONGEST_REASON = 300
LEFT_OUT = {
    "users": "the PBX has more users: raise limits.users of this PBX, or choose users by rules",
    "calls": "the PBX has more calls at once: raise limits.calls of this PBX",
    "calls_per_user": "one user has more calls at once: raise limits.calls_per_user of this PBX",
    "retained": "more is retained at the broker than the bridge takes: who may write our user states?",
}
"""What was beyond each limit, and what to do about it."""
NAMED_AT_MOST, SHOWN_AT_ONCE, NAMED_WITHIN_S = 1000, 10, 60.0


class Observer:
    """The log lines and metrics of one PBX."""

    def __init__(self, pbx: str, metrics: Metrics, bugs: Bugs) -> None:
        self._pbx = pbx
        self._metrics = metrics
        self._bugs = bugs
        self.log: Logger = structlog.get_logger(pbx=pbx)
        self._failure_logs = {side: FailureLog(side, self.log) for side in (*SIDES, "link")}
        self._sessions = dict.fromkeys(SIDES, SessionStatus(up=False, reason="", since_ms=_now_ms()))
        self._polling_since_s: float | None = None
        self._polled_s = 0.0
        self._unreadable: set[str] = set()
        self._not_followed: dict[str, str] = {}
        self._named, self._named_since_s = 0, 0.0
        self._refused, self._held_back, self._oversized = 0, 0, 0
        self._counted: Counter[str] = Counter()
        self._takeovers = 0
        self._contradictions = 0
        self._contradicted_s: float | None = None
        self._store_problem = ""
        self._refused_topics = ""
        self._limits: set[str] = set()
        self._unanswered, self._unanswered_again_s = 0, 0.0
        self._limits_reached: set[str] = set()
        self._stuck: tuple[str, ...] = ()
        metrics.announce(pbx)

    def gone(self) -> None:
        """The PBX is not of the configuration any more."""
        self._metrics.forget(self._pbx)
        self.log.info("removed")

    def up(self, side: str, **facts: object) -> None:
        """The PBX's or the broker's session is up."""
        self._show(side, up=True)
        self._metrics.announce_side(self._pbx, side)
        self._sessions[side] = SessionStatus(up=True, reason="", since_ms=_now_ms())
        self._metrics.starts.labels(self._pbx, side).inc()
        self._metrics.rejected.labels(self._pbx, side).set(0)
        self._failure_logs[side].up(**facts)
        if side == "mqtt":
            self._metrics.taken_over.labels(self._pbx).set(0)

    def left(self, side: str) -> None:
        """The session of a side is over, for whatever reason."""
        self._show(side, up=False)
        if side == "mqtt":
            self.refused_topics("", 0)
        if self._sessions[side].up:
            self._sessions[side] = SessionStatus(up=False, reason="", since_ms=_now_ms())

    def down(self, side: str, down: Down) -> None:
        """A session of a side failed."""
        self._metrics.sessions.labels(self._pbx, side, type(down.cause).__name__).inc()
        self._metrics.rejected.labels(self._pbx, side).set(isinstance(down.cause, Rejected))
        self._sessions[side] = self._sessions[side].because(down.cause.reason)
        if side == "mqtt":
            self._metrics.taken_over.labels(self._pbx).set(isinstance(down.cause, StandsBack))
        elif self._polling_since_s is not None:
            seconds, self._polling_since_s = time.monotonic() - self._polling_since_s, None
            self._metrics.poll_seconds.labels(self._pbx, "error").observe(seconds)
        self._failure_logs[side].down(down)

    def _show(self, side: str, *, up: bool) -> None:
        (self._metrics.pbx_up if side == "pbx" else self._metrics.mqtt_up).labels(self._pbx).set(up)

    def asked(self, operation: str, good: bool, seconds: float) -> None:  # noqa: FBT001  (a callback)
        """A request was sent to the PBX, and answered or not."""
        self._metrics.requests.labels(self._pbx, operation, "ok" if good else "error").inc()
        self._metrics.request_seconds.labels(self._pbx, operation).observe(seconds)

    def events(self, events: tuple[Event, ...]) -> None:
        """Call events were put into the outbox."""
        for event in events:
            self._metrics.events.labels(self._pbx, event.type.value).inc()

    def unreadable(self, records: tuple[str, ...]) -> None:
        """The PBX sent records that are no XML; they were left out. Each is named once, few of very many."""
        self._metrics.unreadable.labels(self._pbx).inc(len(records))
        news = [record for record in records if record not in self._unreadable]
        loud = bool(news) and len(self._unreadable) < NAMED_AT_MOST
        self._unreadable.update(news if loud else ())
        say = self.log.warning if loud else self.log.debug
        hint = "correct the names of these objects at the PBX"
        say("records left out", records=(news or records)[:SHOWN_AT_ONCE], count=len(records), hint=hint)

    def monitored(self, guid: str) -> None:
        """The PBX reports the calls of a user."""
        name = self._not_followed.pop(guid, None)
        if name is not None:
            self.log.info("user followed after all", name=name)

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX does not report the calls of a user: each once, and few at a time."""
        if self._not_followed.get(guid) == name or len(self._not_followed) >= NAMED_AT_MOST:
            return
        self._not_followed[guid] = name
        now_s = time.monotonic()
        if now_s - self._named_since_s >= NAMED_WITHIN_S:
            self._named_since_s, self._named = now_s, 0
        self._named += 1
        if self._named <= SHOWN_AT_ONCE:
            hint = "its calls are not on the bus; look at this object and at the rights of the session user"
            self.log.warning("user not followed", name=name, reason=reason, hint=hint)
        elif self._named == SHOWN_AT_ONCE + 1:
            self.log.warning("more users not followed", hint="the metric of refused users has their number")

    def polling(self) -> None:
        """The first Poll of a session is on its way."""
        self._polling_since_s = time.monotonic()

    def polled(self, seconds: float, *, events: bool) -> None:
        """A Poll came back, and the next one is on its way."""
        self._polling_since_s = time.monotonic()
        self._metrics.poll_seconds.labels(self._pbx, "events" if events else "idle").observe(seconds)
        self._polled_s = time.time()
        self._metrics.last_poll.labels(self._pbx).set(self._polled_s)

    def replied(
        self, address: Address, request_id: str | None, code: str, reason: str, seconds: float
    ) -> None:
        """A command got its reply. The line says whom it was about, and why it was refused if it was."""
        verb = address.verb if address.verb in VERBS else "unknown"
        self._metrics.commands.labels(self._pbx, verb, code).inc()
        self._metrics.command_seconds.labels(self._pbx).observe(seconds)
        facts = {"id": request_id, "user": address.user, "reason": reason[:LONGEST_REASON]}
        given = {name: fact for name, fact in facts.items() if fact}
        self.log.info("command", verb=verb, code=code, **given, seconds=round(seconds, 3))

    def unanswered(self) -> None:
        """A command was refused, or repeated, among so many that it gets no reply and no line of its own."""
        self._metrics.unanswered.labels(self._pbx).inc()
        self._unanswered += 1

    def _tell_unanswered(self) -> None:
        """One line for all of them: at once, then each five minutes while it goes on."""
        now_s = time.monotonic()
        if self._unanswered and now_s >= self._unanswered_again_s:
            hint = "a client floods the command topics: look at the access lists of the broker"
            self.log.warning("commands not answered", count=self._unanswered, hint=hint)
            self._unanswered, self._unanswered_again_s = 0, now_s + REMIND_S

    def crashed(self, bug: Exception) -> None:
        """A request brought a bug to light."""
        self._bugs.report(bug, "command", self._pbx)

    def fresh(self) -> None:
        """A new link begins: what it counts starts at zero."""
        self._counted.clear()
        self._refused = self._held_back = self._takeovers = 0

    def crashed_link(self, down: Down) -> None:
        """A bug ended the link; a new one takes its place after a while."""
        for side in SIDES:
            self.left(side)
            self._sessions[side] = self._sessions[side].because(down.cause.reason)
        for state in LinkState:
            self._metrics.link_state.labels(self._pbx, state).set(state is LinkState.REJECTED)
        self._failure_logs["link"].down(down)

    def crash_status(self) -> LinkStatus:
        """The status of a PBX that has no link for the moment."""
        link, pbx_session, broker = LinkState.REJECTED, self._sessions["pbx"], self._sessions["mqtt"]
        return LinkStatus(self._pbx, link, pbx_session, broker, "", 0, 0, 0, {}, (), self._store_problem)

    def acknowledged(self, seconds: float) -> None:
        """The broker has a message."""
        self._metrics.publish_seconds.labels(self._pbx).observe(seconds)

    def refused(self, topic: str, error: LinkError) -> None:
        """The broker will not have a message, or not now; the first of each is loud."""
        later = isinstance(error, Unreachable)
        self._refused += not later
        self._held_back += later
        self._metrics.held_back.labels(self._pbx).inc(later)
        what, count = ("held back", self._held_back) if later else ("refused", self._refused)
        say = self.log.warning if count == 1 else self.log.debug
        reason = error.reason[:LONGEST_REASON]
        say(f"publish {what}", topic=topic[:LONGEST_REASON], reason=reason, count=count)

    def no_effect(self, reason: str) -> None:
        """The broker is connected, but what we publish does not take effect: somebody must change a right."""
        if self._sessions["mqtt"].reason != reason:
            self.log.warning("mqtt without effect", reason=reason)
            self._show("mqtt", up=False)
            self._sessions["mqtt"] = SessionStatus(up=False, reason=reason, since_ms=_now_ms())
            self._metrics.rejected.labels(self._pbx, "mqtt").set(1)

    def set_aside(self, topic: str, size: int, *, too_large: bool) -> None:
        """The broker ends our sessions at one message, which is not sent again."""
        why = "larger than all that it has taken: its limit?" if too_large else "is the topic forbidden?"
        reason = f"the broker closed the connection twice when it got this ({why})"
        self.log.warning("message set aside", topic=topic, bytes=size, reason=reason)

    def impostor(self) -> None:
        """Somebody answers as a bridge for our PBX, without the proof that only our password gives."""
        reason = "another client uses our client id, and an answer for this PBX has no proof of our password"
        hint = "either a bridge with another version or password runs, or somebody pretends to be one"
        if reason not in self._limits:
            self._limits.add(reason)
            hint = f"{hint}: bind the client id to the user name at the broker"
            self.log.warning("answer without proof", reason=reason, hint=hint)

    def answers_rest(self, topic: str, kind: Kind) -> None:
        """The broker ends our sessions at one kind of answers to requests."""
        self.log.warning(
            "answers held back",
            kind=kind.value,
            topic=topic[:LONGEST_REASON],
            reason="the broker closed three connections at one: for an hour they go only "
            "where it has taken one before",
            hint="grant the right to write <base>/reply/#, response/# and command topics",
        )

    def oversized(self, topic: str) -> None:
        """A message larger than any of ours was read past; the first is loud."""
        self._oversized += 1
        say = self.log.warning if self._oversized == 1 else self.log.debug
        say(
            "message too large",
            topic=topic,
            hint="it was not read; what is retained there and ours is cleared",
        )

    def left_out(self, counts: Mapping[str, int]) -> None:
        """What was beyond a limit was left out; each limit is named once."""
        for limit, count in counts.items():
            self._metrics.left_out.labels(self._pbx, limit).inc(count)
            if limit not in self._limits_reached:
                self._limits_reached.add(limit)
                self.log.warning("limit reached", limit=limit, count=count, hint=LEFT_OUT[limit])

    def cleared(self, count: int) -> None:
        """Retained states that are not ours were cleared at the start."""
        if count:
            self.log.warning(
                "foreign states cleared",
                count=count,
                hint="somebody else may write our user states, or the state directory is of another bridge",
            )

    def limited(self, reason: str, **hint: str) -> None:
        """What the broker cannot do; said once."""
        if reason not in self._limits:
            self._limits.add(reason)
            self.log.warning("broker is limited", reason=reason, **hint)

    def refused_topics(self, reason: str, count: int) -> None:
        """The broker refuses `count` topics; `reason` names the first."""
        self._metrics.refused_topics.labels(self._pbx).set(count)
        self._refused_topics = reason

    def contradicted(self) -> None:
        """Somebody else said of our state what is not true; it was put right. Not loud each time."""
        self._metrics.contradictions.labels(self._pbx).inc()
        self._contradictions += 1
        now_s = time.monotonic()
        loud = self._contradicted_s is None or now_s - self._contradicted_s >= REMIND_S
        self._contradicted_s = now_s if loud else self._contradicted_s
        say = self.log.warning if loud else self.log.debug
        say("state put right", count=self._contradictions, hint="is a second bridge running for this PBX?")

    def stuck(self, parts: tuple[str, ...]) -> None:
        """These parts of the link do not move any more; said once."""
        if parts and parts != self._stuck:
            self.log.error("stuck", parts=parts, hint="a fault of the bridge: restart it, and report this")
        self._stuck = parts
        for part in Deadlines().limits():
            self._metrics.stuck.labels(self._pbx, part).set(part in parts)

    def stored(self, problem: str | None) -> None:
        """The file of the state directory cannot be written (why), or can again."""
        self._metrics.store_up.labels(self._pbx).set(problem is None)
        if problem is not None:
            self.log.error("state directory down", reason=problem)
        elif self._store_problem:
            self.log.info("state directory up")
        self._store_problem = problem or ""

    def measure(self, figures: LinkFigures) -> None:
        """Set the gauges; for whenever metrics are asked for."""
        for failures in self._failure_logs.values():
            failures.look()
        self._tell_unanswered()
        metrics, pbx = self._metrics, self._pbx
        metrics.users.labels(pbx).set(figures.users)
        metrics.followed.labels(pbx).set(figures.monitored)
        metrics.refused_users.labels(pbx).set(figures.refused_users)
        metrics.calls.labels(pbx).set(figures.calls)
        metrics.outbox.labels(pbx).set(figures.outbox)
        for state in LinkState:
            metrics.link_state.labels(pbx, state).set(state is figures.status.link)
        for reason, count in {"refused": self._refused, **figures.dropped}.items():
            metrics.dropped.labels(pbx, reason).inc(count - self._counted[reason])
            self._counted[reason] = count
        metrics.takeovers.labels(pbx).inc(figures.takeovers - self._takeovers)
        self._takeovers = figures.takeovers
        self._measure_age(figures)

    def _measure_age(self, figures: LinkFigures) -> None:
        """Delivered is all up to the last Poll, or up to the oldest message that still waits."""
        waits_s = figures.oldest_s
        oldest_s = 0.0 if waits_s is None else time.time() - (time.monotonic() - waits_s)
        self._metrics.oldest.labels(self._pbx).set(oldest_s)
        if figures.broker_connected:
            self._metrics.delivered.labels(self._pbx).set(min(self._polled_s, oldest_s or self._polled_s))

    def status(self, figures: LinkFigures) -> LinkStatus:
        """The link as a person wants to see it."""
        return LinkStatus(
            pbx=self._pbx,
            link=figures.status.link,
            pbx_session=self._sessions["pbx"].because(figures.status.detail),
            broker_session=self._sessions["mqtt"],
            firmware=figures.about.firmware,
            users=figures.users,
            calls=figures.calls,
            outbox=figures.outbox,
            dropped=dict(+self._counted),
            stuck=self._stuck,
            store_problem=self._store_problem,
            refused=self._refused_topics,
        )


def _now_ms() -> int:
    return round(time.time() * 1000)
