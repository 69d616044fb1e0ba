"""Draws a board for a terminal, cut to its height. Pure: reads no clock, prints nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from bridge.watch import words
from bridge.watch.board import Board, Heard, Pbx, Person, Place
from bridge.watch.reading import Fields, moment, text

CALLS = {
    ("ringing", "inbound"): ("rings", "bold yellow"),
    ("connected", ""): ("talks", "bold green"),
    ("held", ""): ("on hold", "cyan"),
    ("dialing", ""): ("dials", "blue"),
}
"""Word and style of each call state; colour alone says nothing."""
EVENTS_SHARE, PROBLEMS_SHOWN, FRAME = 3, 6, 7
"""Events get a third of the lines, PBXs with a problem these; the rest of the frame is headings."""
HOUR_S, MINUTE_S = 3600, 60
WIDTHS = {"user": None, "number": 8, "call": 8, "with": None, "for": 8, "presence": None}
"""The columns; those without a width share what is left."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What is shown: PBXs by name, users by topic id or name (with * and ?), only users with a call."""

    pbxs: Sequence[str] = ()
    users: Sequence[str] = ()
    busy: bool = False

    def shows(self, place: Place, person: Person) -> bool:
        """Whether this user is shown."""
        if self.busy and not person.busy:
            return False
        return self.shows_user(place, person.topic_id, person.name)

    def shows_user(self, place: Place, *names: str) -> bool:
        """Whether a user with one of these names is shown."""
        if self.pbxs and place.pbx not in self.pbxs:
            return False
        patterns = [pattern.casefold() for pattern in self.users]
        return not patterns or any(fnmatch(name.casefold(), each) for name in names for each in patterns)

    def shows_message(self, heard: Heard) -> bool:
        """Whether this message is passed on. A message about a PBX is, unless users are chosen."""
        return self.shows_user(heard.place, *filter(None, [heard.user, heard.name]))


@dataclass(frozen=True, slots=True)
class Wall:
    """A board at one moment, as rich draws it. `trouble`: a sentence for each broker that is not reached."""

    board: Board
    chosen: Filter
    now: datetime
    trouble: Sequence[str] = field(default=())

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self.parts(options.max_height)

    def parts(self, height: int) -> Iterator[RenderableType]:
        """The parts from top to bottom, in so many lines."""
        people = [each for each in self.board.by_attention() if self.chosen.shows(*each)]
        pbxs = [item for item in self.board.pbxs.items() if self._named(item[0])]
        events = [each for each in self.board.events if self._shows_event(*each)]
        below = max(1, height // EVENTS_SHARE)
        broken = [item for item in pbxs if not item[1].online][:PROBLEMS_SHOWN]
        space = max(1, height - below - len(broken) - len(self.trouble) - FRAME)
        yield self._heading(pbxs, people)
        yield from (Text(sentence, style="bold red", no_wrap=True) for sentence in self.trouble)
        yield from (_problem(place, pbx) for place, pbx in broken)
        yield self._people(people[:space], several=len(pbxs) > 1)
        if len(people) > space:
            yield Text(f"  … and {len(people) - space} more", style="dim")
        yield self._events(events[-below:])

    def _shows_event(self, place: Place, event: Fields) -> bool:
        user = text(event.get("user"))
        return self.chosen.shows_user(place, user, self.board.name_of(place, user))

    def _named(self, place: Place) -> bool:
        return not self.chosen.pbxs or place.pbx in self.chosen.pbxs

    def _heading(
        self, pbxs: Sequence[tuple[Place, Pbx]], people: Sequence[tuple[Place, Person]]
    ) -> RenderableType:
        online, calls = sum(pbx.online for _, pbx in pbxs), sum(pbx.calls for _, pbx in pbxs)
        ringing = sum(person.rank == 0 for _, person in people)
        facts = [
            f"{online} of {len(pbxs)} PBXs online",
            f"{len(people)} users",
            f"{calls} calls",
            f"{ringing} ringing",
            *([f"{self.board.left_out} left out"] if self.board.left_out else []),
        ]
        line = Text("innovaphone ", style="bold", no_wrap=True)
        return line.append(f"{self.now.astimezone():%H:%M:%S}  ", style="dim").append(" · ".join(facts))

    def _people(self, people: Iterable[tuple[Place, Person]], *, several: bool) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for heading in ("PBX",) if several else ():
            table.add_column(heading, no_wrap=True)
        for heading, width in WIDTHS.items():
            share = None if width else 1
            table.add_column(heading, no_wrap=True, width=width, ratio=share, overflow="ellipsis")
        for place, person in people:
            table.add_row(*([Text(text(place.pbx))] if several else []), *self._row(person))
        return table

    def _row(self, person: Person) -> Iterator[Text]:
        word, style = _call(person)
        lasts = self.now - person.since if person.busy and person.since else None
        presence = " ".join(filter(None, (person.presence, f"({person.note})" if person.note else "")))
        yield Text(person.name, style=style)
        yield Text(person.number)
        yield Text(word, style=style)
        yield Text(person.remote)
        yield Text("" if lasts is None else _lasting(lasts.total_seconds()))
        yield Text("" if presence == "available" else presence, style="dim")

    def _events(self, events: Iterable[tuple[Place, Fields]]) -> RenderableType:
        lines = [line for place, event in reversed(list(events)) if (line := event_line(place, event))]
        return Group(
            Text("events", style="dim"), *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)
        )


def event_line(place: Place, event: Fields) -> str | None:
    """One event on one line, with the local time; None if it means nothing to people."""
    sentence = words.of_event(event)
    when = moment(event.get("time"))
    shown = f"{when.astimezone():%H:%M:%S}" if when else " " * 8
    return None if sentence is None else f"{shown}  {text(place.pbx):<10}  {sentence}"


def _problem(place: Place, pbx: Pbx) -> RenderableType:
    said = ": ".join(filter(None, (pbx.link, pbx.reason)))
    return Text(
        f"{text(place.pbx)} is {pbx.state or 'unknown'} ({said or 'no reason given'})",
        style="red",
        no_wrap=True,
    )


def _call(person: Person) -> tuple[str, str]:
    found = CALLS.get((person.call_state, person.direction)) or CALLS.get((person.call_state, ""))
    return found or ("" if person.call_state == "idle" else person.call_state, "")


def _lasting(seconds: float) -> str:
    """A duration as a clock shows it. Clocks of two machines differ: never below zero."""
    whole = max(0, int(seconds))
    hours, minutes = whole // HOUR_S, whole % HOUR_S // MINUTE_S
    return f"{hours}:{minutes:02}:{whole % MINUTE_S:02}" if hours else f"{minutes}:{whole % MINUTE_S:02}"
