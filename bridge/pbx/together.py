"""Runs several coroutines until the first of them ends. Swallows no error."""

import asyncio
from collections.abc import Coroutine

from bridge.errors import LinkError

Work = Coroutine[None, None, None]


async def until_one_ends(**works: Work) -> None:
    """Run each coroutine as a named task until one ends, cancel the others, and raise the first error.

    A bug takes precedence over a LinkError, and the task that ended first over the cancelled ones.
    A TaskGroup cannot be used before Python 3.11.4: an error raised inside `except*` is wrapped in a group,
    and the cancellation stays counted on the parent task. A later `asyncio.timeout` in that task then
    cancels the task instead of raising TimeoutError.
    """
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    in_order = sorted(tasks, key=lambda task: task not in ended)
    errors = [task.exception() for task in in_order if not task.cancelled()]
    for error in sorted(errors, key=lambda error: isinstance(error, LinkError)):
        if error is not None:
            raise error
