"""One HTTP connection to a PBX: bytes out, bytes in, everything capped. No SOAP here.

No redirect is followed, no proxy or netrc of the environment is used, nothing is retried.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, Unreachable
from bridge.tcp import options as tcp_options

BODY_CAP = 8 * 1024 * 1024
CONNECT_S = 5.0
_OK, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 200, 401, 403, 404, 500
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a PBX is and who we are there. `auth`: digest or basic."""

    url: str
    username: str
    password: str = field(repr=False)
    auth: str = "digest"
    tls: ssl.SSLContext | None = field(default=None, repr=False)


class Http:
    """One kept-alive connection; a context manager."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        transport = httpx.AsyncHTTPTransport(
            verify=endpoint.tls if endpoint.tls is not None else False,
            limits=httpx.Limits(max_connections=1),
            socket_options=tcp_options(),
            trust_env=False,
        )
        self._client = httpx.AsyncClient(
            transport=_Capped(transport),
            auth=_auth(endpoint),
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            headers={"Accept-Encoding": "identity", "User-Agent": "innovaphone-mqtt"},
            trust_env=False,
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, body: bytes, headers: dict[str, str], within_s: float) -> bytes:
        """Send one request and return the answer's body: of a 200, or of a 500 (a SOAP fault is one).

        Raises Unreachable, SessionLost, ProtocolError or Rejected, by what happens next.
        """
        place = self._endpoint.url
        try:
            async with asyncio.timeout(within_s):
                response = await self._client.post(place, content=body, headers=headers)
        except TimeoutError:
            raise Unreachable(f"{place} did not answer within {within_s:g} s") from None
        except httpx.HTTPError as error:
            raise _translated(error, place) from None
        if response.status_code in {_OK, _SERVER_ERROR} and response.content:
            return response.content
        raise _refusal(response, self._endpoint)


class _Capped(httpx.AsyncBaseTransport):
    """Ends every body, that of a 401 too, at the cap; refuses compressed ones."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        stream = response.stream
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            raise httpx.DecodingError("compressed")
        if isinstance(stream, httpx.AsyncByteStream):
            response.stream = _CappedStream(stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CappedStream(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._inner:
            size += len(chunk)
            if size > BODY_CAP:
                raise httpx.DecodingError("too long")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def _auth(endpoint: Endpoint) -> httpx.Auth:
    """Each connection has its own digest state: a request counter must not jump between two."""
    if endpoint.auth == "basic":
        return httpx.BasicAuth(endpoint.username, endpoint.password)
    return httpx.DigestAuth(endpoint.username, endpoint.password)


def _refusal(response: httpx.Response, endpoint: Endpoint) -> LinkError:
    status, place = response.status_code, endpoint.url
    if status == _UNAUTHORISED:
        return Rejected(f"{place} refuses user name or password of '{endpoint.username}'{_offer(response)}")
    if status == _FORBIDDEN:
        return Rejected(f"{place} forbids the access to '{endpoint.username}'")
    if status == _NOT_FOUND:
        return Rejected(f"there is no PBX at {place}: check url and dynamic_pbx")
    if status in _REDIRECTS:
        return ProtocolError(f"{place} redirects elsewhere, which is not followed")
    if status == _OK:
        return ProtocolError(f"{place} sent an empty answer")
    return Unreachable(f"{place} answers HTTP {status}")


def _offer(response: httpx.Response) -> str:
    """A hint where the PBX offers only the other way to authenticate (wire reference 6)."""
    offers = " ".join(response.headers.get_list("WWW-Authenticate")).lower()
    sent = response.request.headers.get("Authorization", "").lower()
    if not sent and "basic" in offers:
        return " (it offers basic only: set auth: basic)"
    if sent.startswith("basic") and "digest" in offers and "basic" not in offers:
        return " (it offers digest only: set auth: digest)"
    return ""


def _translated(error: httpx.HTTPError, place: str) -> LinkError:
    """Our error for a foreign one. TLS that does not come about is for a human; the rest heals."""
    tls = _tls_problem(error)
    if tls:
        return Rejected(f"{place} {tls}")
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        return Unreachable(f"{place} cannot be reached: {_root(error)}")
    if isinstance(error, httpx.DecodingError):
        what = "is compressed" if "compressed" in str(error) else f"is longer than {BODY_CAP >> 20} MiB"
        return ProtocolError(f"the answer of {place} {what}, which is refused")
    return SessionLost(f"the connection to {place} broke: {_root(error)}")


def _tls_problem(error: BaseException | None) -> str:
    """Why TLS did not come about, if that is it; a connection that just ended is no such reason."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"is not trusted: {getattr(error, 'verify_message', '') or error.args[-1]}"
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
            return f"offers no TLS that we take: {error.reason or error}"
        error = error.__cause__ or error.__context__
    return ""


def _root(error: BaseException) -> str:
    """The innermost reason, in the operating system's words where there are any."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:120] or type(error).__name__
