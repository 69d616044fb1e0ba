"""Reads when the certificates of PBXs and broker expire, by a TLS handshake on a connection of its own.

It never decides whether a certificate is trusted: the links do that. The dates feed a metric and its alert.
The validity is the only field needed, so the few DER elements before it are skipped by hand: the standard
library decodes a certificate only after it has verified it, and these may be pinned, expired or self-signed.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

FIRST_S, AGAIN_S = 10.0, 3600.0
HANDSHAKE_S = 5.0
_UTC_TIME, _VERSION = 0x17, 0xA0
_LONG = 0x80
_CENTURY = 50  # a two-digit year below 50 means 20xx (RFC 5280, 4.1.2.5.1)
Address = tuple[str, int]
Report = Callable[[str, str, float | None], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The TLS addresses of one side of a link: of a PBX, or of the broker, whose `pbx` is empty."""

    pbx: str
    side: str
    addresses: tuple[Address, ...]


async def watch(targets: Callable[[], Sequence[Target]], report: Report) -> None:
    """Report for each target, every hour, the earliest expiry of its certificates as Unix time.

    None: there is no TLS, or no certificate could be read.
    """
    await asyncio.sleep(FIRST_S)
    while True:
        for target in targets():
            if not target.addresses:
                report(target.pbx, target.side, None)
                continue
            end = await _soonest(target.addresses)
            if target in targets():
                # Otherwise a reload has removed it during the handshake, and its series would stay forever.
                report(target.pbx, target.side, end)
        await asyncio.sleep(AGAIN_S)


def ends_at(der: bytes) -> float:
    """The end of a certificate's validity (notAfter) as Unix time. Raises ValueError if it cannot be read."""
    try:
        start, _ = _inside(der, 0)
        start, _ = _inside(der, start)
        if der[start] == _VERSION:
            start = _inside(der, start)[1]
        for _field in ("serial number", "signature", "issuer"):
            start = _inside(der, start)[1]
        begin, _ = _inside(der, start)
        at = _inside(der, begin)[1]
        text = der[slice(*_inside(der, at))].decode("ascii")
        if der[at] == _UTC_TIME:
            text = ("20" if int(text[:2]) < _CENTURY else "19") + text
    except (IndexError, UnicodeDecodeError):
        raise ValueError("not a certificate") from None
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Start and end of the content of the DER element at this offset (X.690, 8.1)."""
    length, start = der[at + 1], at + 2
    if length & _LONG:
        digits = length & ~_LONG
        length, start = int.from_bytes(der[start : start + digits]), start + digits
    return start, start + length


async def _soonest(addresses: Sequence[Address]) -> float | None:
    found = []
    for address in addresses:
        with contextlib.suppress(OSError):  # no thread can be started now
            found.append(await asyncio.to_thread(_look, address))
    return min((end for end in found if end is not None), default=None)


def _look(address: Address) -> float | None:
    try:
        pem = ssl.get_server_certificate(address, timeout=HANDSHAKE_S)
        return ends_at(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError):
        return None
