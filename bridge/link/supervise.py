"""Restarts sessions with backoff: the only place that retries. Knows nothing about what a session does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from bridge.core.status import STAYED_S, Down
from bridge.errors import LinkError, Rejected, SessionLost

Up = Callable[[], None]
Sleep = Callable[[float], Awaitable[None]]
Delays = Callable[[], Iterator[float]]
NEEDS_A_HUMAN_S = 60.0


async def supervise(
    session: Callable[[int, Up], Awaitable[None]],
    *,
    delays: Delays,
    flapping: Delays,
    report: Callable[[Down], None],
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
    over: Callable[[], bool] = lambda: False,
    elsewhere: Callable[[LinkError, float | None], bool] = lambda *_: False,
) -> None:
    """Run `session(attempt, up)` again and again until `over`; call `report` after each failure.

    A session calls `up` once it works. After an attempt that fails, wait for the next of `delays`, which
    start over when a session comes up. After a session that broke within STAYED_S, wait for the next of
    `flapping`, which start over only when a session has stayed up. A failure that a human must fix waits
    longest, but a rejection right after a working session is retried once soon: devices reject logins while
    they start. `elsewhere` chooses the address of the next attempt after a cause and the life of the session;
    if it says that this one has not rejected us, the attempt follows soon as well.
    A bug is not handled here: it ends the link, and fleet.py makes a new one.
    """
    outage, flaps = delays(), flapping()
    attempts, proven = 0, False
    came_up: list[float] = []

    def up() -> None:
        nonlocal outage, attempts, proven
        outage, attempts, proven = delays(), 0, True
        came_up.append(clock())

    while not over():
        came_up.clear()
        try:
            await session(attempts, up)
            cause: LinkError = SessionLost("the session ended")
        except LinkError as error:
            cause = error
        if over():
            return
        attempts += 1
        lived_s = clock() - came_up[0] if came_up else None
        if lived_s is not None and lived_s >= STAYED_S:
            flaps = flapping()
        soon = elsewhere(cause, lived_s) or cause.heals or (proven and isinstance(cause, Rejected))
        proven = proven and cause.heals
        flapped = lived_s is not None and lived_s < STAYED_S
        short = next(outage)  # also after a flap: it is the first failure of the outage that may follow
        delay = (next(flaps) if flapped else short) if soon else NEEDS_A_HUMAN_S
        delay = delay if cause.longest_s is None else min(delay, cause.longest_s)
        report(Down(cause, attempts, delay, lived_s))
        await sleep(delay)
