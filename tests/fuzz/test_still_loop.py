"""The loop of the fuzzed histories: time passes only as far as it may, and nothing waits for real."""

import asyncio
import time

import pytest

from tests.fuzz.still_loop import StillLoop


async def note(done: list[float], *pauses: float) -> None:
    """Note the loop's time after each pause."""
    for pause in pauses:
        await asyncio.sleep(pause)
        done.append(asyncio.get_running_loop().time())


def test_sleeps_pass_only_when_time_does() -> None:
    """In the order of their ends, at their times; an hour takes no time."""
    started, done, loop = time.monotonic(), list[float](), StillLoop()
    tasks = [loop.create_task(note(done, 1.0, 3600.0)), loop.create_task(note(done, 0, 2.0))]
    loop.run_idle()
    assert done == [0.0]
    loop.run_idle(1.5)
    assert (done, loop.time()) == ([0.0, 1.0], 1.5)
    loop.run_idle(3600.0)
    loop.close()

    assert done == [0.0, 1.0, 2.0, pytest.approx(3601.0)]
    assert all(task.done() for task in tasks)
    assert time.monotonic() - started < 10
