"""Listens to brokers and shows their board until the time is up. Chooses no broker."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from rich.console import Console

from bridge.core.message import Incoming
from bridge.errors import LinkError
from bridge.mqtt.settings import BrokerSettings
from bridge.watch.board import Board
from bridge.watch.listen import Listener
from bridge.watch.screens import Lines, Say, Screen, Terminal, live
from bridge.watch.view import Filter

SECOND_S = 1.0
"""The board is drawn at least this often, for the durations of calls."""
TOPICS = ("state", "info", "user/+/state", "user/+/event")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person wants to see: of which PBXs and users, on a drawn board or as lines."""

    base: str
    pbxs: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    busy: bool = False
    as_json: bool = False


async def show(
    choice: Choice, brokers: Sequence[BrokerSettings], for_s: float, say: Say, complain: Say
) -> None:
    """Draw the board in a terminal; print lines anywhere else, or for `as_json`. See Watch.run."""
    chosen, console = Filter(choice.pbxs, choice.users, choice.busy), Console()
    if choice.as_json or not console.is_terminal:
        await Watch(choice.base, chosen, Lines(say, complain, whole=choice.as_json)).run(brokers, for_s)
        return
    with live(console) as drawn:
        await Watch(choice.base, chosen, Terminal(drawn, chosen)).run(brokers, for_s)


@dataclass(slots=True)
class Watch:
    """The board, and what belongs to showing it."""

    base: str
    chosen: Filter
    screen: Screen
    board: Board = field(init=False)
    trouble: dict[str, str] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _missing: dict[str, LinkError] = field(default_factory=dict)
    _nobody: asyncio.Event = field(default_factory=asyncio.Event)
    _expected: int = 0

    def __post_init__(self) -> None:
        self.board = Board(self.base)

    async def run(self, brokers: Sequence[BrokerSettings], for_s: float) -> None:
        """Show for this many seconds; 0: until cancelled. Raises a LinkError if no broker is there.

        Then a person has to look. One that is missing beside others is a standby, or is tried again.
        """
        self._expected = len(brokers)
        async with contextlib.AsyncExitStack() as stack:
            tasks = [asyncio.create_task(self._listen(one), name=one.place) for one in brokers]
            tasks.append(asyncio.create_task(self._draw(), name="draw"))
            tasks.append(asyncio.create_task(self._no_broker(), name="no broker"))
            stack.push_async_callback(_ended, tasks)
            done, _ = await asyncio.wait(tasks, timeout=for_s or None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _listen(self, broker: BrokerSettings) -> None:
        listener = Listener(
            broker,
            self.base,
            hear=partial(self._hear, broker.place),
            lost=partial(self._lost, broker.place),
            never_up=partial(self._never_up, broker.place),
        )
        await listener.run(
            [f"{self.base}/{pbx}/{topic}" for pbx in self.chosen.pbxs or "+" for topic in TOPICS]
        )

    def _hear(self, broker: str, incoming: Incoming) -> None:
        heard = self.board.hear(broker, incoming)
        if heard is not None and self.chosen.shows_message(heard):
            self.screen.heard(incoming, heard)
        self._changed.set()

    def _lost(self, broker: str, sentence: str | None) -> None:
        if sentence is None:
            self.trouble.pop(broker, None)
            self.board.forget(broker)
        elif not self._nobody.is_set():
            self.trouble[broker] = sentence
        self._changed.set()

    def _never_up(self, broker: str, error: LinkError) -> None:
        self._missing[broker] = error
        if len(self._missing) == self._expected:
            self._nobody.set()

    async def _no_broker(self) -> None:
        await self._nobody.wait()
        raise next(iter(self._missing.values()))

    async def _draw(self) -> None:
        while True:
            self._changed.clear()
            self.screen.draw(self.board, self.trouble)
            await asyncio.sleep(self.screen.rest_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECOND_S):
                    await self._changed.wait()


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
