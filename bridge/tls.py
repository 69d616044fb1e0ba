"""TLS as a client, the same towards PBX and broker. Opens no connection."""

import ssl


def client_context(*, ca_file: str | None, verify: bool) -> ssl.SSLContext:
    """A client context, TLS 1.2 at least. Making one costs tens of ms: share it. Raises OSError."""
    reads_cas = verify or ca_file is not None  # those of the system cost 50 ms
    made = (
        ssl.create_default_context(cafile=ca_file) if reads_cas else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        # Python 3.13 changed both defaults: it refuses CAs without an authority key identifier, as many
        # private ones are, and takes an intermediate CA as an anchor. A CA that the configuration names is
        # trusted by that decision, with every Python.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made
