"""One TCP or TLS connection to a PBX that carries one request at a time. Retries nothing, knows no login.

Everything that goes wrong comes out as a LinkError whose reason is a sentence.
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
"""What OpenSSL says of an answer that is plain text; which of them depends on its version."""
_MAYBE_HTTP = "is it http://, which anybody on the way can read and change?"
_ALERT = b"\x15\x03"
"""The first bytes of a TLS alert: what a TLS server says to plain HTTP."""


async def connect(target: Target, place: str) -> "Connection":
    """Open a connection; the certificate is checked before a byte of ours is sent. Raises LinkError."""
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
        self._silent = self._maybe_tls = True
        self._opened_s = asyncio.get_running_loop().time()
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def reusable(self) -> bool:
        """Nothing has arrived that nobody asked for, not even the end of the connection.

        The socket is asked, too: its end may be there before the event loop has seen it. A request that is
        sent all the same could not be repeated, as nobody knows whether it was carried out.
        """
        transport = self._transport
        if transport is None or transport.is_closing() or self._gone.done():
            return False
        waiting = select.poll()
        waiting.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not waiting.poll(0)

    async def exchange(self, request: bytes) -> Response:
        """Send one request and wait for its answer. Raises SessionLost or ProtocolError."""
        transport = self._transport
        if transport is None or self._gone.done():
            raise SessionLost(f"the connection to {self._place} broke: closed")
        self._reader = ResponseReader()
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._answer = answer
        transport.write(request)
        try:
            return await answer
        except BaseException:
            self._revoke(transport)
            raise
        finally:
            if answer.done() and not answer.cancelled():
                answer.exception()  # seen, also by a task that was cancelled in the same turn of the loop
            self._reader = self._answer = None

    def _revoke(self, transport: asyncio.Transport) -> None:
        """Let a RST end the connection: what did not arrive yet of a request is not to be sent again.

        Else TCP would go on with it after `abort`, and a command be carried out long after its time.
        """
        with contextlib.suppress(OSError):
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    def abort(self) -> None:
        """Close at once, without a word; see `closed`."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.shield(self._gone)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP, and TLS if any, are set up (asyncio.Protocol)."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._maybe_tls = transport.get_extra_info("ssl_object") is None

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived (asyncio.Protocol); what nobody asked for ends the connection."""
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
        """The other side has closed (asyncio.Protocol); the transport closes itself."""
        self._ended("closed")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed (asyncio.Protocol)."""
        self._ended(why(exc) if exc is not None else "closed")
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
        """TLS servers answer plain HTTP by an alert, or by closing without a word, but soon."""
        soon = asyncio.get_running_loop().time() < self._opened_s + SOON_S
        hint = "; is it https://?" if self._maybe_tls and soon else ""
        return SessionLost(f"the connection to {self._place} broke: {reason}{hint}")


async def _tcp(target: Target, place: str) -> socket.socket:
    """A connected socket. The addresses of a name share the time, so that a dead one does not use it up."""
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
    """Look a name up. An address needs no thread: they may all be waiting for a silent name server."""
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
    """Why TLS did not come about. A refusal is for a human; a connection that just ended may heal."""
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        if error.reason in _NOT_TLS:
            return Rejected(f"{place} speaks no TLS there; {_MAYBE_HTTP}")
        return Rejected(f"{place} offers no TLS that we take: {error.reason or error}")
    if isinstance(error, ConnectionAbortedError | TimeoutError):
        return Unreachable(
            f"{place} did not answer the TLS handshake within {HANDSHAKE_S:g} s; {_MAYBE_HTTP}"
        )
    if isinstance(error, OSError):
        return Unreachable(f"{place} cannot be reached: it ended the TLS handshake; {_MAYBE_HTTP}")
    return Rejected(f"{place} cannot be used with TLS: its name is not valid")


async def _untrusted(error: ssl.SSLCertVerificationError, target: Target, place: str) -> Rejected:
    """The refusal of a certificate, with the SHA-256 of the certificate that is there, to compare and pin."""
    reason = getattr(error, "verify_message", "") or str(error.args[-1])
    if getattr(error, "verify_code", 0) == 0:  # our pin refused it, and has named the digest
        return Rejected(f"{place} is not trusted: {reason}")
    sha256 = await _sha256_of(target, place)
    advice = f". Its SHA-256 is {sha256}: compare it at the PBX, then set tls.sha256" if sha256 else ""
    return Rejected(f"{place} is not trusted: {reason}{advice}")


async def _sha256_of(target: Target, place: str) -> str:
    """The digest of the certificate there, by another handshake that sends nothing; empty if that fails."""
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
    """The reason of an error, in the operating system's words where there are any."""
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)[:120]  # its number is OpenSSL's, not the operating system's
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)[:120] or type(error).__name__
