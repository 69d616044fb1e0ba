"""The simulated PBX as one object: an async context manager that speaks SOAP over real HTTP.

For tests, the demo and trials; no production code imports it.
"""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

from bridge.sim import xml
from bridge.sim.auth import Account, Gate
from bridge.sim.desk import Desk, Profile
from bridge.sim.endpoint import Endpoint
from bridge.sim.exchange import Exchange
from bridge.sim.faults import Faults
from bridge.sim.host import Host
from bridge.sim.http import HttpResponse
from bridge.sim.model import CONNECT, TO_USER, Entry, Leg, No, SimUser, party
from bridge.sim.moves import SimCall, call_of
from bridge.sim.operations import Operations
from bridge.sim.request import HttpRequest
from bridge.sim.routes import route
from bridge.sim.session import Habits, Session
from bridge.sim.sessions import Sessions
from bridge.sim.timers import Timers

LOG_CAP = 100_000


@dataclass(frozen=True, slots=True)
class SimOptions:
    """How a simulated PBX behaves; durations in seconds. `invalid_session`: fault, empty or http."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/PBX0/user.soap"
    account: Account = field(default_factory=lambda: Account("admin", "secret"))
    tls: ssl.SSLContext | None = None
    habits: Habits = field(default_factory=Habits)
    profile: Profile = field(default_factory=Profile)
    decoration: xml.Decoration = field(default_factory=xml.Decoration)
    session_linger_s: float = 5.0
    call_guard_s: float = 1.0
    invalid_session: str = "fault"


@dataclass(frozen=True, slots=True)
class Request:
    """A SOAP request that arrived; `at` is loop time."""

    operation: str
    args: dict[str, object]
    at: float


class SimPbx:
    """One PBX. Methods change users and calls; `faults` and `reboot` disturb it.

    `invalid_session` selects the response to an unknown session and may be changed at any time.
    `addresses` are those of PBXs on other hosts, by location, as LocationUrl tells them.
    `beside`: answer on the port of another PBX under a path of its own, as a dynamic PBX does
    (docs/wire.md#several-pbxs). Enter the other one first; they share its power supply.
    """

    def __init__(
        self, users: Iterable[SimUser], options: SimOptions | None = None, *, beside: "SimPbx | None" = None
    ) -> None:
        self._options = options = options or SimOptions()
        self._timers = Timers()
        profile = options.profile
        self.exchange = Exchange(
            users, self._timers.later, on_hook_s=profile.on_hook_s, no_answer_s=profile.no_answer_s
        )
        self.faults = Faults()
        self.invalid_session = options.invalid_session
        self.log: list[Request] = []
        self.addresses: dict[str, str] = {}
        self.sessions = Sessions(self.exchange, options.habits, self._abort)
        self._gate = Gate(options.account)
        self.host: Host = beside.host if beside else Host(options.host, options.port, options.tls)
        self._owner = beside is None
        self._endpoint = self._wire()

    async def __aenter__(self) -> Self:
        if self.path in self.host.sites:
            raise ValueError(f"two PBXs cannot answer at {self.path}")
        if self._owner:
            await self.host.listen()
        self.host.sites[self.path] = self
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sessions.close_all()
        self._timers.call_off()
        del self.host.sites[self.path]
        if self._owner:
            await self.host.close()
        self._timers.call_off()

    @property
    def path(self) -> str:
        """Its path."""
        return self._options.path

    @property
    def location(self) -> str:
        """Its location, as the objects of other PBXs name it."""
        return self._options.profile.location

    @property
    def url(self) -> str:
        """Its address without a path."""
        return self.host.url

    @property
    def soap_url(self) -> str:
        """The complete address of the SOAP interface."""
        return self.url + self.path

    def requests(self, operation: str) -> list[Request]:
        """The requests for one operation, oldest first."""
        return [request for request in self.log if request.operation == operation]

    def ring(
        self, callee: str, number: str = "", name: str = "", *, conf: str | None = None, uui: str = ""
    ) -> SimCall:
        """An outside call rings at a user."""
        call = SimCall(self.exchange, conf=conf)
        call.arrive(route(self.exchange, self.exchange.users[callee].cn), No("peer", e164=number, dn=name))
        for leg in call.legs:
            leg.uui = uui
        call.alert()
        return call

    def dial(self, caller: str, to: str) -> SimCall:
        """A user calls another (long name, short name or number) or an outside number, and that end rings."""
        call, callee = SimCall(self.exchange), self.exchange.find(to)
        user = self.exchange.users[caller]
        call.dial(user, party("peer", callee) if callee else No("peer", e164=to))
        call.proceed()
        call.arrive(route(self.exchange, to), party("peer", user))
        call.alert()
        return call

    def fork(self, call: SimCall, cn: str) -> Leg:
        """The call also rings at another user, or at another device of the same user."""
        leg = call.ring(self.exchange.users[cn], call.called[0].peer)
        call.alert()
        return leg

    def set_presence(
        self, cn: str, activity: str, note: str = "", contact: str = "tel:", status: str = "open"
    ) -> None:
        """A user sets a presence on the phone."""
        self.exchange.set_presence(cn, Entry(contact, activity, note, status))

    def add_user(self, user: SimUser) -> None:
        """Add an object. Raises ValueError if the name is taken."""
        if user.cn in self.exchange.users:
            raise ValueError(f"there is a '{user.cn}' already")
        self.exchange.put_user(user, cfg=True)

    def remove_user(self, cn: str) -> None:
        """Delete an object; its calls end."""
        self.exchange.remove_user(cn)

    def change_user(self, cn: str, /, **changes: object) -> None:
        """Change fields of a user, the long name too; the guid stays."""
        user = replace(self.exchange.users[cn], **changes)  # type: ignore[arg-type]  # by name
        self.exchange.put_user(user, instead_of=cn, cfg=set(changes) != {"registered"})

    def switch(self, cn: str, *, manual: bool, on: bool) -> None:
        """Change a Boolean object: its leg persists and has two digits as number (docs/wire.md#switches)."""
        user = self.exchange.users[cn]
        digits = No("peer", e164=f"{int(manual)}{int(on)}")
        leg = next((leg for leg in self.exchange.legs.values() if leg.guid == user.id), None)
        if leg is None:
            leg = self.exchange.new_leg(user, CONNECT, TO_USER, digits, "")
        leg.put(digits)
        self.exchange.tell(leg, "update")

    def lose(self, call: SimCall) -> None:
        """End a call without notice; new legs reuse the numbers of its legs, the first one first."""
        for leg in call.legs:
            self.exchange.lose(leg)

    def kill_sessions(self) -> None:
        """End all sessions without notice."""
        self.sessions.close_all(guard_s=self._options.call_guard_s)

    async def reboot(self, down_s: float = 0.0) -> None:
        """Lose power, and return on the same port after some seconds. Raises OSError."""
        await self.crash()
        await asyncio.sleep(down_s)
        await self.start_again()

    async def crash(self) -> None:
        """Lose power: reset connections, forget calls and sessions, refuse new connections."""
        await self.host.crash()

    async def start_again(self) -> None:
        """Return after a crash: same port, new nonce, no sessions and calls. Raises OSError."""
        await self.host.listen()

    def stop_listening(self) -> None:
        """Refuse new connections until `start_again`; open ones stay."""
        self.host.stop_listening()

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """For the host: answer a request."""
        return await self._endpoint.answer(request)

    def disconnected(self, connection: int) -> None:
        """For the host: a TCP connection closed; its sessions survive for a moment (docs/wire.md#session)."""
        for session in self.sessions.disconnected(connection):
            self._timers.later(self._options.session_linger_s, partial(self._linger, session))

    def lose_power(self) -> None:
        """For the host: forget sessions and calls, and cancel all timers."""
        self._timers.call_off()
        self.sessions.forget_all()
        self.exchange.forget_all()
        self._gate.new_nonce()

    def _wire(self) -> Endpoint:
        """Connect what answers SOAP. Addresses are asked for later: the port is not known yet."""
        options, writer = self._options, xml.Writer(self._options.decoration)
        desk = Desk(
            self.exchange, self.sessions, writer, options.profile, options.call_guard_s, self._locations
        )
        return Endpoint(
            self._gate, Operations(desk), writer, self.faults, self._seen, lambda: self.invalid_session
        )

    def _locations(self) -> dict[str, str]:
        known = {site.location: site.soap_url for site in self.host.sites.values()}
        return known | {self.location: self._options.profile.url or self.soap_url} | self.addresses

    def _seen(self, operation: str, args: dict[str, object]) -> None:
        """Log the request; cap the log at a few days of an office."""
        self.log.append(Request(operation, args, asyncio.get_running_loop().time()))
        if len(self.log) > LOG_CAP:
            del self.log[: LOG_CAP // 2]

    def _linger(self, session: Session) -> None:
        if not session.connections and self.sessions.get(session.handle) is session:
            self.sessions.close(session, guard_s=self._options.call_guard_s)

    def _abort(self, leg: Leg) -> None:
        call = call_of(self.exchange, leg)
        if call is not None:
            call.hang_up()
