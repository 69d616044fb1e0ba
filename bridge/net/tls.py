"""TLS contexts for clients, the same for PBX and broker: verified by a CA, by a pin, or not at all.

Opens no connection, except to read the certificate of a server that failed verification.
"""

import hashlib
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to verify the server. `sha256`: fingerprint of its certificate (hex), pinned instead of a CA."""

    verify: bool = True
    ca_file: str | None = None
    sha256: str | None = None


def context(settings: TlsSettings) -> ssl.SSLContext:
    """A client context, TLS 1.2 or newer. Creating one takes tens of ms: share it. Raises OSError."""
    verify = settings.verify and settings.sha256 is None
    reads_cas = verify or settings.ca_file is not None  # loading the system's CAs takes 50 ms
    made = (
        ssl.create_default_context(cafile=settings.ca_file)
        if reads_cas
        else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.ca_file is not None:
        # Python 3.13 changed both defaults: it rejects CAs without an authority key identifier, as many
        # private CAs are, and accepts an intermediate CA as a trust anchor. The configuration names this
        # file, so we trust what is in it, with every Python.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if settings.sha256 is not None:
        _pin(made, settings.sha256)
    return made


def unverified() -> ssl.SSLContext:
    """A context to read a certificate that failed verification. Never send anything over it."""
    return context(TlsSettings(verify=False))


def checks(made: ssl.SSLContext) -> bool:
    """Whether this context verifies the server."""
    return made.verify_mode is not ssl.CERT_NONE or made.sslobject_class is not ssl.SSLObject


def named(certificate: bytes) -> str:
    """The fingerprint of a certificate, in the form that people compare."""
    return hashlib.sha256(certificate).digest().hex(":").upper()


def look(address: tuple[str, int], timeout_s: float) -> str:
    """The fingerprint of the certificate there, by a handshake only; empty if that fails. Blocks."""
    try:
        pem = ssl.get_server_certificate(address, timeout=timeout_s)
        return named(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError):
        return ""


def _pin(made: ssl.SSLContext, sha256: str) -> None:
    """Fail the handshake at any other certificate, before we send data; for asyncio and plain sockets."""

    def compare(connection: ssl.SSLObject | ssl.SSLSocket) -> None:
        found = hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()
        if found != sha256:
            raise ssl.SSLCertVerificationError(f"its certificate has another SHA-256: {found}")

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            compare(self)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  (the standard library's)
            super().do_handshake(block)
            compare(self)

    made.sslobject_class, made.sslsocket_class = PinnedObject, PinnedSocket
