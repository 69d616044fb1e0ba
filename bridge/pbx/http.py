"""HTTP to one PBX: one request at a time over one connection that is kept open. No SOAP here.

It follows no redirect, uses no proxy or netrc of the environment, and keeps no cookie. It repeats a request
only after a 401, which means that the PBX did not execute it.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from bridge.core.backend import InTime, at_any_time
from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, Unreachable
from bridge.pbx.connection import Connection, connect
from bridge.pbx.endpoint import Endpoint, Target, target
from bridge.pbx.login import UNAUTHORISED, Login
from bridge.pbx.response import Response

_OK, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 200, 403, 404, 500
_REDIRECTS = range(300, 400)
_ANSWERS_TO_401 = 3
"""Attempts per request: with no nonce or an old one, with a new one, and once more if that is stale."""


class Http:
    """One kept-alive connection; a context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._target: Target | None = None
        self._login: Login | None = None
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._under_way = 0
        self._over = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        connection = self._connection
        self._drop()
        if connection is not None:
            await connection.closed()

    async def post(
        self, body: bytes, headers: Mapping[str, str], within_s: float, in_time: InTime = at_any_time
    ) -> bytes:
        """Send one request and return the body of a 200, or of a 500, which carries a SOAP fault.

        `within_s` includes the wait for other requests. `in_time` raises if the request has expired.
        A cancelled or late request closes the connection. Nothing is sent once this context has ended.
        Raises Unreachable, SessionLost, ProtocolError or Rejected.
        """
        due_s = asyncio.get_running_loop().time() + within_s
        self._under_way += 1
        try:
            await self._take_turn(due_s)
            try:
                to = self._target = self._target or target(self._endpoint)
                response = await self._logged_in(to, body, headers, in_time, due_s)
            finally:
                self._turn.release()
        except TimeoutError:
            raise Unreachable(f"{self._endpoint.url} did not answer within {within_s:g} s") from None
        finally:
            self._under_way -= 1
        if response.status in {_OK, _SERVER_ERROR} and response.body:
            return response.body
        raise _refusal(response, self._endpoint)

    async def _take_turn(self, due_s: float) -> None:
        """Wait until no other request is under way. Without any, no timer is set, which is dear."""
        if self._under_way == 1:
            await self._turn.acquire()
            return
        async with asyncio.timeout_at(due_s):
            await self._turn.acquire()

    async def _logged_in(
        self, to: Target, body: bytes, headers: Mapping[str, str], in_time: InTime, due_s: float
    ) -> Response:
        """The response to a request, which is repeated for each 401 whose challenge can be answered."""
        login = self._login = self._login or Login(self._endpoint, to)
        fresh = self._endpoint.auth == "basic"
        for _ in range(_ANSWERS_TO_401):
            request = _request(to, login.authorization(body), body, headers)
            response = await self._exchange(to, request, in_time, due_s)
            if response.status != UNAUTHORISED:
                login.answered(response)
                return response
            login.challenged(response, fresh=fresh)
            fresh = True
        raise Rejected(f"{to.authority} keeps asking for authentication")

    async def _exchange(self, to: Target, request: bytes, in_time: InTime, due_s: float) -> Response:
        self._require_open()
        connection = self._connection
        if connection is None or not connection.reusable:
            self._drop()
            async with asyncio.timeout_at(due_s):
                connection = self._connection = await connect(to, self._endpoint.url)
            self._require_open()
        # The last check before sending, with no await in between: the process may have been suspended
        # since the command was accepted, and an expired command must not run.
        in_time()
        try:
            response = await connection.exchange(request, due_s)
        except BaseException:
            self._drop()
            raise
        if not response.reusable:
            self._drop()
        return response

    def _require_open(self) -> None:
        """Send nothing after the end: a handle in a request could belong to another user by then."""
        if self._over:
            self._drop()
            raise SessionLost(f"the connection to {self._endpoint.url} was closed")

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()


def _request(to: Target, authorization: str | None, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"POST {to.path} HTTP/1.1",
        f"Host: {to.authority}",
        "User-Agent: innovaphone-mqtt",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {len(body)}",
    ]
    if authorization is not None:
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _refusal(response: Response, endpoint: Endpoint) -> LinkError:
    status, place = response.status, endpoint.url
    if status == _FORBIDDEN:
        return Rejected(f"{place} denies access to '{endpoint.username}'", answered=True)
    if status == _NOT_FOUND:
        return Rejected(f"there is no PBX at {place}: check url and dynamic_pbx", answered=True)
    if status in _REDIRECTS:
        return ProtocolError(f"{place} answered with a redirect, and redirects are not followed")
    if status == _OK:
        return ProtocolError(f"{place} sent an empty answer")
    return Unreachable(f"{place} answers HTTP {status}", answered=True)
