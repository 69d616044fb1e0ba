"""What we know of a PBX and tell of it: users, calls, events, and the state of it all. Values only."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from bridge.core.records import CallState, ReleasedBy, UserRecord


class Direction(enum.StrEnum):
    """As the person at the phone sees it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Outcome(enum.StrEnum):
    """What became of a call; the values are those of the topic contract."""

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
    """The closed list of call events of the topic contract."""

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


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on two clocks: Unix milliseconds for people, monotonic seconds for durations."""

    unix_ms: int
    monotonic_s: float

    def seconds_at(self, unix_ms: int) -> float:
        """An earlier moment, known by the wall clock only, on the monotonic clock; never in the future."""
        return self.monotonic_s - max(0, self.unix_ms - unix_ms) / 1000


@dataclass(frozen=True, slots=True)
class RemoteParty:
    """A party as we publish it: with the topic id of the user it is, when we know one."""

    number: str = ""
    name: str = ""
    user: str | None = None
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One leg of one user, from its first report to its end.

    `leg_handle` is the PBX's name for the leg in the present session, None while a new session has not
    confirmed it. `hung_up`: a command of the bridge ended it. `started_s` and `answered_s` are monotonic
    seconds, `ring_s` and `talk_s` durations, the `*_ms` Unix milliseconds.
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
    command_id: str | None = None


@dataclass(frozen=True, slots=True)
class Switch:
    """A Boolean object: automatic or by hand, and what it is now."""

    manual: bool
    on: bool


@dataclass(frozen=True, slots=True)
class User:
    """A user as we know it: the PBX's last record and what we keep beside it."""

    record: UserRecord
    since_ms: int
    changed_ms: int
    missed: int = 0
    last_call: Call | None = None
    switch: Switch | None = None

    @property
    def guid(self) -> str:
        """The key under which the user is known whatever it is called."""
        return self.record.guid


@dataclass(frozen=True, slots=True)
class Event:
    """One call event, numbered within one run of the link."""

    seq: int
    time_ms: int
    type: EventType
    user: str
    user_topic: str
    call: Call | None
    switch: Switch | None = None
    resync: bool = False


@dataclass(frozen=True, slots=True)
class PbxState:
    """All we know of one PBX. Mappings are never changed in place.

    users: by guid. topics: the topic id of each user, by guid. claims: which guids want a topic id.
    names: which guids go by a short name, a number or a long name. calls: the legs that run, oldest first.
    placed: (guid, leg handle) -> (call id, command id) of calls we placed and have not seen yet.
    unseen: guids the first list has not confirmed yet; None once that list is complete.
    torn: a record was left out of that list, so that who is missing there may still exist.
    unsettled: guids whose running calls the PBX may still have to report.
    """

    epoch: str
    users: Mapping[str, User] = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, frozenset[str]] = field(default_factory=dict)
    names: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    calls: Mapping[str, tuple[Call, ...]] = field(default_factory=dict)
    placed: Mapping[tuple[str, int], tuple[str, str | None]] = field(default_factory=dict)
    unseen: frozenset[str] | None = frozenset()
    torn: bool = False
    unsettled: frozenset[str] = frozenset()
    seq: int = 0
    call_count: int = 0

    @property
    def complete(self) -> bool:
        """The first list of this session has ended."""
        return self.unseen is None

    def call(self, call_id: str) -> Call | None:
        """The running call with this id."""
        return next((call for calls in self.calls.values() for call in calls if call.id == call_id), None)

    def user_of(self, topic_id: str) -> User | None:
        """The user who has this topic id now."""
        for guid in (*self.claims.get(topic_id, ()), unquote(topic_id)):
            if self.topics.get(guid) == topic_id:
                return self.users[guid]
        return None


@dataclass(frozen=True, slots=True)
class Monitor:
    """A user whose calls the PBX should report. `urgent`: this session has not confirmed its calls yet."""

    guid: str
    name: str
    urgent: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What one transition changed, and what follows from it.

    `users`: guids of users to publish. `gone`: topic ids to erase. `events`: in order. `unmonitor`: guids of
    users whose calls need not be reported; they are to be given up before those of `monitor` are asked for.
    `quiet`: users whose count of calls went to zero, and the ids of the calls that the bridge still has of
    them: see `fold.reconcile`. `left_out`: the number of records beyond each limit.
    """

    users: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()
    monitor: tuple[Monitor, ...] = ()
    unmonitor: tuple[str, ...] = ()
    quiet: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
