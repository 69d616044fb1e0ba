"""A fair queue: one line per owner, served in turn, so that no owner waits for all items of another."""

import asyncio
from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Waiting items by owner. Items of one owner keep their order; owners take turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Item]] = OrderedDict()
        self._waiting = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return self._waiting

    def put(self, owner: str, item: Item) -> None:
        """Append an item to its owner's line."""
        self._lines.setdefault(owner, deque()).append(item)
        self._waiting += 1
        self._arrived.set()

    async def take(self) -> Item:
        """Wait for an item and return the first of the line whose turn it is; that line goes to the end."""
        while not self._lines:
            self._arrived.clear()
            await self._arrived.wait()
        owner, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._waiting -= 1
        if line:
            self._lines[owner] = line
        return item

    def drain(self) -> list[Item]:
        """Remove and return all items."""
        waiting = [item for line in self._lines.values() for item in line]
        self._lines.clear()
        self._waiting = 0
        return waiting
