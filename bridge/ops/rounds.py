"""Measures links once a second while something happens in them, and each of the others at its turn.

A process may have a thousand links, and most of them are idle. Knows a link by `Measured` only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bridge.ops.bugs import Bugs
from bridge.ops.health import Health, LinkStatus

TURNS = 20
"""At which round a link at rest is measured again: that it is stuck shows only then."""


class Measured(Protocol):
    """A link, or its keeper while there is none."""

    @property
    def pulse(self) -> object:
        """Equal to the last one while the link is at rest; None while something goes on."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the broker delivers what the link publishes."""
        ...

    @property
    def status(self) -> LinkStatus:
        """The status for pages and `status`."""
        ...

    def measure(self) -> None:
        """Update the gauges, and do what is due."""
        ...

    def stuck(self) -> tuple[str, ...]:
        """The parts that make no progress."""
        ...


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found when a link was measured last."""

    measured: Measured
    pulse: object
    status: LinkStatus | None
    ready: bool
    stuck: tuple[str, ...]


class Rounds:
    """The links as they were measured last, for the health."""

    def __init__(self, health: Health, bugs: Bugs) -> None:
        self._health = health
        self._bugs = bugs
        self._seen: dict[str, _Seen] = {}
        self._round = 0

    def go(self, links: Mapping[str, Measured], configured: Mapping[str, bool]) -> None:
        """Measure whoever is due, and tell the health. `configured`: False for each PBX there should be."""
        self._round = (self._round + 1) % TURNS
        seen = {}
        for number, (name, link) in enumerate(links.items()):
            last = self._seen.get(name)
            due = last is None or number % TURNS == self._round or self._moves(link, last)
            seen[name] = self._measured(name, link) if last is None or due else last
        self._seen = seen
        self._health.beat(
            {**configured, **{name: each.ready for name, each in seen.items()}},
            {name: each.stuck for name, each in seen.items() if each.stuck},
            tuple(each.status for each in seen.values() if each.status is not None),
        )

    def _moves(self, link: Measured, last: _Seen) -> bool:
        """Whether anything happens or is stuck, or has happened since the last time."""
        try:
            return (
                last.pulse is None
                or bool(last.stuck)
                or last.measured is not link
                or link.pulse != last.pulse
            )
        except Exception:  # noqa: BLE001  (measuring it reports the bug)
            return True

    def _measured(self, name: str, link: Measured) -> _Seen:
        """Measure a link. A bug in one does not hide the others."""
        pulse: object = None
        status: LinkStatus | None = None
        ready, stuck = False, tuple[str, ...]()
        with self._bugs.contained("measure", name):
            pulse = link.pulse
            link.measure()
        with self._bugs.contained("status", name):
            status = link.status
        with self._bugs.contained("status", name):
            ready = link.ready
            stuck = link.stuck()
        return _Seen(link, pulse, status, ready, stuck)
