"""What a PBX reports, in the bridge's words: users, legs, and batches of both. Values only."""

import enum
from dataclasses import dataclass

from bridge.core.value import Value


class CallState(enum.StrEnum):
    """The state of a leg. The values are those of the topics (docs/topics.md)."""

    SETUP = "setup"
    RINGING = "ringing"
    CONNECTED = "connected"
    DISCONNECTING = "disconnecting"
    PARKED = "parked"
    ENDED = "ended"


class ReleasedBy(enum.StrEnum):
    """The end that released a leg."""

    USER = "user"
    REMOTE = "remote"


class Party(Value, frozen=True):
    """One end of a leg as the PBX names it; any field may be empty."""

    number: str = ""
    name: str = ""
    display_name: str = ""
    short_name: str = ""

    @property
    def anonymous(self) -> bool:
        """Whether the PBX says nothing about this end."""
        return not (self.number or self.name or self.display_name or self.short_name)


class Presence(Value, frozen=True):
    """The presence of a user; an empty activity means available."""

    activity: str = ""
    status: str = ""
    note: str = ""


class Group(Value, frozen=True):
    """Membership in a group. Active members see the others."""

    name: str
    active: bool


class Forwards(Value, frozen=True):
    """Where the calls of a user are forwarded to: a number, or a short name; None for nowhere."""

    always: str | None = None
    busy: str | None = None
    no_answer: str | None = None


class UserRecord(Value, frozen=True):
    """One user as the PBX reports it now. `active` is false when it was deleted or is no longer visible.

    `reconfigured`: its configuration has changed, which is no part of what it is now: no state has it.
    """

    guid: str
    name: str
    display_name: str = ""
    short_name: str = ""
    number: str = ""
    type: str = ""
    active: bool = True
    registered: bool = False
    channels: int = 0
    alerting: int = 0
    presence: Presence = Presence()
    groups: tuple[Group, ...] = ()
    emails: tuple[str, ...] = ()
    location: str = ""
    node: str = ""
    is_switch: bool = False
    reconfigured: bool = False


class LegRecord(Value, frozen=True):
    """One leg of one monitored user as the PBX reports it now.

    `user` is the user's guid. `leg_handle` is valid within one PBX session only. `to_user`: the leg goes from
    the PBX to the user, as the PBX sees it. The record with `ended` is the last one of a leg.
    `text_delivered`: it is no leg, but the delivery of a text message.
    """

    user: str
    leg_handle: int
    state: CallState = CallState.SETUP
    ended: bool = False
    to_user: bool = False
    held: bool = False
    held_by_remote: bool = False
    remote: Party = Party()
    local: Party = Party()
    diverted_from: Party | None = None
    first_diverted_from: Party | None = None
    transferred_by: Party | None = None
    transferred_to: Party | None = None
    parked_at: Party | None = None
    picked_up_from: Party | None = None
    conference: str = ""
    cause: int | None = None
    uui: str | None = None
    released_by: ReleasedBy | None = None
    text_delivered: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What the PBX has reported at once. `list_complete`: the list at the start of a session ends here.

    `forwards`: those of users, by guid.
    `unreadable` describes, for the log, records that could not be read and were left out.
    """

    users: tuple[UserRecord, ...] = ()
    legs: tuple[LegRecord, ...] = ()
    list_complete: bool = False
    unreadable: tuple[str, ...] = ()
    forwards: tuple[tuple[str, Forwards], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.legs or self.list_complete or self.unreadable or self.forwards)
