"""Run a session for ever: the only place that retries. Reports what happens; knows nothing of sessions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bridge.errors import Crashed, LinkError, SessionLost

Up = Callable[[], None]
Sleep = Callable[[float], Awaitable[None]]
NEEDS_A_HUMAN_S = 60.0


@dataclass(frozen=True, slots=True)
class Down:
    """A session ended: why, how often in a row, and how long until the next attempt, in seconds."""

    cause: LinkError
    attempts: int
    retry_s: float


async def supervise(
    session: Callable[[int, Up], Awaitable[None]],
    *,
    delays: Callable[[], Iterator[float]],
    report: Callable[[Down], None],
    sleep: Sleep = asyncio.sleep,
) -> None:
    """Run `session(attempt, up)` again and again.

    The session calls `up` once when it has proved itself; that makes the next failure the first one.
    What can heal is retried after a growing delay, what a human must mend after a long one.
    A bug costs the session of one link, which is tried again after the long delay; other links live on.
    """
    pending, attempts = delays(), 0

    def up() -> None:
        nonlocal pending, attempts
        pending, attempts = delays(), 0

    while True:
        try:
            await session(attempts, up)
            cause: LinkError = SessionLost("the session ended")
        except LinkError as error:
            cause = error
        except Exception as bug:  # noqa: BLE001  (isolated, counted and shown: other links live on)
            cause = Crashed(f"a bug in the bridge: {type(bug).__name__}")
            cause.__cause__ = bug
        attempts += 1
        delay = next(pending) if cause.heals else NEEDS_A_HUMAN_S
        report(Down(cause, attempts, delay))
        await sleep(delay)
