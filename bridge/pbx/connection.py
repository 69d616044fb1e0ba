"""One TCP or TLS connection to a PBX, one request at a time. Never retries, never logs in.

Every failure is raised as a LinkError whose reason is a sentence for the log.
"""

import asyncio
import contextlib
import os
import select
import socket
import ssl
import struct
from typing import Any

from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, Unreachable
from bridge.net.keepalive import options as tcp_options
from bridge.net.tls import named, unverified
from bridge.pbx.endpoint import Target
from bridge.pbx.response import BrokenResponseError, RefusedResponseError, Response, ResponseReader

CONNECT_S, HANDSHAKE_S, SOON_S = 5.0, 5.0, 2.0
_AT_ONCE = struct.pack("ii", 1, 0)
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)
"""OpenSSL's reasons when the other side answers in plain text; the version of OpenSSL decides which."""
_MAYBE_HTTP = "is it http://, which anyone on the path can read and change?"
_ALERT = b"\x15\x03"
"""The first bytes of a TLS alert, the answer of a TLS server to plain HTTP."""


async def connect(target: Target, place: str) -> "Connection":
    """Open a connection; the certificate is checked before any data is sent. Raises LinkError."""
    loop = asyncio.get_running_loop()
    sock = await _tcp(target, place)
    try:
        _, connection = await loop.create_connection(
            lambda: Connection(place),
            sock=sock,
            ssl=target.tls,
            server_hostname=target.host.removesuffix(".") if target.tls else None,
            ssl_handshake_timeout=HANDSHAKE_S if target.tls else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise await _untrusted(error, target, place) from None
    except (OSError, ValueError) as error:
        if target.tls is None:
            raise Unreachable(f"{place} cannot be reached: {why(error)}") from None
        raise _no_tls(error, place) from None
    return connection


class Connection(asyncio.Protocol):
    """An open connection. After an error or a cancellation the caller must `abort` it."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._transport: asyncio.Transport | None = None
        self._reader: ResponseReader | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._waiting = select.poll()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._silent = self._maybe_tls = True
        self._opened_s = asyncio.get_running_loop().time()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def reusable(self) -> bool:
        """Whether the connection is open and has received nothing unexpected since the last response.

        A request that is sent into a closing connection cannot be repeated: the PBX may have executed it.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._gone.done():
            return False
        # Ask the kernel as well: it may know of the end of the connection before the event loop does.
        return not self._waiting.poll(0)

    async def exchange(self, request: bytes, due_s: float) -> Response:
        """Send one request and wait for its response. Raises SessionLost, ProtocolError or TimeoutError.

        `due_s`: the time of the loop at which it is late.
        """
        transport = self._transport
        if transport is None or self._gone.done():
            raise SessionLost(f"the connection to {self._place} broke: closed")
        self._reader = ResponseReader()
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._limit(due_s)
        transport.write(request)
        try:
            return await answer
        except BaseException:
            self._revoke(transport)
            raise
        finally:
            if answer.done() and not answer.cancelled():
                # Mark the error as retrieved: if this task was cancelled in the same turn of the loop,
                # nothing else does, and asyncio would report the error as a bug.
                answer.exception()
            self._reader = self._answer = None

    def _limit(self, due_s: float) -> None:
        """Let `_look` run when a request is late. It outlives requests: a timer for each is dear."""
        self._due_s = due_s
        if self._timer is None or self._timer.when() > due_s:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(due_s, self._look)

    def _look(self) -> None:
        """Fail the request that is under way if it is late, else look again when it would be."""
        self._timer = None
        if self._answer is None or self._answer.done():
            return
        if asyncio.get_running_loop().time() < self._due_s:
            self._limit(self._due_s)
        else:
            self._answer.set_exception(TimeoutError())

    def _revoke(self, transport: asyncio.Transport) -> None:
        """Make `abort` send a RST, so that the kernel discards the unsent rest of a request.

        Otherwise TCP keeps retransmitting after `abort`, and the PBX may execute a command that has expired.
        """
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    def abort(self) -> None:
        """Close without a TLS goodbye and without waiting; see `closed`."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._gone)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established, with TLS if configured (asyncio.Protocol)."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._maybe_tls = transport.get_extra_info("ssl_object") is None

    def data_received(self, data: bytes) -> None:
        """Take received bytes (asyncio.Protocol); unsolicited ones end the connection."""
        if self._reader is None or self._answer is None or self._answer.done():
            self.abort()
            return
        if self._silent:
            self._silent, self._maybe_tls = False, self._maybe_tls and data.startswith(_ALERT)
        try:
            self._reader.feed(data)
        except RefusedResponseError as error:
            self._fail(ProtocolError(f"the answer of {self._place} {error}, which is refused"))
        except BrokenResponseError as error:
            self._fail(self._broke(str(error)))
        else:
            if self._reader.response is not None:
                self._answer.set_result(self._reader.response)

    def eof_received(self) -> None:
        """The PBX has closed its side (asyncio.Protocol); the transport then closes ours."""
        self._ended("closed")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed (asyncio.Protocol)."""
        self._ended(why(exc) if exc is not None else "closed")
        if self._timer is not None:
            self._timer.cancel()
        self._gone.set_result(None)

    def _ended(self, reason: str) -> None:
        if self._reader is None or self._answer is None or self._answer.done():
            return
        if reason != "closed":
            self._fail(self._broke(reason))
            return
        try:
            self._reader.end()
        except BrokenResponseError as error:
            self._fail(self._broke(str(error)))
            return
        if self._reader.response is not None:
            self._answer.set_result(self._reader.response)

    def _fail(self, error: LinkError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _broke(self, reason: str) -> SessionLost:
        """The error of a broken connection, with a hint at https where a TLS server may be behind it.

        A TLS server answers plain HTTP with an alert or closes the connection, within moments.
        """
        soon = asyncio.get_running_loop().time() < self._opened_s + SOON_S
        hint = "; is it https://?" if self._maybe_tls and soon else ""
        return SessionLost(f"the connection to {self._place} broke: {reason}{hint}")


async def _tcp(target: Target, place: str) -> socket.socket:
    """A connected socket. All addresses of a name share the timeout, so that a dead one cannot use it up."""
    problem = f"no connection within {CONNECT_S:g} s"
    try:
        async with asyncio.timeout(CONNECT_S):
            found = await _addresses(target)
            for family, kind, protocol, _, address in found:
                try:
                    async with asyncio.timeout(CONNECT_S / len(found)):
                        return await _tcp_to(family, kind, protocol, address)
                except TimeoutError:
                    continue
                except OSError as error:
                    problem = why(error)
    except TimeoutError:
        pass
    except (OSError, ValueError, RuntimeError) as error:
        problem = why(error)
    raise Unreachable(f"{place} cannot be reached: {problem}")


async def _addresses(target: Target) -> list[Any]:
    """Resolve a host name. A literal address must not wait for a thread: all may hang in a name server."""
    try:
        return socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)


async def _tcp_to(
    family: int, kind: int, protocol: int, address: tuple[str | int | bytes, ...]
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        for option in tcp_options():
            sock.setsockopt(*option)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _no_tls(error: OSError | ValueError, place: str) -> LinkError:
    """The error of a failed TLS handshake. A mismatch needs a human; a closed connection may heal."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        if error.reason in _NOT_TLS:
            return Rejected(f"{place} does not speak TLS on this port; {_MAYBE_HTTP}")
        return Rejected(f"{place} offers no acceptable TLS: {error.reason or error}")
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return Unreachable(
            f"{place} did not answer the TLS handshake within {HANDSHAKE_S:g} s; {_MAYBE_HTTP}"
        )
    if isinstance(error, OSError):
        return Unreachable(f"{place} cannot be reached: it ended the TLS handshake; {_MAYBE_HTTP}")
    return Rejected(f"{place} cannot be used with TLS: its name is not valid")


async def _untrusted(error: ssl.SSLCertVerificationError, target: Target, place: str) -> Rejected:
    """The error of an untrusted certificate, with its SHA-256 for a human to compare and pin."""
    reason = getattr(error, "verify_message", "") or str(error.args[-1])
    if getattr(error, "verify_code", 0) == 0:  # the pin check failed, and its reason names the digest
        return Rejected(f"{place} is not trusted: {reason}")
    sha256 = await _sha256_of(target, place)
    advice = f". Its SHA-256 is {sha256}: compare it at the PBX, then set tls.sha256" if sha256 else ""
    return Rejected(f"{place} is not trusted: {reason}{advice}")


async def _sha256_of(target: Target, place: str) -> str:
    """The SHA-256 of the PBX's certificate, read in a second handshake that sends no data; "" on failure."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(LinkError, OSError, ValueError):
        sock = await _tcp(target, place)
        transport, looker = await loop.create_connection(
            lambda: Connection(place),
            sock=sock,
            ssl=unverified(),
            server_hostname=target.host.removesuffix("."),
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        transport.abort()
        await looker.closed()
        return named(certificate)
    return ""


def why(error: BaseException) -> str:
    """The reason of an error, in the operating system's words where it has some."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)[:120]  # its errno is OpenSSL's: strerror would mislead
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:120] or type(error).__name__
