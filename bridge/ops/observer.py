"""Log lines, metrics and status of a link: its sessions, its state and its health. Never changes the link.

Occurrences of one side only are in pbx_observer.py, broker_observer.py and command_observer.py.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from bridge.core.liveness import Deadlines
from bridge.core.status import Down, LinkFigures, LinkState
from bridge.errors import Rejected, StandsBack
from bridge.ops.broker_observer import BrokerObserver
from bridge.ops.bugs import Bugs
from bridge.ops.command_observer import CommandObserver
from bridge.ops.failure_log import FailureLog, Logger
from bridge.ops.health import LinkStatus, SessionStatus
from bridge.ops.link_metrics import SIDES
from bridge.ops.metrics import Metrics
from bridge.ops.pbx_observer import PbxObserver

LEFT_OUT = {
    "users": "the PBX has more users: raise limits.users of this PBX, or select users with rules",
    "calls": "the PBX has more calls at once: raise limits.calls of this PBX",
    "calls_per_user": "one user has more calls at once: raise limits.calls_per_user of this PBX",
    "retained": "the broker retains more than the bridge reads: which clients may write the user states?",
}
"""What exceeded each limit, and what to do about it."""


class Observer:
    """The log lines, metrics and status of one PBX. `news` rises whenever the status may have changed."""

    def __init__(self, pbx: str, metrics: Metrics, bugs: Bugs) -> None:
        log: Logger = structlog.get_logger(pbx=pbx)
        self.pbx = PbxObserver(pbx, metrics.pbx, log)
        self.broker = BrokerObserver(pbx, metrics.broker, log)
        self.commands = CommandObserver(pbx, metrics.commands, log, bugs)
        self.news = 0
        self._pbx = pbx
        self._metrics = metrics
        self._log = log
        self._failure_logs = {side: FailureLog(side, log) for side in (*SIDES, "link")}
        self._sessions = dict.fromkeys(SIDES, SessionStatus(up=False, reason="", since_ms=_now_ms()))
        self._takeovers = 0
        self._store_problem = ""
        self._served: Mapping[str, str] = {}
        self._left_out: Mapping[str, str] = {}
        self._limits_reached: set[str] = set()
        self._stuck: tuple[str, ...] = ()
        metrics.announce(pbx)
        for side in SIDES:  # of the link that was here before a reload, and may have had several addresses
            metrics.sessions.standby.remove(pbx, side)

    def gone(self) -> None:
        """The PBX is no longer configured."""
        self._metrics.forget(self._pbx)
        self._log.info("removed")

    def fresh(self) -> None:
        """A new link begins, whose counts start at zero."""
        self.broker.fresh()
        self._takeovers = 0

    def chosen(self, side: str, address: str, *, standby: bool) -> None:
        """The next attempt of this side goes to one of several addresses."""
        self.news += 1
        self._sessions[side] = replace(self._sessions[side], address=address, standby=standby)
        self._metrics.sessions.standby.set(standby, self._pbx, side)

    def returns(self, side: str, address: str) -> None:
        """The session with a standby is being ended, because the primary works again."""
        self._log.info(f"{side} returns to the primary", address=address)

    def up(self, side: str, **facts: object) -> None:
        """The session of a side is up."""
        self.news += 1
        self._show(side, up=True)
        self._metrics.announce_side(self._pbx, side)
        self._sessions[side] = self._sessions[side].since(_now_ms(), up=True)
        self._metrics.sessions.starts.add(self._pbx, side)
        self._metrics.sessions.rejected.set(0, self._pbx, side)
        address = self._sessions[side].address
        self._failure_logs[side].up(**facts, **({"address": address} if address else {}))
        if side == "mqtt":
            self._metrics.sessions.taken_over.set(0, self._pbx)

    def left(self, side: str) -> None:
        """The session of a side has ended, for any reason."""
        self.news += 1
        self._show(side, up=False)
        if side == "mqtt":
            self.broker.refused_topics("", 0)
        if self._sessions[side].up:
            self._sessions[side] = self._sessions[side].since(_now_ms(), up=False)

    def down(self, side: str, down: Down) -> None:
        """The session of a side failed, or an attempt did."""
        self.news += 1
        metrics = self._metrics.sessions
        metrics.ends.add(self._pbx, side, type(down.cause).__name__)
        metrics.rejected.set(isinstance(down.cause, Rejected), self._pbx, side)
        self._sessions[side] = self._sessions[side].because(down.cause.reason)
        if side == "mqtt":
            metrics.taken_over.set(isinstance(down.cause, StandsBack), self._pbx)
        else:
            self.pbx.session_failed()
        self._failure_logs[side].down(down)

    def no_effect(self, reason: str) -> None:
        """The broker is connected but does not deliver what is published, until someone grants a right."""
        if self._sessions["mqtt"].reason != reason:
            self._log.warning("mqtt without effect", reason=reason)
            self._show("mqtt", up=False)
            self._sessions["mqtt"] = self._sessions["mqtt"].since(_now_ms(), up=False).because(reason)
            self._metrics.sessions.rejected.set(1, self._pbx, "mqtt")

    def crashed_link(self, down: Down) -> None:
        """A bug ended the link; a new one replaces it after a delay."""
        for side in SIDES:
            self.left(side)
            self._sessions[side] = self._sessions[side].because(down.cause.reason)
        self._show_state(LinkState.REJECTED)
        self._failure_logs["link"].down(down)

    def contradicted(self) -> None:
        """Another client overwrote the state topic, which was republished."""
        self._metrics.sessions.contradictions.add(self._pbx)
        self.broker.contradicted()

    def left_out(self, counts: Mapping[str, int]) -> None:
        """Records beyond a limit were skipped. Each limit is logged once."""
        for limit, count in counts.items():
            self._metrics.pbx.left_out.add(self._pbx, limit, by=count)
            if limit not in self._limits_reached:
                self._limits_reached.add(limit)
                self._log.warning("limit reached", limit=limit, count=count, hint=LEFT_OUT[limit])

    def located(self, served: Mapping[str, str], left_out: Mapping[str, str]) -> None:
        """The links that serve the locations of this master, and why other locations have none."""
        for location in served.keys() - self._served.keys():
            self._log.info("location found", location=location, served_as=served[location])
        self._served = dict(served)
        for location, reason in left_out.items():
            if self._left_out.get(location) != reason:
                self._log.warning("location left out", location=location, reason=reason)
        self._left_out = dict(left_out)
        self.news += 1
        locations = self._metrics.sessions.locations
        locations.set(len(served), self._pbx, "served")
        locations.set(len(left_out), self._pbx, "left_out")

    def not_located(self) -> None:
        """This PBX is no longer a master."""
        self.located({}, {})
        for state in ("served", "left_out"):
            self._metrics.sessions.locations.remove(self._pbx, state)

    def stuck(self, parts: tuple[str, ...]) -> None:
        """These parts of the link make no progress. Logged once."""
        if parts and parts != self._stuck:
            hint = "a fault of the bridge: restart it and report this"
            self._log.error("stuck", parts=parts, hint=hint)
        self._stuck = parts
        for part in Deadlines().limits():
            self._metrics.sessions.stuck.set(part in parts, self._pbx, part)

    def stored(self, problem: str | None) -> None:
        """The file in the state directory cannot be written, and why; None: it can be written again."""
        self.news += 1
        self._metrics.broker.store_up.set(problem is None, self._pbx)
        if problem is not None:
            self._log.error("state directory down", reason=problem)
        elif self._store_problem:
            self._log.info("state directory up")
        self._store_problem = problem or ""

    def measure(self, figures: LinkFigures) -> None:
        """Set the gauges, and log what has become true by the passing of time."""
        for failures in self._failure_logs.values():
            failures.look()
        self.commands.look()
        self._show_state(figures.status.link)
        self._metrics.sessions.takeovers.add(self._pbx, by=figures.takeovers - self._takeovers)
        self._takeovers = figures.takeovers
        self.pbx.measure(
            users=figures.users,
            monitored=figures.monitored,
            refused=figures.refused_users,
            calls=figures.calls,
        )
        self.broker.measure(figures, self.pbx.polled_s)

    def status(self, figures: LinkFigures) -> LinkStatus:
        """The link, for people."""
        return LinkStatus(
            pbx=self._pbx,
            link=figures.status.link,
            pbx_session=self._sessions["pbx"].because(figures.status.detail),
            broker_session=self._sessions["mqtt"],
            firmware=figures.about.firmware,
            users=figures.users,
            calls=figures.calls,
            outbox=figures.outbox,
            dropped=dict(+self.broker.dropped),
            stuck=self._stuck,
            store_problem=self._store_problem,
            refused=self.broker.refused_reason,
            left_out=self._left_out,
        )

    def crash_status(self) -> LinkStatus:
        """The status of a PBX whose link a bug has ended."""
        link, pbx, broker = LinkState.REJECTED, self._sessions["pbx"], self._sessions["mqtt"]
        return LinkStatus(self._pbx, link, pbx, broker, "", 0, 0, 0, {}, (), self._store_problem)

    def _show(self, side: str, *, up: bool) -> None:
        metrics = self._metrics.sessions
        (metrics.pbx_up if side == "pbx" else metrics.mqtt_up).set(up, self._pbx)

    def _show_state(self, present: LinkState) -> None:
        for state in LinkState:
            self._metrics.sessions.link_state.set(state is present, self._pbx, state)


def _now_ms() -> int:
    return round(time.time() * 1000)
