"""The simulated PBX as one object: an async context manager that speaks SOAP over real HTTP.

For tests, the demo and whoever wants to try the bridge; nothing in production imports it.
"""

import asyncio
import gzip
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib.resources import files
from types import TracebackType
from typing import Self

from bridge.sim import xml
from bridge.sim.auth import Account, Gate
from bridge.sim.exchange import Exchange, SimCall
from bridge.sim.faults import Fault, Faults
from bridge.sim.http import HttpRequest, HttpResponse, HttpServer
from bridge.sim.model import TO_USER, Entry, Leg, No, SimUser, party
from bridge.sim.operations import Box, Operations, UnknownSession
from bridge.sim.sessions import Habits, Session, Sessions

HTML = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Please log in</body></html>"
BOMB_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SimOptions:
    """Where and how a simulated PBX answers. `invalid_session`: fault, empty or http. Seconds."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/PBX0/user.soap"
    account: Account = field(default_factory=lambda: Account("admin", "secret"))
    tls: ssl.SSLContext | None = None
    habits: Habits = field(default_factory=Habits)
    box: Box = field(default_factory=Box)
    decoration: xml.Decoration = field(default_factory=xml.Decoration)
    session_linger_s: float = 5.0
    call_guard_s: float = 1.0
    invalid_session: str = "fault"


@dataclass(frozen=True, slots=True)
class Request:
    """A SOAP request that was seen; `at` is loop time."""

    operation: str
    args: dict[str, object]
    at: float


class SimPbx:
    """One PBX. Users and calls are changed through methods; `faults` and `reboot` make trouble."""

    def __init__(self, users: Iterable[SimUser], options: SimOptions | None = None) -> None:
        self._options = options or SimOptions()
        self.exchange = Exchange(users)
        self.faults = Faults()
        self.log: list[Request] = []
        self.sessions = Sessions(self.exchange, self._options.habits, self._abort)
        self._writer = xml.Writer(self._options.decoration)
        self._operations = Operations(self.exchange, self.sessions, self._writer, self._options.box)
        self._operations.guard_s = self._options.call_guard_s
        self._gate = Gate(self._options.account)
        options = self._options
        self._http = HttpServer(
            self._answer, self._disconnected, host=options.host, port=options.port, tls=options.tls
        )

    async def __aenter__(self) -> Self:
        await self._http.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sessions.close_all()
        self._operations.close()
        await self._http.refuse(reset=False)

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        scheme = "http" if self._options.tls is None else "https"
        return f"{scheme}://{self._options.host}:{self._http.port}"

    @property
    def soap_url(self) -> str:
        """The complete address of the SOAP interface."""
        return self.url + self._options.path

    def requests(self, operation: str) -> list[Request]:
        """The requests for one operation, oldest first."""
        return [request for request in self.log if request.operation == operation]

    def ring(self, callee: str, number: str = "", name: str = "", *, conf: str | None = None) -> SimCall:
        """A call from outside arrives at a user and rings."""
        call = SimCall(self.exchange, conf=conf)
        call.ring(self.exchange.users[callee], No("peer", e164=number, dn=name))
        call.alert()
        return call

    def dial(self, caller: str, to: str) -> SimCall:
        """A user calls a user (long name) or a number; the far end rings."""
        call, callee = SimCall(self.exchange), self.exchange.find(to)
        user = self.exchange.users[caller]
        call.dial(user, party("peer", callee) if callee else No("peer", e164=to))
        call.proceed()
        if callee is not None:
            call.ring(callee, party("peer", user))
        call.alert()
        return call

    def set_presence(self, cn: str, activity: str, note: str = "", contact: str = "tel:") -> None:
        """Somebody sets presence at the phone."""
        self.exchange.set_presence(cn, Entry(contact, activity, note))

    def change_user(self, cn: str, **changes: object) -> None:
        """Change fields of a user, the long name too."""
        user = self.exchange.users[cn]
        self.exchange.put_user(replace(user, **changes), instead_of=cn)  # type: ignore[arg-type]  # by name

    def switch(self, cn: str, *, manual: bool, on: bool) -> None:
        """A Boolean object changes: a leg that stays, with two digits as number (wire reference 10.6)."""
        user = self.exchange.users[cn]
        digits = No("peer", e164=f"{int(manual)}{int(on)}")
        leg = next((leg for leg in self.exchange.legs.values() if leg.guid == user.id), None)
        if leg is None:
            leg = self.exchange.new_leg(user, 5, TO_USER, digits, "")
        leg.put(digits)
        self.exchange.tell(leg, "update")

    def kill_sessions(self) -> None:
        """All sessions vanish without a word."""
        self.sessions.close_all(guard_s=self._options.call_guard_s)

    async def crash(self) -> None:
        """Power is lost: connections reset, calls and sessions gone, connections refused."""
        self.sessions.close_all()
        self.exchange.forget_all()
        await self._http.refuse(reset=True)

    async def start_again(self) -> None:
        """Power is back: same port, new nonce, nobody remembers anything."""
        self._gate.new_nonce()
        await self._http.listen()

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/pbx10_00.wsdl":
            return HttpResponse(body=(files("bridge.pbx") / "pbx.wsdl").read_bytes())
        if request.path != self._options.path:
            return HttpResponse(404, HTML)
        if not self._gate.admits(request.method, request.headers.get("authorization", "")):
            return HttpResponse(401, HTML, self._gate.challenges())
        try:
            operation, args = xml.read_request(request.body)
        except xml.BadRequestError as error:
            return HttpResponse(500, xml.fault(str(error)))
        self.log.append(Request(operation, args, asyncio.get_running_loop().time()))
        fault = self.faults.take(operation)
        if fault is not None:
            early = await self._early(fault)
            if early is not None:
                return early
        response = await self._perform(operation, args, request.connection)
        return response if fault is None else _spoiled(response, fault)

    async def _perform(self, operation: str, args: dict[str, object], connection: int) -> HttpResponse:
        if not self._operations.knows(operation):
            return HttpResponse(500, xml.fault(f"no operation {operation}"))
        try:
            parts = await self._operations.run(operation, args, connection)
        except UnknownSession:
            return self._invalid(operation)
        return HttpResponse(body=self._writer.finish(xml.reply(operation, parts)))

    def _invalid(self, operation: str) -> HttpResponse:
        """Which of the three a real PBX does is not known (wire reference 23.2)."""
        if self._options.invalid_session == "http":
            return HttpResponse(500, HTML)
        if self._options.invalid_session == "empty":
            parts = [self._writer.any_info([], [])] if operation == "Poll" else []
            return HttpResponse(body=xml.reply(operation, parts))
        return HttpResponse(500, xml.fault("invalid handle"))

    async def _early(self, fault: Fault) -> HttpResponse | None:  # noqa: C901, PLR0911  (a table of kinds)
        """The faults that need no answer to spoil."""
        match fault.kind:
            case "http":
                return HttpResponse(int(fault.value), HTML)
            case "html":
                return HttpResponse(body=HTML)
            case "reset":
                return HttpResponse(reset=True)
            case "redirect":
                return HttpResponse(307, b"", [("Location", fault.text or self.soap_url)])
            case "endless":
                return HttpResponse(endless=True)
            case "big":
                return HttpResponse(body=b"<a>" + b" " * int(fault.value) + b"</a>")
            case "gzip":
                return HttpResponse(
                    body=gzip.compress(bytes(BOMB_BYTES)), headers=[("Content-Encoding", "gzip")]
                )
            case "fault":
                return HttpResponse(500, xml.fault(fault.text or "trouble"))
            case "unauthorised":
                self._gate.new_nonce()
                return HttpResponse(401, HTML, self._gate.challenges())
            case "hang":
                await asyncio.sleep(fault.value or 3600)
            case "slow":
                await asyncio.sleep(fault.value)
        return None

    def _disconnected(self, connection: int) -> None:
        for session in self.sessions.disconnected(connection):
            asyncio.get_running_loop().call_later(self._options.session_linger_s, self._linger, session)

    def _linger(self, session: Session) -> None:
        """After its last connection closed a session lives on for a moment (wire reference 7)."""
        if not session.connections and self.sessions.get(session.handle) is session:
            self.sessions.close(session, guard_s=self._options.call_guard_s)

    def _abort(self, leg: Leg) -> None:
        call = self.exchange.call_of(leg)
        if call is not None:
            call.hang_up()


def _spoiled(response: HttpResponse, fault: Fault) -> HttpResponse:
    """A good answer made bad."""
    body = response.body
    match fault.kind:
        case "cut":
            return replace(response, break_after=len(body) // 2)
        case "truncated":
            return replace(response, body=body[: len(body) // 2])
        case "dtd":
            return replace(response, body=body.replace(b"?>", b'?><!DOCTYPE e [<!ENTITY x "y">]>', 1))
        case "drip":
            return replace(response, drip_s=fault.value)
        case "empty":
            return replace(response, body=b"")
        case _:
            return response
