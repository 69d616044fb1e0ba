"""The expiry of certificates: the reader against `cryptography`, and who is reported."""

import asyncio
import contextlib
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.build import Builder
from bridge.config.schema import Config
from bridge.ops import certificates
from bridge.ops.certificates import ends_at
from tests.bus import free_port

VERSION_3 = bytes.fromhex("a003020102")
KEY = ec.generate_private_key(ec.SECP256R1())
BEFORE = datetime(1950, 1, 1)  # noqa: DTZ001  (x509 builders want UTC without a zone)
LAST_SECOND_OF_UTCTIME = datetime(2049, 12, 31, 23, 59, 59)  # noqa: DTZ001
FIRST_SECOND_OF_GENERALIZEDTIME = datetime(2050, 1, 1)  # noqa: DTZ001
NEVER = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001  (RFC 5280, 4.1.2.5: no well-defined end)
ends = st.datetimes(BEFORE, NEVER).map(lambda end: end.replace(microsecond=0))
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=64)


def issued(end: datetime, issuer: list[str], serial: int) -> bytes:
    """A certificate in DER, signed by its own key. More units in the issuer make longer length fields."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in issuer])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), serial, BEFORE, end)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@given(end=ends, issuer=st.lists(names, max_size=9), serial=st.integers(1, 2**159 - 1))
@example(end=LAST_SECOND_OF_UTCTIME, issuer=[], serial=1)
@example(end=FIRST_SECOND_OF_GENERALIZEDTIME, issuer=[], serial=1)
@example(end=NEVER, issuer=["x" * 64] * 9, serial=2**159 - 1)
@settings(max_examples=200, deadline=None)
def test_it_reads_what_cryptography_reads(end: datetime, issuer: list[str], serial: int) -> None:
    """Both ways to write a time, short and long length fields, small and large serial numbers."""
    der = issued(end, issuer, serial)

    assert ends_at(der) == x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()


def test_a_certificate_of_version_1_has_no_version_field() -> None:
    """Old devices have them: the first field is the serial number. The builder makes version 3 only."""
    version_3 = issued(LAST_SECOND_OF_UTCTIME, [], 1)
    signed = x509.load_der_x509_certificate(version_3).tbs_certificate_bytes
    fields = signed[signed.index(VERSION_3) + len(VERSION_3) :]
    der = element(element(fields) + version_3[version_3.index(signed) + len(signed) :])
    certificate = x509.load_der_x509_certificate(der)

    assert certificate.version is x509.Version.v1
    assert ends_at(der) == certificate.not_valid_after_utc.timestamp()


def element(content: bytes) -> bytes:
    """A DER sequence with a length field of two bytes, or one for a short one."""
    long = len(content).to_bytes(2) if len(content) > 0xFF else bytes([len(content)])
    return bytes([0x30, 0x80 | len(long)]) + long + content


@pytest.mark.parametrize("junk", [b"", b"\x30", b"\x30\x82\xff", b"\x30\x84\xff\xff\xff\xff"])
def test_what_is_no_certificate_is_refused(junk: bytes) -> None:
    """Cut within the length of its first element."""
    with pytest.raises(ValueError, match="not a certificate"):
        ends_at(junk)


@given(changes=st.binary(min_size=1, max_size=300))
def test_a_damaged_certificate_raises_nothing_but_value_error(changes: bytes) -> None:
    """Whatever a server sends: cut, and with bytes changed before the cut."""
    der = issued(LAST_SECOND_OF_UTCTIME, ["unit"], 1)
    with contextlib.suppress(ValueError):
        ends_at(bytes(known ^ change for known, change in zip(der, changes, strict=False)))


async def test_a_pbx_that_is_removed_meanwhile_gets_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handshake takes its time; a series that is set after a reload removed the PBX would stay forever."""
    monkeypatch.setattr(certificates, "FIRST_S", 0.0)
    section = {"username": "u", "password": "p", "session_user": "API"}
    pbxs = [{"name": name, "url": f"https://127.0.0.1:{free_port()}", **section} for name in ("gone", "hq")]
    config = Config.model_validate({"mqtt": {"url": "mqtt://127.0.0.1"}, "pbxs": pbxs})
    builder = Builder(config)
    all_targets = builder.certificate_targets(config.pbxs)
    before_reload = iter((all_targets,))  # when the round begins
    reported: asyncio.Queue[tuple[str, str, float | None]] = asyncio.Queue()
    watching = asyncio.create_task(
        certificates.watch(
            lambda: next(before_reload, builder.certificate_targets(config.pbxs[1:])),
            lambda *words: reported.put_nowait(words),
        )
    )
    heard = [await asyncio.wait_for(reported.get(), 10) for _ in range(2)]
    watching.cancel()

    assert heard == [("", "mqtt", None), ("hq", "pbx", None)]


@pytest.mark.parametrize(
    ("mqtt", "urls", "expected"),
    [
        ("mqtt://b", ["http://p"], [("", "mqtt", ()), ("hq", "pbx", ())]),
        ("mqtts://b", ["https://p"], [("", "mqtt", (("b", 8883),)), ("hq", "pbx", (("p", 443),))]),
        (
            "wss://b",
            ["https://p:4443", "https://q"],
            [("", "mqtt", (("b", 443),)), ("hq", "pbx", (("p", 4443), ("q", 443)))],
        ),
    ],
)
def test_the_targets_are_the_tls_addresses(
    mqtt: str, urls: list[str], expected: list[tuple[str, str, tuple[tuple[str, int], ...]]]
) -> None:
    """Addresses without TLS have no certificate; a standby PBX has one of its own."""
    pbx = {"name": "hq", "urls": urls, "username": "u", "password": "p", "session_user": "API"}
    config = Config.model_validate({"mqtt": {"url": mqtt}, "pbxs": [pbx]})
    found = [
        (each.pbx, each.side, each.addresses) for each in Builder(config).certificate_targets(config.pbxs)
    ]

    assert found == expected
