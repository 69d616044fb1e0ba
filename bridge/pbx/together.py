"""Several coroutines at once, until the first of them ends. Starts nothing else, swallows nothing."""

import asyncio
from collections.abc import Coroutine

from bridge.errors import LinkError

Work = Coroutine[None, None, None]


async def until_one_ends(**works: Work) -> None:
    """Run the works, each as a task of its name, until one ends; cancel the others; raise what went wrong.

    A bug goes before a LinkError, and what ended first before what the cancellation brought about.
    This is no TaskGroup, because of Python before 3.11.4: an error raised inside `except*` comes out
    wrapped there, and the group leaves its cancellation counted on the task that it runs in. A later
    `asyncio.timeout` in that task then ends the task instead of raising TimeoutError.
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
