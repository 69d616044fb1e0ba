"""What the log says of sessions that fail: the first failure of a kind, the recovery, flapping as one."""

import structlog

from bridge.core.status import STAYED_S, Down
from bridge.errors import SessionLost, Unreachable
from bridge.ops.failure_log import REMIND_S, FailureLog

LOST, AWAY = SessionLost("lost"), Unreachable("away")


class Clock:
    """Seconds that a test lets go by."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_flapping_is_one_trouble() -> None:
    """Two lines for it, then quiet but for a reminder; once a session has stayed up, that is said."""
    clock = Clock()
    with structlog.testing.capture_logs() as log:
        failures = FailureLog("pbx", structlog.get_logger(), clock)
        failures.up()
        for number in range(50):
            failures.down(Down(LOST, 1, 1.0, 0.2))
            clock.now += REMIND_S / 40
            failures.up(users=number)
        clock.now += STAYED_S
        failures.look()
        failures.look()
    loud = [line["event"] for line in log if line["log_level"] != "debug"]
    assert loud == ["pbx up", *["pbx down", "pbx up"] * 2, "pbx up"]
    assert (log[-1]["failures"], log[-1]["users"]) == (50, 49)


def test_an_outage_and_its_end() -> None:
    """As ever: one line when it begins, one for another reason, one when it is over, at once."""
    clock = Clock()
    with structlog.testing.capture_logs() as log:
        failures = FailureLog("mqtt", structlog.get_logger(), clock)
        failures.up()
        for cause, lived_s in ((LOST, STAYED_S), (AWAY, None), (AWAY, None)):
            failures.down(Down(cause, 1, 1.0, lived_s))
        failures.up()
        clock.now += STAYED_S
        failures.look()
        failures.down(Down(LOST, 1, 1.0, STAYED_S))
    loud = [line["event"] for line in log if line["log_level"] != "debug"]
    assert loud == ["mqtt up", "mqtt down", "mqtt down", "mqtt up", "mqtt down"]
    assert [line["failures"] for line in log] == [0, 1, 2, 3, 3, 1]
