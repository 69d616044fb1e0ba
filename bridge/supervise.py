"""Run a session for ever: the only place that retries. Reports what happens; knows nothing of sessions."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from bridge.errors import Crashed, LinkError, Rejected, SessionLost

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
    What can heal is retried after a growing delay, what a human must mend after a long one. A refusal of
    what was accepted a moment ago is tried once more soon: devices say so while they start.
    A bug costs the session of one link, which is tried again after the long delay; other links live on.
    """
    pending, attempts, proven = delays(), 0, False

    def up() -> None:
        nonlocal pending, attempts, proven
        pending, attempts, proven = delays(), 0, True

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
        soon = cause.heals or (proven and isinstance(cause, Rejected))
        proven = proven and cause.heals
        delay = next(pending) if soon else NEEDS_A_HUMAN_S
        report(Down(cause, attempts, delay))
        await sleep(delay)
