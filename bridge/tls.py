"""TLS as a client, the same towards PBX and broker. Opens no connection."""

import ssl


def client_context(*, ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """A client context, TLS 1.2 at least. Making one costs tens of ms: share it. Raises OSError."""
    made = ssl.create_default_context(cafile=ca_file)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        # Python 3.13 began to refuse CAs without an authority key identifier. A CA that somebody names in
        # the configuration is trusted by that decision; most private ones were made without the extension.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
