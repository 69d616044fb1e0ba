"""TLS towards PBXs: verified by a CA, by a pinned certificate, or not at all when that is configured."""

import hashlib
import ssl
from dataclasses import dataclass

from bridge.tls import client_context


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to recognise the PBX. `sha256`: hex digest of its certificate, instead of a CA."""

    verify: bool = True
    ca_file: str | None = None
    sha256: str | None = None


def context(settings: TlsSettings) -> ssl.SSLContext:
    """A client context; see client_context."""
    pinned = settings.sha256 is not None
    made = client_context(ca_file=settings.ca_file, verify=settings.verify and not pinned)
    if settings.sha256 is not None:
        made.sslobject_class = _pinned(settings.sha256)
    return made


def unverified() -> ssl.SSLContext:
    """For a look at a certificate that was refused. Nothing is ever sent over such a connection."""
    return client_context(ca_file=None, verify=False)


def _pinned(sha256: str) -> type[ssl.SSLObject]:
    """A TLS connection that fails its handshake, before any byte of ours, at another certificate."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert(binary_form=True) or b""
            found = hashlib.sha256(certificate).hexdigest()
            if found != sha256:
                raise ssl.SSLCertVerificationError(f"its certificate has another SHA-256: {found}")

    return Pinned
