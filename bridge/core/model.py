"""The state of one PBX as the bridge knows it, and the events that it publishes. Values only."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from bridge.core.persistent import Table
from bridge.core.records import CallState, Forwards, ReleasedBy, UserRecord
from bridge.core.value import Value


class Direction(enum.StrEnum):
    """The direction of a call as the person at the phone sees it; values as in docs/topics.md#calls."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Outcome(enum.StrEnum):
    """How a call ended; values as in docs/topics.md#calls."""

    ANSWERED = "answered"
    MISSED = "missed"
    BUSY = "busy"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    FAILED = "failed"
    FORWARDED = "forwarded"
    TRANSFERRED = "transferred"
    ANSWERED_ELSEWHERE = "answered_elsewhere"
    ABANDONED = "abandoned"
    LOST = "lost"


class EventType(enum.StrEnum):
    """The kinds of call events, a closed list; values as in docs/topics.md#events."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"
    RINGING = "ringing"
    ANSWERED = "answered"
    HELD = "held"
    RETRIEVED = "retrieved"
    TRANSFERRED = "transferred"
    UPDATED = "updated"
    MISSED = "missed"
    ENDED = "ended"
    SWITCHED = "switched"


class Instant(Value, frozen=True):
    """One moment on two clocks: Unix milliseconds to show, monotonic seconds to compute durations."""

    unix_ms: int
    monotonic_s: float

    def seconds_at(self, unix_ms: int) -> float:
        """Convert an earlier wall-clock moment to the monotonic clock; the result is never in the future."""
        return self.monotonic_s - max(0, self.unix_ms - unix_ms) / 1000


class RemoteParty(Value, frozen=True):
    """A party of a call. `user`: its topic id, if it is a known user. `internal`: known to be one of us."""

    number: str = ""
    name: str = ""
    user: str | None = None
    anonymous: bool = False
    internal: bool = False


class Call(Value, frozen=True):
    """One leg of one user, from its first report to its end.

    `leg_handle`: the handle in the present PBX session, None until a new session has confirmed the leg.
    `hung_up`: a command ended the call. `awaited`: the number that the PBX will report after a command has
    added digits. `started_s` and `answered_s` are monotonic seconds, `ring_s` and
    `talk_s` are durations in seconds, `*_ms` are Unix milliseconds.
    """

    id: str
    user: str
    leg_handle: int | None
    direction: Direction
    state: CallState
    started_ms: int
    started_s: float
    conference: str = ""
    remote: RemoteParty = RemoteParty()
    diverted_from: RemoteParty | None = None
    first_diverted_from: RemoteParty | None = None
    transferred_by: RemoteParty | None = None
    transferred_to: RemoteParty | None = None
    parked_at: RemoteParty | None = None
    picked_up_from: RemoteParty | None = None
    held: bool = False
    held_by_remote: bool = False
    rang: bool = False
    answered_ms: int | None = None
    answered_s: float | None = None
    ended_ms: int | None = None
    ring_s: float | None = None
    talk_s: float | None = None
    outcome: Outcome | None = None
    cause: int | None = None
    uui: str | None = None
    released_by: ReleasedBy | None = None
    hung_up: bool = False
    awaited: str = ""
    command_id: str | None = None

    @property
    def dialling(self) -> bool:
        """Whether digits may still be added to the number that the user dials."""
        through = {CallState.CONNECTED, CallState.PARKED, CallState.ENDED}
        return self.direction is Direction.OUTBOUND and self.state not in through

    @property
    def unreported(self) -> bool:
        """Whether more has been dialled than the PBX has reported, so that nothing can be added to it."""
        known = self.remote.number
        return self.dialling and self.awaited != known and self.awaited.startswith(known)

    @property
    def parties(self) -> tuple[RemoteParty | None, ...]:
        """Everybody besides the user who takes part in the call, or did."""
        return (
            self.remote,
            self.diverted_from,
            self.first_diverted_from,
            self.transferred_by,
            self.transferred_to,
            self.parked_at,
            self.picked_up_from,
        )


class Switch(Value, frozen=True):
    """The value of a Boolean object: set manually or automatically, on or off (docs/wire.md#switches)."""

    manual: bool
    on: bool


class User(Value, frozen=True):
    """A user: the last record from the PBX and the values that the bridge keeps itself.

    `forwards`: None until they have been read.
    """

    record: UserRecord
    since_ms: int
    changed_ms: int
    missed: int = 0
    last_call: Call | None = None
    switch: Switch | None = None
    forwards: Forwards | None = None

    @property
    def guid(self) -> str:
        """The PBX's identifier of the user, which survives renaming."""
        return self.record.guid


class Event(Value, frozen=True):
    """One call event. `seq` counts the events of one run of the link."""

    seq: int
    time_ms: int
    type: EventType
    user: str
    user_topic: str
    call: Call | None
    switch: Switch | None = None
    resync: bool = False
    text_message: bool = False


@dataclass(frozen=True, slots=True)
class PbxState:
    """Everything the bridge knows of one PBX. Mappings are never changed in place; a `Table` has no order.

    users: users by guid. topics: topic id by guid. claims: guids by the topic id that they want; if several
    want the same one, each uses its guid. names: guids by (kind of name, name). calls: running legs by guid,
    oldest first. running: the same by their ids. joints: ids of running legs by what joins them to others of
    a conversation, oldest first. confirmed: how many of them this session has confirmed; running.py keeps
    these four. placed: (guid, leg handle) -> (call id, command id) of placed calls that the PBX has not
    reported yet. text_messages: those whose end it has not reported yet, in the form of a call.
    unseen: by guid, users that the list of this session has not confirmed yet, as they were; None once the
    list is complete. torn: a record of that list was unreadable, so a user missing from the list may still
    exist. settled: by guid, users whose running calls this session has reported, if it is to report them.
    """

    epoch: str
    users: Table[str, User] = field(default_factory=Table)
    topics: Table[str, str] = field(default_factory=Table)
    claims: Table[str, tuple[str, ...]] = field(default_factory=Table)
    names: Table[tuple[str, str], tuple[str, ...]] = field(default_factory=Table)
    calls: Table[str, tuple[Call, ...]] = field(default_factory=Table)
    running: Table[str, Call] = field(default_factory=Table)
    joints: Table[tuple[str, str], tuple[str, ...]] = field(default_factory=Table)
    confirmed: int = 0
    placed: Mapping[tuple[str, int], tuple[str, str | None]] = field(default_factory=dict)
    text_messages: Mapping[tuple[str, int], Call] = field(default_factory=dict)
    unseen: Table[str, User] | None = field(default_factory=Table)
    torn: bool = False
    settled: Table[str, None] = field(default_factory=Table)
    seq: int = 0
    call_count: int = 0

    @property
    def complete(self) -> bool:
        """The PBX has sent the full list of users in this session."""
        return self.unseen is None

    @property
    def calls_known(self) -> bool:
        """This session has reported the running calls of all users."""
        return len(self.settled) == len(self.users)

    def call(self, call_id: str) -> Call | None:
        """The running call with this id."""
        return self.running.get(call_id)

    def user_of(self, topic_id: str) -> User | None:
        """The user with this topic id, if any."""
        for guid in (*self.claims.get(topic_id, ()), unquote(topic_id)):
            if self.topics.get(guid) == topic_id:
                return self.users[guid]
        return None


class Monitor(Value, frozen=True):
    """A user whose calls the PBX should report. `urgent`: this session has not confirmed its calls yet."""

    guid: str
    name: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of one transition and their consequences.

    `users`: guids of users to publish. `gone`: topic ids to erase. `events`: in order. `unmonitor`: guids of
    users that need no monitoring any more; they must be released before those of `monitor` are requested.
    `quiet`: users whose count of calls went to zero, and the ids of the calls that the bridge still has of
    them: see `fold.reconcile`. `left_out`: the number of records beyond each limit.
    `reconfigured`: the long names, by guid, of users whose forwards must be read.
    """

    users: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    monitor: tuple[Monitor, ...] = ()
    unmonitor: tuple[str, ...] = ()
    quiet: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    reconfigured: Mapping[str, str] = field(default_factory=dict)
