"""TLS towards PBXs: verified by a CA, by a pinned certificate, or not at all when that is said aloud."""

import hashlib
import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How to know that it is the PBX. `sha256`: hex digest of its certificate, instead of a CA."""

    verify: bool = True
    ca_file: str | None = None
    sha256: str | None = None


def context(settings: TlsSettings) -> ssl.SSLContext:
    """A client context, TLS 1.2 at least. Making one costs tens of ms: share it among links."""
    made = ssl.create_default_context(cafile=settings.ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.sha256 is not None or not settings.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if settings.sha256 is not None:
        made.sslobject_class = _pinned(settings.sha256)
    return made


def _pinned(sha256: str) -> type[ssl.SSLObject]:
    """A TLS connection that ends its handshake, before any byte of ours, at another certificate."""

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert(binary_form=True) or b""
            found = hashlib.sha256(certificate).hexdigest()
            if found != sha256:
                raise ssl.SSLCertVerificationError(f"its certificate has another SHA-256: {found}")

    return Pinned
