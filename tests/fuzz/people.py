"""Who is at the PBX of the fuzzed histories, who talks to whom, and what of it the bus must show."""

from dataclasses import dataclass
from string import ascii_letters, digits

from bridge.core.records import CallState, Group, LegRecord, Party, UserRecord
from bridge.core.rules import Rule, Scope

SAFE = frozenset(ascii_letters + digits + "_.-~")
HIDDEN, SALES = "hidden", "sales"
GATEWAY = "gw"
UNANSWERED = frozenset({CallState.SETUP, CallState.RINGING})


@dataclass(slots=True, eq=False)
class Person:
    """An object of the PBX; the guid stays, everything else may change."""

    guid: str
    name: str
    short_name: str
    number: str
    kind: str
    groups: frozenset[str]

    @property
    def party(self) -> Party:
        """The person as the far end of somebody's leg."""
        return Party(self.number, self.name, "", self.short_name)

    def record(self, *, channels: int = 0, active: bool = True) -> UserRecord:
        """What the PBX reports of the person."""
        return UserRecord(
            self.guid,
            self.name,
            short_name=self.short_name,
            number=self.number,
            type=self.kind,
            active=active,
            channels=channels,
            groups=tuple(Group(group, active=True) for group in sorted(self.groups)),
        )


@dataclass(slots=True, eq=False)
class Leg:
    """A leg that runs. A person has one leg in a conference at most.

    `told` and `command_id`: what the bus must call it and its command; None when another id may come.
    `command`: the request that placed it, if one did. `unheard`: it began while there was no session.
    """

    guid: str
    kind: str
    conference: str
    inbound: bool
    remote: Party
    state: CallState = CallState.SETUP
    held: bool = False
    held_by_remote: bool = False
    transferred_by: Party | None = None
    cause: int | None = None
    over: bool = False
    told: str | None = None
    command_id: str | None = None
    command: str | None = None
    unheard: bool = False

    def record(self, number: int) -> LegRecord:
        """What the PBX reports of the leg: its own view of the direction, which a gateway shares.

        The endpoint that holds is a phone, or for a gateway the far end of whoever calls from inside.
        """
        at_gateway = self.kind == GATEWAY
        return LegRecord(
            "",
            number,
            self.state,
            ended=self.over,
            to_user=self.inbound != at_gateway,
            held=self.held_by_remote if at_gateway else self.held,
            held_by_remote=self.held if at_gateway else self.held_by_remote,
            remote=self.remote,
            transferred_by=self.transferred_by,
            conference=self.conference,
            cause=self.cause,
        )


@dataclass(frozen=True, slots=True)
class View:
    """What the configuration lets the bridge show: the rules, and the same in the words of this test."""

    user_id: str = "h323"
    hides: bool = False
    sales_only: bool = False

    @property
    def scope(self) -> Scope:
        """What the bridge is given."""
        users = (Rule(exclude=True, group=HIDDEN),) if self.hides else ()
        return Scope(users, (Rule(group=SALES),) if self.sales_only else (), self.user_id)

    def shows(self, person: Person) -> bool:
        """The person has a topic."""
        return not (self.hides and HIDDEN in person.groups)

    def monitors(self, person: Person) -> bool:
        """The person's calls are on the bus."""
        return self.shows(person) and (not self.sales_only or SALES in person.groups)

    def drops(self, record: UserRecord) -> bool:
        """This record ends that somebody's calls are on the bus."""
        groups = {group.name for group in record.groups}
        hidden = self.hides and HIDDEN in groups
        return not record.active or hidden or (self.sales_only and SALES not in groups)

    def wanted(self, person: Person) -> str:
        """The topic level of a person who need not share it."""
        names = {"h323": person.short_name, "e164": person.number, "cn": person.name, "guid": person.guid}
        return level(names[self.user_id] or person.guid)


def call_state(legs: list[Leg]) -> str:
    """The one word that the contract has for all calls of a user."""
    if any(leg.inbound and leg.state in UNANSWERED for leg in legs):
        return "ringing"
    connected = [leg for leg in legs if leg.state is CallState.CONNECTED]
    if connected:
        talking = [leg for leg in connected if not (leg.held or leg.held_by_remote)]
        return "connected" if talking else "held"
    return "dialing" if any(leg.state in UNANSWERED for leg in legs) else "idle"


def level(name: str) -> str:
    """A name as one topic level: percent-encoded but for the safe characters."""
    return "".join(chr(byte) if chr(byte) in SAFE else f"%{byte:02X}" for byte in name.encode())
