"""When the certificates of PBXs and broker end, seen from outside: a TLS handshake that says nothing more.

Trust is not judged here: links do that. This only warns in time.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from bridge.config.schema import Config, Pbx

FIRST_S, AGAIN_S = 10.0, 3600.0
HANDSHAKE_S = 5.0
_HTTPS = 443
_UTC_TIME, _VERSION = 0x17, 0xA0
_LONG = 0x80
_CENTURY = 50  # two digits of a year below it are of this century (RFC 5280 4.1.2.5.1)
Address = tuple[str, int]
Told = Callable[[str, str, float | None], None]


async def watch(chosen: Callable[[], tuple[Config, Sequence[Pbx]]], told: Told) -> None:
    """Look at all certificates now and then. `told` gets PBX ("" for the broker), side and Unix time."""
    await asyncio.sleep(FIRST_S)
    while True:
        config, pbxs = chosen()
        told("", "mqtt", await _soonest([config.mqtt.address] if config.mqtt.encrypted else []))
        for pbx in pbxs:
            end = await _soonest([*_addresses(pbx)])
            if any(pbx.name == one.name for one in chosen()[1]):  # else a reload has removed it meanwhile
                told(pbx.name, "pbx", end)
        await asyncio.sleep(AGAIN_S)


def ends_at(der: bytes) -> float:
    """The end of a certificate's validity as Unix time. Raises ValueError for what is none."""
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
    """Where the content of the element at this place starts and ends (X.690 8.1)."""
    length, start = der[at + 1], at + 2
    if length & _LONG:
        digits = length & ~_LONG
        length, start = int.from_bytes(der[start : start + digits]), start + digits
    return start, start + length


def _addresses(pbx: Pbx) -> Iterator[Address]:
    for parts in map(urlsplit, pbx.endpoints):
        if parts.scheme == "https" and parts.hostname:
            yield parts.hostname, parts.port or _HTTPS


async def _soonest(addresses: Sequence[Address]) -> float | None:
    found = []
    for address in addresses:
        with contextlib.suppress(OSError):  # no thread to spare
            found.append(await asyncio.to_thread(_look, address))
    return min((end for end in found if end is not None), default=None)


def _look(address: Address) -> float | None:
    try:
        pem = ssl.get_server_certificate(address, timeout=HANDSHAKE_S)
        return ends_at(ssl.PEM_cert_to_DER_cert(pem))
    except (OSError, ValueError):
        return None
