"""The data of a simulated PBX: users, parties, legs. Sends nothing."""

import uuid
from dataclasses import dataclass, field

SETUP, CALL_PROC, ALERT, CONNECT, DISC_SENT, DISC_RECEIVED, PARKED = 1, 3, 4, 5, 6, 7, 8
TO_USER, HELD, HELD_BY_PEER, WAITING = 0x080, 0x100, 0x200, 0x400


@dataclass(frozen=True, slots=True)
class Entry:
    """One presence entry. Each contact of a user has one; the newest is visible (docs/wire.md#presence)."""

    contact: str
    activity: str = ""
    note: str = ""
    status: str = "open"


@dataclass(frozen=True, slots=True)
class Forward:
    """A diversion. `kind`: cfu always, cfb busy, cfnr no answer; to a number or to a short name."""

    kind: str
    e164: str = ""
    h323: str = ""


@dataclass(frozen=True, slots=True)
class SimUser:
    """A PBX object. `groups`: name and whether the membership is active. `object` "bool": a switch.

    An empty guid is derived from the long name once and survives a rename. A phone without `devices` has one,
    named by its short name. `inherited`: diversions from a template, which only the template can lose.
    """

    cn: str
    h323: str = ""
    e164: str = ""
    dn: str = ""
    type: str = "ep"
    guid: str = ""
    groups: tuple[tuple[str, bool], ...] = ()
    registered: bool = True
    object: str = ""
    loc: str = ""
    node: str = "root"
    emails: tuple[str, ...] = ()
    hidden: bool = False
    devices: tuple[tuple[str, str], ...] = ()
    presence: tuple[Entry, ...] = ()
    text: str = ""
    licences: tuple[str, ...] = ()
    forwards: tuple[Forward, ...] = ()
    inherited: tuple[Forward, ...] = ()

    def __post_init__(self) -> None:
        if not self.guid:
            object.__setattr__(self, "guid", uuid.uuid5(uuid.NAMESPACE_OID, self.cn).hex)

    @property
    def id(self) -> str:
        """The guid."""
        return self.guid

    @property
    def hardware(self) -> tuple[tuple[str, str], ...]:
        """The devices that the PBX lists: name of the device, and a text."""
        named = ((self.h323 or self.cn, self.dn),) if self.type == "ep" else ()
        return self.devices or named


@dataclass(frozen=True, slots=True)
class No:
    """A party of a leg, under one of the types of docs/wire.md#parties."""

    type: str
    cn: str = ""
    dn: str = ""
    e164: str = ""
    h323: str = ""


def party(kind: str, user: SimUser) -> No:
    """A user as a party."""
    return No(kind, user.cn, user.dn, user.e164, user.h323)


@dataclass(slots=True, eq=False)
class Leg:
    """One leg of one user, mutable. `state` is the low nibble of the wire state, `bits` the rest.

    `xfer_only`: transferred; only handles opened with xfer report it (docs/wire.md#monitoring).
    `dtmf`: digits of the current message. `phone`: what the phone was told besides, kind and text.
    `position`: where a parked leg waits.
    """

    number: int
    guid: str
    state: int
    bits: int
    numbers: list[No]
    conf: str
    cause: int | None = None
    uui: str = ""
    dtmf: str = ""
    over: bool = False
    xfer_only: bool = False
    position: int = -1
    phone: list[tuple[str, str]] = field(default_factory=list)

    @property
    def word(self) -> int:
        """The state as sent on the wire."""
        return self.state | self.bits

    @property
    def peer(self) -> No:
        """The remote party as this leg shows it."""
        return next((number for number in self.numbers if number.type == "peer"), No("peer"))

    def put(self, number: No) -> None:
        """Set the party of a type, replacing an earlier one."""
        self.numbers = [other for other in self.numbers if other.type != number.type] + [number]


@dataclass(frozen=True, slots=True)
class UserNews:
    """A user changed. `gone`: it left the scope; `cfg`: its configuration changed."""

    user: SimUser
    channel: int = 0
    alert: int = 0
    gone: bool = False
    end_of_list: bool = False
    cfg: bool = False


@dataclass(frozen=True, slots=True)
class LegNews:
    """A leg changed. A snapshot, because the leg may change again before the next Poll."""

    user_handle: int
    leg: int
    state: int
    numbers: tuple[No, ...]
    message: str
    conf: str
    cause: int | None
    uui: str = ""
    active: bool = True
    dtmf: str = ""
