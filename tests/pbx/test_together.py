"""Works that run at once: the first end ends all, and what went wrong comes out as it is."""

import asyncio

import pytest

from bridge.errors import LinkError, SessionLost, Unreachable
from bridge.pbx.together import until_one_ends


class Works:
    """Works of several kinds; knows which of them were cancelled."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def last(self, name: str, at_the_end: Exception | None = None) -> None:
        """Run for ever; when it is cancelled, fail if that is wanted."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.cancelled.append(name)
            if at_the_end is not None:
                raise at_the_end

    async def fail(self, error: Exception) -> None:
        """Fail after all the others have started."""
        await asyncio.sleep(0)
        raise error

    async def end(self) -> None:
        """End as if all were done."""


async def test_the_error_of_the_first_comes_out_as_it_is() -> None:
    """Neither wrapped in a group nor replaced, and the others are over by then."""
    works, lost = Works(), SessionLost("gone")
    with pytest.raises(SessionLost) as seen:
        await until_one_ends(a=works.last("a"), b=works.fail(lost), c=works.last("c"))

    assert seen.value is lost
    assert works.cancelled == ["a", "c"]


async def test_a_bug_is_never_hidden_behind_a_lost_connection() -> None:
    """Whichever came first."""
    works = Works()
    with pytest.raises(ZeroDivisionError):
        await until_one_ends(a=works.last("a", ZeroDivisionError()), b=works.fail(Unreachable("gone")))
    with pytest.raises(ZeroDivisionError):
        await until_one_ends(a=works.last("a", Unreachable("gone")), b=works.fail(ZeroDivisionError()))


async def test_the_first_end_counts() -> None:
    """Not the error that the cancellation of another one brought about."""
    works, first = Works(), SessionLost("first")
    with pytest.raises(LinkError) as seen:
        await until_one_ends(a=works.last("a", Unreachable("second")), b=works.fail(first))

    assert seen.value is first


async def test_one_that_simply_ends_ends_all() -> None:
    """Without an error."""
    works = Works()
    await until_one_ends(a=works.last("a"), b=works.end())

    assert works.cancelled == ["a"]


async def test_a_cancellation_reaches_all() -> None:
    """And whoever cancelled sees it."""
    works = Works()
    task = asyncio.create_task(until_one_ends(a=works.last("a"), b=works.last("b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert works.cancelled == ["a", "b"]


async def test_a_timeout_of_the_same_task_works_afterwards() -> None:
    """After a TaskGroup that failed, Python 3.11.2 cancels the task instead: a link that never comes back."""
    works = Works()
    with pytest.raises(SessionLost):
        await until_one_ends(a=works.last("a"), b=works.fail(SessionLost("gone")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.get_running_loop().create_future()
