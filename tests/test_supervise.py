"""Retrying: scripted sessions, a fake sleep, the exact delays."""

from collections.abc import Iterator

import pytest

from bridge.errors import Crashed, LinkError, Rejected, SessionLost, Unreachable
from bridge.supervise import NEEDS_A_HUMAN_S, Down, Up, supervise


class EnoughError(BaseException):
    """Ends the endless loop of a test."""


def delays() -> Iterator[float]:
    """1, 2, 3 ... seconds."""
    yield from range(1, 100)


async def downs(script: list[tuple[bool, BaseException | None]]) -> list[Down]:
    """What is reported of sessions that come up or not and end with these errors."""
    reported: list[Down] = []
    steps = iter(script)

    async def session(_attempt: int, up: Up) -> None:
        came_up, error = next(steps, (False, EnoughError()))
        if came_up:
            up()
        if error is not None:
            raise error

    async def sleep(_seconds: float) -> None:
        """Take no time."""

    with pytest.raises(EnoughError):
        await supervise(session, delays=delays, report=reported.append, sleep=sleep)
    return reported


async def test_delays_grow_until_a_session_proves_itself() -> None:
    """A session that was up makes the next failure the first one."""
    lost, away = SessionLost("x"), Unreachable("y")
    found = await downs([(False, away), (False, away), (True, lost), (False, away), (False, None)])

    assert [down.retry_s for down in found] == [1, 2, 1, 2, 3]
    assert [down.attempts for down in found] == [1, 2, 1, 2, 3]
    assert found[4].cause.reason == "the session ended"


async def test_a_human_gets_time() -> None:
    """Accounts lock after too many attempts."""
    found = await downs([(False, Rejected("password"))])

    assert [down.retry_s for down in found] == [NEEDS_A_HUMAN_S]


async def test_a_refusal_of_what_was_accepted_is_tried_once_more() -> None:
    """Soon after a session that was up, and only once: devices refuse for a moment while they start."""
    lost, refused = SessionLost("x"), Rejected("password")
    found = await downs([(True, lost), (False, refused), (False, refused), (True, refused), (False, lost)])

    assert [down.retry_s for down in found] == [
        1,
        2,
        NEEDS_A_HUMAN_S,
        1,
        2,
        *[down.retry_s for down in found[5:]],
    ]


async def test_a_bug_is_isolated_and_shown() -> None:
    """It costs this session only, and its trace is kept."""
    found = await downs([(True, KeyError("oops"))])

    cause: LinkError = found[0].cause
    assert isinstance(cause, Crashed)
    assert isinstance(cause.__cause__, KeyError)
    assert "oops" not in cause.reason
