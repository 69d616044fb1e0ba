"""The health of the process and its links, as values: alive, ready, status. Does no I/O.

The event loop writes it; the thread that serves the pages reads it.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from bridge import __version__
from bridge.core.render import rfc3339
from bridge.core.status import LinkState

STALE_S = 15.0
OK, DEGRADED, DOWN = "ok", "degraded", "down"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """Whether the session with a PBX or the broker is up, why not, and since when (Unix milliseconds).

    `address`: where it is, or is tried, if there are several; `standby`: it is not the first of them.
    """

    up: bool
    reason: str
    since_ms: int
    address: str = ""
    standby: bool = False

    def since(self, unix_ms: int, *, up: bool) -> Self:
        """The session has come up, or has ended."""
        return replace(self, up=up, reason="", since_ms=unix_ms)

    def because(self, reason: str) -> Self:
        """The same session with another reason; it has not changed since."""
        return replace(self, reason=reason)

    @property
    def level(self) -> str:
        """One word: a session that is down but has not failed is still being opened, which is degraded."""
        if self.up:
            return OK
        return DOWN if self.reason else DEGRADED

    def as_json(self) -> dict[str, object]:
        """The fields for /status."""
        return {
            "up": self.up,
            "reason": self.reason,
            "since": rfc3339(self.since_ms),
            "address": self.address,
            "standby": self.standby,
        }


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """One link. `dropped`: messages dropped, by reason. `stuck`: parts of the link that make no progress.

    `refused`: a sentence about the topics that the broker refuses. `left_out`: why locations have no link.
    """

    pbx: str
    link: LinkState
    pbx_session: SessionStatus
    broker_session: SessionStatus
    firmware: str
    users: int
    calls: int
    outbox: int
    dropped: Mapping[str, int]
    stuck: tuple[str, ...]
    store_problem: str
    refused: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """One word: ok, degraded (connecting, or not durable) or down."""
        link = OK if self.link is LinkState.ONLINE else DEGRADED if self.link.starting else DOWN
        levels = {link, self.broker_session.level, DOWN if self.stuck else OK}
        if self.store_problem or self.refused or self.left_out:
            levels.add(DEGRADED)
        return worst(levels)

    def as_json(self) -> dict[str, object]:
        """The fields for /status."""
        return {
            "pbx": self.pbx,
            "level": self.level,
            "link": self.link,
            **self.pbx_session.as_json(),
            "broker": self.broker_session.as_json(),
            "firmware": self.firmware,
            "users": self.users,
            "calls": self.calls,
            "outbox": self.outbox,
            "dropped": dict(self.dropped),
            "stuck": list(self.stuck),
            "store_problem": self.store_problem,
            "refused": self.refused,
            "locations_left_out": dict(self.left_out),
        }


class Health:
    """The process and its links, as of the last beat. `config` returns the configuration in force."""

    def __init__(self) -> None:
        self._beat_s = time.monotonic()
        self._started_ms = round(time.time() * 1000)
        self.links: dict[str, bool] | None = None
        self.stuck: dict[str, tuple[str, ...]] = {}
        self.statuses: tuple[LinkStatus, ...] = ()
        self.config: Callable[[], str] = str
        self.config_good = True

    def beat(
        self,
        links: dict[str, bool],
        stuck: dict[str, tuple[str, ...]],
        statuses: tuple[LinkStatus, ...] = (),
    ) -> None:
        """The event loop runs. `links`: whether each is ready. `stuck`: parts without progress, by link."""
        self._beat_s = time.monotonic()
        self.links = links
        self.stuck = stuck
        self.statuses = statuses

    @property
    def moving(self) -> bool:
        """Alive: the event loop and every part of every link make progress."""
        return self.turning and not self.stuck

    @property
    def turning(self) -> bool:
        """The event loop has run within the last seconds."""
        return self.beat_age_s < STALE_S

    @property
    def beat_age_s(self) -> float:
        """Seconds since the last beat of the event loop."""
        return time.monotonic() - self._beat_s

    @property
    def level(self) -> str:
        """Down: the event loop hangs or all links are down. Degraded: a link is, or a reload failed."""
        levels = [status.level for status in self.statuses]
        if not self.turning or (levels and set(levels) == {DOWN}):
            return DOWN
        return OK if self.config_good and set(levels) <= {OK} and self.links is not None else DEGRADED

    def as_json(self) -> dict[str, object]:
        """The document of /status."""
        return {
            "schema": SCHEMA,
            "level": self.level,
            "version": __version__,
            "started": rfc3339(self._started_ms),
            "loop_beat_age_s": round(self.beat_age_s, 3),
            "config_good": self.config_good,
            "links": [status.as_json() for status in self.statuses],
        }


def worst(levels: set[str]) -> str:
    """The worst of these levels."""
    return next((level for level in (DOWN, DEGRADED) if level in levels), OK)
