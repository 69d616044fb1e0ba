"""Log lines and metrics of commands. Never changes the link."""

import time

from bridge.core.commands.answer import Address
from bridge.core.commands.verbs import VERBS
from bridge.ops.bugs import Bugs
from bridge.ops.failure_log import LONGEST_REASON, REMIND_S, Logger
from bridge.ops.link_metrics import CommandMetrics


class CommandObserver:
    """Hears of every reply of one link, and of commands that get none."""

    def __init__(self, pbx: str, metrics: CommandMetrics, log: Logger, bugs: Bugs) -> None:
        self._pbx = pbx
        self._metrics = metrics
        self._log = log
        self._bugs = bugs
        self._unanswered, self._unanswered_again_s = 0, 0.0

    def replied(self, address: Address, code: str, reason: str, seconds: float) -> None:
        """A command got its reply. Its line is for an audit: who, what, whom, and the reason of a refusal."""
        verb = address.verb if address.verb in VERBS else "unknown"
        self._metrics.commands.add(self._pbx, verb, code)
        self._metrics.seconds.observe(seconds, self._pbx)
        facts = {
            "id": address.id,
            "sender": address.sender,
            "user": address.user,
            "call": address.call,
            "target": ", ".join(address.dialled),
            "reason": reason[:LONGEST_REASON],
        }
        given = {name: fact for name, fact in facts.items() if fact}
        self._log.info("command", verb=verb, code=code, **given, seconds=round(seconds, 3))

    def unanswered(self) -> None:
        """A command was refused or repeated during a flood, and gets neither a reply nor a log line."""
        self._metrics.unanswered.add(self._pbx)
        self._unanswered += 1

    def look(self) -> None:
        """Log the commands without a reply: one line at once, then one every five minutes."""
        now_s = time.monotonic()
        if self._unanswered and now_s >= self._unanswered_again_s:
            hint = "a client floods the command topics: check the access lists of the broker"
            self._log.warning("commands not answered", count=self._unanswered, hint=hint)
            self._unanswered, self._unanswered_again_s = 0, now_s + REMIND_S

    def crashed(self, bug: Exception) -> None:
        """A request hit a bug; it costs this request only."""
        self._bugs.report(bug, "command", self._pbx)
