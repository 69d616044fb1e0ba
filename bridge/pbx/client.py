"""The operations of a PBX as typed calls. Knows the vendor's argument names, keeps no session state.

Three connections: one for the Poll that is always outstanding, one for what takes a PBX long, made when it is
first needed, and one for everything else. A request waits only for those before it on its own connection.
"""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bridge.core.backend import Asked, InTime, at_any_time, unheard
from bridge.core.status import About
from bridge.errors import LinkError
from bridge.pbx import wire
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.http import Http
from bridge.pbx.operations import Arguments, Operation
from bridge.pbx.poll_ends import PollEnds
from bridge.pbx.soap import Soap

APPLICATION = "innovaphone-mqtt"
USUAL = (
    *("Version", "Initialize", "Echo", "End", "UserInitialize", "UserEnd"),
    *("UserCall", "UserClear", "SetPresence"),
)
"""What each bridge may ask for besides Poll: for its session, and for the verbs of the set `basic`."""
SLOW = frozenset(
    ("FindUser", "Calls", "Devices", "UserLocalNum", "UserFindDestination", "LocationUrl", "Admin")
)
"""What holds up no call: searches, and the administration."""


@dataclass(frozen=True, slots=True)
class SoapSession:
    """A session as the SOAP interface names it: its handle, and the random key that Echo requires."""

    handle: int
    key: int


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """Which calls of a monitored user are reported: after transfers, until on-hook, of one device only."""

    transfers: bool = True
    wait_on_hook: bool = False
    device: str = ""


class Client:
    """One PBX at one address; a context manager. All methods raise LinkErrors, see http.py and wire.py.

    `asked` hears of each request but Poll: the operation, whether it was answered, how many seconds it took.
    `poll_ends` remembers how Polls failed, over all clients of a PBX.
    """

    def __init__(
        self,
        soap: Soap,
        endpoint: Endpoint,
        *,
        poll_s: float,
        request_s: float,
        asked: Asked = unheard,
        poll_ends: PollEnds | None = None,
    ) -> None:
        self._soap = soap
        self._poll_s = poll_s
        self._request_s = request_s
        self._asked = asked
        self._poll_ends = poll_ends or PollEnds()
        self._poll_http = Http(endpoint)
        self._http = Http(endpoint)
        self._slow_http = Http(endpoint)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._poll_http)
        await self._stack.enter_async_context(self._http)
        await self._stack.enter_async_context(self._slow_http)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def version(self) -> About:
        """Firmware and serial number, which may carry trailing blanks (docs/wire.md#queries).

        Nothing depends on them: they are empty where the PBX answers anything else.
        """
        try:
            answer = await self._ask("Version")
        except LinkError as error:
            if not error.answered:
                raise
            return About()
        texts = (answer[name] for name in ("FirmwareVersion", "SerialNumber", "Location"))
        return About(*(str(text or "").strip() for text in texts))

    async def initialize(self, user: str) -> SoapSession:
        """Open a session with a user's view. A handle of 0 means no (docs/wire.md#session).

        All version flags must be present and true to be answered in the V10 dialect.
        """
        flags = dict.fromkeys(("v", "v501", "v700", "v800", "vx1000"), True)
        answer = await self._ask("Initialize", user=user, appl=APPLICATION, **flags)
        return SoapSession(whole(answer["return"]), whole(answer["key"]))

    async def poll(self, session: SoapSession) -> bytes:
        """Wait for events, up to 60 s (docs/wire.md#poll); the undecoded answer."""
        body, headers = self._soap.request("Poll", session=session.handle)
        started_s = time.monotonic()
        try:
            answer = await self._poll_http.post(body, headers, self._poll_s)
        except LinkError as error:
            raise self._poll_ends.explained(error, time.monotonic() - started_s, self._poll_s) from None
        self._poll_ends.answered(time.monotonic() - started_s)
        return answer

    async def echo(self, session: SoapSession) -> bool:
        """Whether the PBX still knows the session."""
        return whole(await self._ask("Echo", session=session.handle, key=session.key)) != 0

    async def end(self, session: SoapSession) -> None:
        """Close the session."""
        await self._ask("End", session=session.handle)

    async def monitor(self, session: SoapSession, name: str, how: MonitorOptions) -> int:
        """Monitor a user. Returns the user handle, or 0 for no. The PBX accepts the long name only."""
        answer = await self._ask(
            "UserInitialize",
            session=session.handle,
            user=name,
            xfer=how.transfers,
            disc=how.wait_on_hook,
            hw=how.device,
        )
        return whole(answer)

    async def unmonitor(self, handle: int) -> None:
        """Stop the reports of a user's calls."""
        await self._ask("UserEnd", user=handle)

    async def admin(self, xml: str, in_time: InTime) -> str:
        """Have a document carried out; the document that it answers, or "" for anything else."""
        answer = await self._ask("Admin", in_time, xml=xml)
        return answer if isinstance(answer, str) else ""

    async def perform(self, operation: Operation, arguments: Arguments, in_time: InTime) -> Any:
        """Ask for an operation of operations.py; the answer, decoded unless the operation wants it raw."""
        decode = wire.answer_element if operation.raw else None
        return await self._ask(operation.name, in_time, decode, **arguments)

    async def _ask(
        self,
        operation: str,
        in_time: InTime = at_any_time,
        decode: Callable[[bytes], Any] | None = None,
        /,
        **parts: object,
    ) -> Any:
        body, headers = self._soap.request(operation, **parts)
        started_s, good = time.monotonic(), False
        try:
            http = self._slow_http if operation in SLOW else self._http
            reply = await http.post(body, headers, self._request_s, in_time)
            answer = decode(reply) if decode else self._soap.answer(operation, reply)
            good = True
        finally:
            self._asked(operation, good, time.monotonic() - started_s)
        return answer


def whole(value: object) -> int:
    """A handle or a result. Anything but a whole number reads as 0, which means no."""
    return value if isinstance(value, int) else 0
