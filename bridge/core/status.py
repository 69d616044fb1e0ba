"""The state and the figures of a link, as values for topics, pages, metrics and logs.

Measures nothing and decides nothing: the link writes these values, the other rooms read them.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.errors import LinkError

STAYED_S = 30.0
"""A session that was up for this long counts as stable: a later failure is a new outage."""


class LinkState(enum.StrEnum):
    """The state of the link to a PBX; the values are those of the topic contract (docs/topics.md)."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    ONLINE = "online"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    STOPPED = "stopped"

    @property
    def starting(self) -> bool:
        """The link is on its way to `online` and has not failed."""
        return self in {LinkState.CONNECTING, LinkState.SYNCING}

    @property
    def has_session(self) -> bool:
        """There is a PBX session, so users can be monitored."""
        return self in {LinkState.SYNCING, LinkState.ONLINE}


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a link, why it is so, and since when (Unix milliseconds).

    `detail`: the reason with addresses and accounts. It is for the log and the pages, never for the bus.
    """

    link: LinkState
    reason: str
    since_ms: int
    detail: str


@dataclass(frozen=True, slots=True)
class About:
    """What a PBX reports about itself; each field may be empty."""

    firmware: str = ""
    serial: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class LinkFigures:
    """Everything that a link counts, at one moment.

    `outbox`: messages that the broker has not acknowledged. `oldest_s`: when the oldest of them was put in,
    in monotonic seconds. `dropped`: messages dropped since the link started, by reason.
    """

    status: Status
    about: About
    users: int
    monitored: int
    refused_users: int
    calls: int
    takeovers: int
    broker_connected: bool
    outbox: int
    oldest_s: float | None
    dropped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Down:
    """The end of a session, or an attempt that failed.

    `attempts`: failures in a row. `retry_s`: seconds until the next attempt. `lived_s`: seconds that the
    session was up; None if it never came up.
    """

    cause: LinkError
    attempts: int
    retry_s: float
    lived_s: float | None = None

    @property
    def stayed(self) -> bool:
        """The session had been stable."""
        return self.lived_s is not None and self.lived_s >= STAYED_S
