"""Log lines and metrics of what a PBX reports and answers. Never changes the link."""

import time

from bridge.core.model import Event
from bridge.ops.failure_log import Logger
from bridge.ops.link_metrics import PbxMetrics

NAMED_AT_MOST, SHOWN_AT_ONCE, NAMED_WITHIN_S = 1000, 10, 60.0


class PbxObserver:
    """Hears of Polls, requests, events, records and users of one PBX."""

    def __init__(self, pbx: str, metrics: PbxMetrics, log: Logger) -> None:
        self.polled_s = 0.0
        self._pbx = pbx
        self._metrics = metrics
        self._log = log
        self._polling_since_s: float | None = None
        self._unreadable: set[str] = set()
        self._not_monitored: dict[str, str] = {}
        self._named, self._named_since_s = 0, 0.0

    def asked(self, operation: str, good: bool, seconds: float) -> None:  # noqa: FBT001  (a callback)
        """A request to the PBX was answered, or failed."""
        self._metrics.requests.add(self._pbx, operation, "ok" if good else "error")
        self._metrics.request_seconds.observe(seconds, self._pbx, operation)

    def polling(self) -> None:
        """The first Poll of a session was sent."""
        self._polling_since_s = time.monotonic()

    def polled(self, seconds: float, *, events: bool) -> None:
        """A Poll was answered, and the next one was sent."""
        self._polling_since_s = time.monotonic()
        self._metrics.poll_seconds.observe(seconds, self._pbx, "events" if events else "idle")
        self.polled_s = time.time()
        self._metrics.last_poll.set(self.polled_s, self._pbx)

    def session_failed(self) -> None:
        """The session ended, and with it the Poll that was pending."""
        if self._polling_since_s is not None:
            seconds, self._polling_since_s = time.monotonic() - self._polling_since_s, None
            self._metrics.poll_seconds.observe(seconds, self._pbx, "error")

    def events(self, events: tuple[Event, ...]) -> None:
        """Call events were put into the outbox."""
        for event in events:
            self._metrics.events.add(self._pbx, event.type.value)

    def unreadable(self, records: tuple[str, ...]) -> None:
        """Records with invalid XML were skipped. Each is logged once, up to a limit."""
        self._metrics.unreadable.add(self._pbx, by=len(records))
        news = [record for record in records if record not in self._unreadable]
        loud = bool(news) and len(self._unreadable) < NAMED_AT_MOST
        self._unreadable.update(news if loud else ())
        say = self._log.warning if loud else self._log.debug
        hint = "correct the names of these objects at the PBX"
        say("records skipped", records=(news or records)[:SHOWN_AT_ONCE], count=len(records), hint=hint)

    def monitored(self, guid: str) -> None:
        """The PBX reports the calls of this user."""
        name = self._not_monitored.pop(guid, None)
        if name is not None:
            self._log.info("user monitored at last", name=name)

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX does not report the calls of this user. Each is logged once, a few per minute."""
        if self._not_monitored.get(guid) == name or len(self._not_monitored) >= NAMED_AT_MOST:
            return
        self._not_monitored[guid] = name
        now_s = time.monotonic()
        if now_s - self._named_since_s >= NAMED_WITHIN_S:
            self._named_since_s, self._named = now_s, 0
        self._named += 1
        if self._named <= SHOWN_AT_ONCE:
            hint = "their calls are not published; check this object and the rights of the session user"
            self._log.warning("user not monitored", name=name, reason=reason, hint=hint)
        elif self._named == SHOWN_AT_ONCE + 1:
            self._log.warning("more users not monitored", hint="the metric refused_users counts them")

    def forwards_unread(self, name: str, reason: str) -> None:
        """The PBX does not tell the forwards of this user. Once until they are read again."""
        hint = "forwards: true needs the account of an administrator; the states have no or old forwards"
        self._log.warning("forwards not read", name=name, reason=reason, hint=hint)

    def measure(self, *, users: int, monitored: int, refused: int, calls: int) -> None:
        """Set the gauges."""
        self._metrics.users.set(users, self._pbx)
        self._metrics.monitored.set(monitored, self._pbx)
        self._metrics.refused_users.set(refused, self._pbx)
        self._metrics.calls.set(calls, self._pbx)
