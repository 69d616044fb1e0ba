"""What each SOAP operation does at a simulated PBX: one entry each in the table at the end."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bridge.sim.exchange import TAKEN_ELSEWHERE, Exchange, SimCall
from bridge.sim.model import Entry, Leg, LegNews, No, SimUser, UserNews, party
from bridge.sim.sessions import Session, Sessions
from bridge.sim.xml import Writer

Args = Mapping[str, object]
CRASH_COUNT = 200


class UnknownSession(Exception):  # noqa: N818  (a state of affairs)
    """The request names a session, user or call that is not there."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a PBX says of itself and how it lets calls proceed. Seconds; None: never by itself."""

    firmware: str = "14r2 simulated  "
    serial: str = "00-90-33-00-00-2a"
    location: str = "sim"
    url: str = ""
    call_step_s: float = 0.05
    far_end_answers_s: float | None = None
    on_hook_s: float = 0.2
    initialize_user_known_only: bool = True


class Operations:
    """Carries out operations on an exchange and its sessions; returns the parts of the answer."""

    def __init__(self, exchange: Exchange, sessions: Sessions, writer: Writer, box: Box) -> None:
        self._exchange = exchange
        self._sessions = sessions
        self._writer = writer
        self._box = box
        self.guard_s = 1.0
        self._timers: set[asyncio.TimerHandle] = set()

    def knows(self, operation: str) -> bool:
        """Tell whether there is such an operation."""
        return operation in TABLE

    async def run(self, operation: str, args: Args, connection: int) -> list[str]:
        """The parts of the answer. Raises UnknownSession."""
        if "session" in args and operation != "Echo":
            self._session(args).connections.add(connection)
        return await TABLE[operation](self, args)

    def close(self) -> None:
        """Let nothing happen by itself any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def version(self, _args: Args) -> list[str]:
        scalar, box = self._writer.scalar, self._box
        return [
            scalar("WSDLVersion", 501),
            scalar("GatekeeperID", box.location),
            scalar("Location", box.location),
            scalar("FirmwareVersion", box.firmware),
            scalar("SerialNumber", box.serial),
        ]

    async def initialize(self, args: Args) -> list[str]:
        user = self._exchange.users.get(_text(args, "user"))
        flags = all(_true(args, name) for name in ("v", "v501", "v700", "v800", "vx1000"))
        if user is None or not flags:
            return [self._writer.scalar("return", 0), self._writer.scalar("key", 0)]
        session = self._sessions.open(user, secrets.randbelow(2**31 - 1) + 1)
        return [self._writer.scalar("return", session.handle), self._writer.scalar("key", session.key)]

    async def echo(self, args: Args) -> list[str]:
        session = self._sessions.get(_int(args, "session"))
        alive = session is not None and session.key == _int(args, "key")
        return [self._writer.scalar("return", int(alive))]

    async def end(self, args: Args) -> list[str]:
        self._sessions.close(self._session(args), guard_s=self.guard_s)
        return []

    async def poll(self, args: Args) -> list[str]:
        session = self._session(args)
        users, legs = await session.poll()
        if not session.alive:
            raise UnknownSession
        return [self._writer.any_info(users, legs)]

    async def user_initialize(self, args: Args) -> list[str]:
        session = self._session(args)
        user = self._exchange.users.get(_text(args, "user"))
        if user is None or not session.visible(user):
            return [self._writer.scalar("return", 0)]
        handle = self._sessions.new_handle()
        session.follow(handle, user)
        return [self._writer.scalar("return", handle)]

    async def user_end(self, args: Args) -> list[str]:
        session, _ = self._followed(args, "user")
        del session.follows[_int(args, "user")]
        return []

    async def user_call(self, args: Args) -> list[str]:
        session, user = self._followed(args, "user")
        number, name = _text(args, "e164"), _text(args, "cn") or _text(args, "h323")
        callee = self._exchange.find(name or number)
        if (name and callee is None) or not (name or number) or not user.registered:
            return [self._writer.scalar("return", 0)]
        call = SimCall(self._exchange)
        far = party("peer", callee) if callee else No("peer", e164=number)
        leg = call.dial(user, far)
        session.fresh_calls = [(placed, old) for placed, old in session.fresh_calls if not old.over]
        session.fresh_calls.append((asyncio.get_running_loop().time(), leg))
        self._later(self._box.call_step_s, lambda: self._proceed(call, callee, _caller(user, args)))
        return [self._writer.scalar("return", leg.number)]

    def _proceed(self, call: SimCall, callee: SimUser | None, caller: No) -> None:
        if not call.legs:
            return
        call.proceed()
        if callee is not None:
            call.ring(callee, caller)
        call.alert()
        if callee is None and self._box.far_end_answers_s is not None:
            self._later(self._box.far_end_answers_s, call.answer)

    async def user_clear(self, args: Args) -> list[str]:
        leg, call = self._leg(args)
        cause = _int(args, "cause")
        if cause == TAKEN_ELSEWHERE:
            call.release(leg, by_user=False, cause=cause)
        else:
            call.disconnect(leg, cause)
            self._later(self._box.on_hook_s, lambda: call.delete(leg))
        for other in call.legs:
            if other is not leg:
                call.release(other, by_user=False, cause=cause)
        return []

    async def user_connect(self, args: Args) -> list[str]:
        leg, call = self._leg(args)
        user = self._exchange.by_guid(leg.guid)
        if user is not None:
            call.answer(user.cn)
        return []

    async def user_hold(self, args: Args) -> list[str]:
        leg, call = self._leg(args)
        call.hold(self._cn(leg))
        return []

    async def user_retrieve(self, args: Args) -> list[str]:
        leg, call = self._leg(args)
        call.retrieve(self._cn(leg))
        return []

    async def user_transfer(self, args: Args) -> list[str]:
        first, one = self._leg({"call": args.get("a", "")})
        _, other = self._leg({"call": args.get("b", "")})
        one.transfer(self._cn(first), other)
        return []

    async def set_presence(self, args: Args) -> list[str]:
        guid, short = _text(args, "guid"), _text(args, "h323")
        user = self._exchange.by_guid(guid) if guid != "*" else None
        if user is None and short:
            user = next((user for user in self._exchange.users.values() if user.h323 == short), None)
        presence = args.get("presence")
        if user is None or not isinstance(presence, dict):
            return [self._writer.scalar("return", 0)]
        texts = {name: str(presence.get(name, "")) for name in ("activity", "note", "status")}
        entry = Entry(_text(args, "contact"), texts["activity"], texts["note"], texts["status"])
        self._exchange.set_presence(user.cn, entry)
        return [self._writer.scalar("return", 1)]

    async def find_user(self, args: Args) -> list[str]:
        """A search string is a place in the sorted list, not a filter (wire reference 14)."""
        count = _int(args, "count")
        if count > CRASH_COUNT:
            raise UnknownSession
        key = next((name for name in ("cn", "h323", "e164") if _text(args, name)), "cn")
        hidden = _true(args, "nohide")
        users = sorted(self._exchange.users.values(), key=lambda user: str(getattr(user, key)))
        wanted = _text(args, key)
        found = [user for user in users if (hidden or not user.hidden) and getattr(user, key) >= wanted]
        found = found or users[:1]
        if _int(args, "next") and found and getattr(found[0], key) == wanted:
            found = found[1:]
        fields = [self._user(user) for user in found[:count]]
        return [self._writer.array("user", fields, outer="return")]

    async def calls(self, args: Args) -> list[str]:
        self._session(args)
        user = self._exchange.users.get(_text(args, "user"))
        legs = [leg for leg in self._exchange.legs.values() if user and leg.guid == user.id]
        news = [LegNews(0, leg.number, leg.word, tuple(leg.numbers), "", leg.conf, leg.cause) for leg in legs]
        fields = [self._writer.leg_fields(one) for one in news]
        return [self._writer.array("call", fields, outer="return")]

    async def devices(self, args: Args) -> list[str]:
        self._session(args)
        user = self._exchange.users.get(_text(args, "user"))
        scalar = self._writer.scalar
        fields = [scalar("hw", hw) + scalar("text", text) for hw, text in (user.devices if user else ())]
        return [self._writer.array("devices", fields, outer="return")]

    async def location_url(self, args: Args) -> list[str]:
        own = _text(args, "loc") == self._box.location
        return [self._writer.scalar("return", self._box.url if own else "")]

    async def find_destination(self, args: Args) -> list[str]:
        _, _ = self._followed(args, "user")
        user = self._exchange.find(_text(args, "h323") or _text(args, "e164"))
        found = [f"<user>{self._user(user)}</user>"] if user else []
        return [self._writer.scalar("return", user is None), *found]

    async def local_number(self, args: Args) -> list[str]:
        self._followed(args, "user")
        return [self._writer.scalar("return", _text(args, "num"))]

    async def accept(self, args: Args) -> list[str]:
        """Operations without an answer that change nothing here; the handle must be right all the same."""
        self._leg(args)
        return []

    async def accept_true(self, args: Args) -> list[str]:
        """The same with a truth value for an answer."""
        self._leg(args)
        return [self._writer.scalar("return", True)]  # noqa: FBT003  (the value of a field)

    async def message(self, args: Args) -> list[str]:
        self._followed(args, "user")
        return [self._writer.scalar("return", self._sessions.new_handle())]

    async def empty_text(self, _args: Args) -> list[str]:
        return [self._writer.scalar("return", "")]

    def _session(self, args: Args) -> Session:
        session = self._sessions.get(_int(args, "session"))
        if session is None:
            raise UnknownSession
        return session

    def _followed(self, args: Args, name: str) -> tuple[Session, SimUser]:
        found = self._sessions.following(_int(args, name))
        user = self._exchange.by_guid(found[1]) if found else None
        if found is None or user is None:
            raise UnknownSession
        return found[0], user

    def _leg(self, args: Args) -> tuple[Leg, SimCall]:
        leg = self._exchange.legs.get(_int(args, "call"))
        call = self._exchange.call_of(leg) if leg else None
        if leg is None or call is None:
            raise UnknownSession
        return leg, call

    def _cn(self, leg: Leg) -> str:
        user = self._exchange.by_guid(leg.guid)
        if user is None:
            raise UnknownSession
        return user.cn

    def _user(self, user: SimUser) -> str:
        return self._writer.user_fields(UserNews(user, *self._exchange.counts(user.id)))

    def _later(self, seconds: float, do: Callable[[], object]) -> None:
        def act() -> None:
            self._timers.discard(timer)
            do()

        timer = asyncio.get_running_loop().call_later(seconds, act)
        self._timers.add(timer)


Operation = Callable[[Operations, Args], Awaitable[list[str]]]

TABLE: Mapping[str, Operation] = {
    "Version": Operations.version,
    "Echo": Operations.echo,
    "Admin": Operations.empty_text,
    "Initialize": Operations.initialize,
    "End": Operations.end,
    "Poll": Operations.poll,
    "License": Operations.empty_text,
    "Devices": Operations.devices,
    "Calls": Operations.calls,
    "UserInitialize": Operations.user_initialize,
    "UserEnd": Operations.user_end,
    "UserCall": Operations.user_call,
    "UserClear": Operations.user_clear,
    "UserConnect": Operations.user_connect,
    "UserRc": Operations.accept,
    "UserInfo": Operations.accept,
    "UserDTMF": Operations.accept,
    "UserUUI": Operations.accept,
    "UserRedirect": Operations.accept_true,
    "UserReroute": Operations.accept_true,
    "UserTransfer": Operations.user_transfer,
    "UserCtComplete": Operations.accept,
    "UserHold": Operations.user_hold,
    "UserRetrieve": Operations.user_retrieve,
    "UserMessage": Operations.message,
    "UserLocalNum": Operations.local_number,
    "UserFindDestination": Operations.find_destination,
    "FindUser": Operations.find_user,
    "SetPresence": Operations.set_presence,
    "LocationUrl": Operations.location_url,
}


def _caller(user: SimUser, args: Args) -> No:
    """The calling party as the callee sees it; srce164 overrides the number, r withholds it."""
    shown = _text(args, "srce164")
    if shown[:1] in {"r", "R"}:
        return No("peer")
    seen = party("peer", user)
    return No("peer", seen.cn, seen.dn, shown or seen.e164, seen.h323)


def _text(args: Args, name: str) -> str:
    value = args.get(name, "")
    return value if isinstance(value, str) else ""


def _int(args: Args, name: str) -> int:
    text = _text(args, name)
    return int(text) if text.lstrip("-").isdigit() else int(text == "true")


def _true(args: Args, name: str) -> bool:
    return _text(args, name).lower() in {"true", "1"}
