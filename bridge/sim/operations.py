"""The SOAP operations: those of sessions, and the table of all. No HTTP, no XML here."""

import secrets
from collections.abc import Awaitable, Callable, Mapping

from bridge.sim import controls, queries, signals
from bridge.sim.admin import admin
from bridge.sim.arguments import Args, text, true, whole
from bridge.sim.desk import Desk, Profile, UnknownSession
from bridge.sim.session import Monitor, Session

__all__ = ["Operations", "Profile", "UnknownSession"]

Operation = Callable[[Desk, Args], Awaitable[list[str]]]
FLAGS = ("v", "v501", "v700", "v800", "vx1000")
WISHES = ("xfer", "disc")


class Operations:
    """Executes operations and returns the parts of the response."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def knows(self, operation: str) -> bool:
        """Whether an operation of this name exists."""
        return operation == "Initialize" or operation in TABLE

    async def run(self, operation: str, args: Args, connection: int) -> list[str]:
        """Execute an operation; returns the parts of the response. Raises UnknownSession.

        A connection that has carried requests of a session keeps it alive (docs/wire.md#session).
        """
        if operation == "Initialize":
            return self._initialize(args, connection)
        used = self._session_of(args)
        if used is not None:
            used.connections.add(connection)
        return await TABLE[operation](self._desk, args)

    def refusal(self, operation: str) -> list[str]:
        """An empty response: one of the possible responses to an unknown session."""
        if operation == "Poll":
            return [self._desk.writer.any_info([], [])]
        arrays = {"Calls": "call", "Devices": "devices"}
        if operation in arrays:
            return [self._desk.writer.array(arrays[operation], [], outer="return")]
        if operation in {"UserRedirect", "UserReroute"}:
            return self._desk.answer(value=False)
        return self._desk.answer(0) if operation in ANSWER_HANDLES else []

    def _session_of(self, args: Args) -> Session | None:
        """The session that the request names, or that issued its user handle."""
        if "session" in args:
            return self._desk.sessions.get(whole(args, "session"))
        found = self._desk.sessions.monitored(whole(args, "user"))
        return found[0] if found else None

    def _initialize(self, args: Args, connection: int) -> list[str]:
        """Handle and key of a new session; 0 and 0 for an unknown user or the old dialect."""
        user = self._desk.exchange.users.get(text(args, "user"))
        session = None
        if user is not None and all(true(args, name) for name in FLAGS):
            session = self._desk.sessions.open(user, secrets.randbelow(2**31 - 1) + 1)
            session.connections.add(connection)
        scalar = self._desk.writer.scalar
        handle, key = (session.handle, session.key) if session else (0, 0)
        return [scalar("return", handle), scalar("key", key)]


async def echo(desk: Desk, args: Args) -> list[str]:
    """1 while the session is alive and the key is right."""
    session = desk.sessions.get(whole(args, "session"))
    return desk.answer(int(session is not None and session.key == whole(args, "key")))


async def end(desk: Desk, args: Args) -> list[str]:
    """End a session."""
    desk.sessions.close(desk.session(args), guard_s=desk.guard_s)
    return []


async def poll(desk: Desk, args: Args) -> list[str]:
    """Changes, or nothing after the hold time."""
    session = desk.session(args)
    users, legs = await session.poll()
    if not session.alive:
        raise UnknownSession
    return [desk.writer.any_info(users, legs)]


async def user_initialize(desk: Desk, args: Args) -> list[str]:
    """Monitor a user, by long name only (docs/wire.md#monitoring).

    With an unknown device, or at a PBX where the user is not registered, nothing is ever reported.
    """
    session = desk.session(args)
    user = desk.exchange.users.get(text(args, "user"))
    if user is None or not session.visible(user) or not desk.profile.gives_control:
        return desk.answer(0)
    device = text(args, "hw")
    silent = bool(device) and device not in dict(user.hardware)
    silent = silent or user.loc not in {"", desk.profile.location}
    handle = desk.sessions.new_handle()
    session.monitor(handle, Monitor(user.id, frozenset(wish for wish in WISHES if true(args, wish)), silent))
    return desk.answer(handle)


async def user_end(desk: Desk, args: Args) -> list[str]:
    """Free a user handle."""
    found = desk.sessions.monitored(whole(args, "user"))
    if found is None:
        raise UnknownSession
    del found[0].monitors[whole(args, "user")]
    return []


ANSWER_HANDLES = frozenset({"UserInitialize", "UserCall", "UserPickup", "UserPark", "UserMessage"})
TABLE: Mapping[str, Operation] = {
    "Version": queries.version,
    "Echo": echo,
    "Admin": admin,
    "End": end,
    "Poll": poll,
    "License": queries.license_text,
    "Devices": queries.devices,
    "Calls": queries.calls,
    "UserInitialize": user_initialize,
    "UserEnd": user_end,
    "UserCall": controls.user_call,
    "UserClear": controls.user_clear,
    "UserConnect": controls.user_connect,
    "UserRc": signals.user_rc,
    "UserInfo": signals.user_info,
    "UserDTMF": signals.user_dtmf,
    "UserUUI": signals.user_uui,
    "UserPickup": controls.user_pickup,
    "UserRedirect": controls.user_redirect,
    "UserReroute": controls.user_reroute,
    "UserTransfer": controls.user_transfer,
    "UserMediaTransfer": signals.user_media_transfer,
    "UserCtComplete": signals.user_ct_complete,
    "UserHold": controls.user_hold,
    "UserRetrieve": controls.user_retrieve,
    "UserPark": controls.user_park,
    "UserMessage": controls.user_message,
    "UserLocalNum": queries.local_number,
    "UserFindDestination": queries.find_destination,
    "FindUser": queries.find_user,
    "UserLicense": queries.user_license,
    "SetPresence": queries.set_presence,
    "LocationUrl": queries.location_url,
}
"""All except Initialize, which needs the connection too."""
