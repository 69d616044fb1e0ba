"""A line for each of many, served in turn: nobody waits for everything that somebody else has asked for."""

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """What waits, by whose it is. Of the same one the order stays; the others' lines come in between."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Item]] = OrderedDict()
        self._waiting = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return self._waiting

    def put(self, whose: str, item: Item) -> None:
        """Add to the line of this one."""
        self._lines.setdefault(whose, deque()).append(item)
        self._waiting += 1
        self._arrived.set()

    async def take(self) -> Item:
        """The next one of the line whose turn it is, when there is one; that line is then the last one."""
        while not self._lines:
            self._arrived.clear()
            await self._arrived.wait()
        whose, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._waiting -= 1
        if line:
            self._lines[whose] = line
        return item

    def drain(self) -> list[Item]:
        """All that waits; nothing is left."""
        waiting = [item for line in self._lines.values() for item in line]
        self._lines.clear()
        self._waiting = 0
        return waiting
