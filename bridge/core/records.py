"""What a PBX reports, in our words: users, legs, and batches of both. Values only."""

import enum
from dataclasses import dataclass


class CallState(enum.StrEnum):
    """Where a leg stands; the values are those of the topic contract."""

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


@dataclass(frozen=True, slots=True)
class Party:
    """One end of a leg as the PBX names it; any field may be empty."""

    number: str = ""
    name: str = ""
    display_name: str = ""
    short_name: str = ""

    @property
    def anonymous(self) -> bool:
        """Nothing at all is known of this end."""
        return not (self.number or self.name or self.display_name or self.short_name)


@dataclass(frozen=True, slots=True)
class Presence:
    """What a user lets others know; activity "" means available."""

    activity: str = ""
    status: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A membership; active members see the others."""

    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class UserRecord:
    """One user as the PBX reports it now. `active` False: it left our view."""

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


@dataclass(frozen=True, slots=True)
class LegRecord:
    """One leg of one monitored user as the PBX reports it now.

    `user` is the user's guid. `leg_handle` is valid in one PBX session only. `to_user` is the PBX's
    view: the leg goes from the PBX to the user. `ended` comes once and is the last of the leg.
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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one Poll reply, or a slice of it, holds. `list_complete`: the first list ended here.

    `unreadable`: the records that had to be left out, for people.
    """

    users: tuple[UserRecord, ...] = ()
    legs: tuple[LegRecord, ...] = ()
    list_complete: bool = False
    unreadable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.legs or self.list_complete or self.unreadable)
