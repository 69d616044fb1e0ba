"""Where a board is shown: a live terminal, lines of text, or lines of JSON. Filters no message."""

import contextlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.live import Live

from bridge import clock
from bridge.core.message import Incoming
from bridge.watch.board import Board, Heard
from bridge.watch.view import Filter, Wall, event_line

Say = Callable[[str], None]


class Screen(Protocol):
    """One way to show what is heard. `rest_s`: how long it rests after it was drawn."""

    rest_s: float

    def heard(self, incoming: Incoming, about: Heard) -> None:
        """Take a message that the filter lets through. Prints nothing yet."""
        ...

    def draw(self, board: Board, trouble: Mapping[str, str]) -> None:
        """Show the board now; `trouble` has a sentence for each broker that is not reached."""
        ...


class Terminal:
    """The whole board, drawn again and again."""

    rest_s = 0.25

    def __init__(self, live: Live, chosen: Filter) -> None:
        self._live = live
        self._chosen = chosen

    def heard(self, incoming: Incoming, about: Heard) -> None:
        """Nothing: the board is drawn soon."""

    def draw(self, board: Board, trouble: Mapping[str, str]) -> None:
        """Draw the board over the old one."""
        now = datetime.fromtimestamp(clock.now().unix_ms / 1000, UTC)
        wall = Wall(board, self._chosen, now, tuple(trouble.values()))
        self._live.update(wall, refresh=True)


class Lines:
    """A line for each message: events in words, or with `whole` each message as a JSON object, for pipes."""

    rest_s = 0.0

    def __init__(self, say: Say, complain: Say, *, whole: bool) -> None:
        self._say = say
        self._complain = complain
        self._whole = whole
        self._waiting: list[str] = []
        self._trouble: dict[str, str] = {}

    def heard(self, incoming: Incoming, about: Heard) -> None:
        """Keep its line until `draw`: a closed pipe must not look like a broken connection."""
        if self._whole:
            self._waiting.append(json_line(about.place.broker, incoming))
        elif about.event is not None and (line := event_line(about.place, about.event)):
            self._waiting.append(line)

    def draw(self, board: Board, trouble: Mapping[str, str]) -> None:
        """Print what waits."""
        del board
        for broker, sentence in trouble.items():
            if self._trouble.get(broker) != sentence:
                self._complain(sentence)
        self._trouble = dict(trouble)
        lines, self._waiting = self._waiting, []
        for line in lines:
            self._say(line)


def json_line(broker: str, incoming: Incoming) -> str:
    """A message as a JSON object: a JSON payload as it is, anything else as a text, an erasure as null."""
    said: object = incoming.payload.decode(errors="replace") or None
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(incoming.payload)
    line = {"broker": broker, "topic": incoming.topic, "retained": incoming.retain, "payload": said}
    return json.dumps(line)


def live(console: Console) -> Live:
    """The part of rich that draws over the whole terminal; we say when."""
    return Live(console=console, screen=True, auto_refresh=False)
