"""Retrying: scripted sessions, a fake sleep, the exact delays."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate

import pytest

from bridge.core import backoff
from bridge.core.status import STAYED_S, Down
from bridge.errors import Rejected, SessionLost, TakenOver, Unreachable
from bridge.link.supervise import NEEDS_A_HUMAN_S, Up, supervise


class EnoughError(BaseException):
    """Ends the endless loop of a test."""


def delays() -> Iterator[float]:
    """1, 2, 3 ... seconds."""
    yield from range(1, 100)


def flapping() -> Iterator[float]:
    """10, 20, 30 ... seconds."""
    yield from range(10, 1000, 10)


Step = tuple[float | None, BaseException | None]


async def downs(script: Sequence[Step]) -> list[Down]:
    """What is reported of sessions that are up for so long, or do not come up, and end with these errors."""
    reported: list[Down] = []
    steps, now = iter(script), 0.0

    async def session(_attempt: int, up: Up) -> None:
        nonlocal now
        lived_s, error = next(steps, (None, EnoughError()))
        if lived_s is not None:
            up()
            now += lived_s
        if error is not None:
            raise error

    async def sleep(seconds: float) -> None:
        """Take no time of the test."""
        nonlocal now
        now += seconds

    with pytest.raises(EnoughError):
        await supervise(
            session,
            delays=delays,
            flapping=flapping,
            report=reported.append,
            sleep=sleep,
            clock=lambda: now,
        )
    return reported


LONG, SHORT, NEVER = STAYED_S, STAYED_S - 1, None
LOST, AWAY, REFUSED = SessionLost("x"), Unreachable("y"), Rejected("password")


async def test_delays_grow_until_a_session_comes_up() -> None:
    """A session that was up for long makes the next failure the first one."""
    found = await downs([(NEVER, AWAY), (NEVER, AWAY), (LONG, LOST), (NEVER, AWAY), (NEVER, None)])

    assert [down.retry_s for down in found] == [1, 2, 1, 2, 3]
    assert [down.attempts for down in found] == [1, 2, 1, 2, 3]
    assert [down.stayed for down in found] == [False, False, True, False, False]
    assert found[4].cause.reason == "the session ended"


async def test_a_session_that_flaps_waits_longer_and_longer() -> None:
    """What comes up and breaks at once gains nothing by that; after it has stayed up, all is forgotten."""
    found = await downs([(SHORT, LOST), (0, LOST), (SHORT, LOST), (LONG, LOST), (0, LOST)])

    assert [down.retry_s for down in found] == [10, 20, 30, 1, 10]


async def test_whoever_takes_our_place_does_not_keep_us_away() -> None:
    """Anybody may take the client id again and again: we come back soon each time."""
    found = await downs([(0, TakenOver("z"))] * 5)

    assert [down.retry_s for down in found] == [TakenOver.longest_s] * 5


async def test_an_outage_between_flaps_is_an_outage() -> None:
    """A broker that comes back is served soon, also when its sessions have flapped before."""
    found = await downs([(0, LOST), (NEVER, AWAY), (NEVER, AWAY), (0, LOST), (NEVER, AWAY)])

    assert [down.retry_s for down in found] == [10, 2, 3, 20, 2]


async def test_few_logins_while_a_session_flaps() -> None:
    """With the real delays at their shortest: not 35 logins in 30 s, and long waits in the end."""
    longest = partial(backoff.delays, lambda: 0.0, longest_s=NEEDS_A_HUMAN_S)
    waits = [delay for delay, _ in zip(longest(), range(12), strict=False)]

    assert waits[:5] == [0.25, 0.5, 1, 2, 4]
    assert sum(total <= 30 for total in accumulate(waits)) <= 6
    assert waits[-1] == NEEDS_A_HUMAN_S / 2


async def test_a_human_gets_time() -> None:
    """Accounts lock after too many attempts."""
    found = await downs([(NEVER, REFUSED)])

    assert [down.retry_s for down in found] == [NEEDS_A_HUMAN_S]


async def test_a_refusal_of_what_was_accepted_is_tried_once_more() -> None:
    """Soon after a session that was up, and only once: devices refuse for a moment while they start."""
    found = await downs([(LONG, LOST), (NEVER, REFUSED), (NEVER, REFUSED), (LONG, REFUSED), (NEVER, LOST)])

    assert [down.retry_s for down in found] == [1, 2, NEEDS_A_HUMAN_S, 1, 2]


async def test_a_bug_is_not_handled_here() -> None:
    """It ends the link, whose supervision starts a new one."""
    with pytest.raises(KeyError):
        await downs([(0, KeyError("oops"))])


async def test_it_ends_when_it_is_over() -> None:
    """After the session in which that was decided, without a report."""
    reported: list[Down] = []
    over = False

    async def session(_attempt: int, _up: Up) -> None:
        nonlocal over
        over = True

    await supervise(session, delays=delays, flapping=flapping, report=reported.append, over=lambda: over)
    assert reported == []
