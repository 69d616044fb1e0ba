"""Lines that are served in turn."""

import asyncio

from bridge.link.turns import Turns


async def test_nobody_waits_for_all_of_another() -> None:
    """The order of one stays; who comes late with little is served soon."""
    turns = Turns[str]()
    for item in ("a1", "a2", "a3"):
        turns.put("a", item)
    assert await turns.take() == "a1"
    turns.put("b", "b1")
    turns.put("c", "c1")
    turns.put("b", "b2")
    assert len(turns) == 5
    assert [await turns.take() for _ in range(5)] == ["a2", "b1", "c1", "a3", "b2"]
    assert len(turns) == 0


async def test_it_waits_for_what_comes() -> None:
    """Before anything is there, and after all was taken."""
    turns = Turns[str]()
    for item in ("first", "second"):
        taking = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        assert not taking.done()
        turns.put("a", item)
        assert await taking == item
