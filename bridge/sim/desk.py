"""What the operations of a simulated PBX share: users, calls, sessions and settings. No SOAP names."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.sim.arguments import Args, whole
from bridge.sim.exchange import Exchange
from bridge.sim.model import Leg, SimUser
from bridge.sim.moves import SimCall, call_of
from bridge.sim.session import Session
from bridge.sim.sessions import Sessions
from bridge.sim.xml import Writer


class UnknownSession(Exception):  # noqa: N818  (a state of affairs)
    """The request names a session, user or call that does not exist."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a PBX reports about itself, and the pace of its calls in seconds. None: never.

    `crash_count`: FindUser fails for more users than this, as the vendor warns (docs/wire.md#queries).
    `gives_control`: UserInitialize returns handles; otherwise 0, as without the right.
    `encodes_uui`: as newer firmware does (docs/wire.md#leg-information). `licences`: by name, what it says.
    `gives_admin`: the account is an administrator's, and may use Admin.
    """

    firmware: str = "14r2 simulated  "
    serial: str = "00-90-33-00-00-2a"
    location: str = "sim"
    url: str = ""
    call_step_s: float = 0.05
    far_end_answers_s: float | None = None
    on_hook_s: float = 0.2
    no_answer_s: float = 20.0
    encodes_uui: bool = False
    licences: Mapping[str, str] = field(default_factory=dict)
    crash_count: int = 200
    gives_control: bool = True
    gives_admin: bool = True


@dataclass(frozen=True, slots=True)
class Desk:
    """One PBX as its operations see it. `guard_s`: see docs/wire.md#call-control.

    `locations`: the addresses of the PBXs beside it and its own, by location.
    """

    exchange: Exchange
    sessions: Sessions
    writer: Writer
    profile: Profile
    guard_s: float
    locations: Callable[[], Mapping[str, str]]

    def session(self, args: Args) -> Session:
        """The session that the request names. Raises UnknownSession."""
        session = self.sessions.get(whole(args, "session"))
        if session is None:
            raise UnknownSession
        return session

    def monitored(self, args: Args) -> tuple[Session, SimUser]:
        """The session and the user of a user handle. Raises UnknownSession."""
        found = self.sessions.monitored(whole(args, "user"))
        user = self.exchange.by_guid(found[1]) if found else None
        if found is None or user is None:
            raise UnknownSession
        return found[0], user

    def leg(self, args: Args, name: str = "call") -> tuple[Leg, SimCall]:
        """The leg that the request names, and its call. Raises UnknownSession."""
        leg = self.exchange.legs.get(whole(args, name))
        call = call_of(self.exchange, leg) if leg else None
        if leg is None or call is None:
            raise UnknownSession
        return leg, call

    def user_of(self, leg: Leg) -> SimUser:
        """The user of a leg. Raises UnknownSession."""
        user = self.exchange.by_guid(leg.guid)
        if user is None:
            raise UnknownSession
        return user

    def answer(self, value: object) -> list[str]:
        """A response with one value."""
        return [self.writer.scalar("return", value)]
