"""What the log says of sessions that fail: the first of a kind, the recovery, and flapping as one trouble."""

import structlog

from bridge.core.status import STAYED_S, Down
from bridge.errors import SessionLost, Unreachable
from bridge.ops.trouble import REMIND_S, Trouble

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
        trouble = Trouble("pbx", structlog.get_logger(), clock)
        trouble.up()
        for number in range(50):
            trouble.down(Down(LOST, 1, 1.0, 0.2))
            clock.now += REMIND_S / 40
            trouble.up(users=number)
        clock.now += STAYED_S
        trouble.look()
        trouble.look()
    loud = [line["event"] for line in log if line["log_level"] != "debug"]
    assert loud == ["pbx up", *["pbx down", "pbx up"] * 2, "pbx up"]
    assert (log[-1]["failures"], log[-1]["users"]) == (50, 49)


def test_an_outage_and_its_end() -> None:
    """As ever: one line when it begins, one for another reason, one when it is over, at once."""
    clock = Clock()
    with structlog.testing.capture_logs() as log:
        trouble = Trouble("mqtt", structlog.get_logger(), clock)
        trouble.up()
        for cause, lived_s in ((LOST, STAYED_S), (AWAY, None), (AWAY, None)):
            trouble.down(Down(cause, 1, 1.0, lived_s))
        trouble.up()
        clock.now += STAYED_S
        trouble.look()
        trouble.down(Down(LOST, 1, 1.0, STAYED_S))
    loud = [line["event"] for line in log if line["log_level"] != "debug"]
    assert loud == ["mqtt up", "mqtt down", "mqtt down", "mqtt up", "mqtt down"]
    assert [line["failures"] for line in log] == [0, 1, 2, 3, 3, 1]
