"""HTTPS towards a PBX: by CA, by pin, or unverified when that is said; each refusal is one clear sentence."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bridge.build import Builder
from bridge.check import check
from bridge.config.schema import Config
from bridge.errors import LinkError, Rejected
from bridge.link.survey import Survey, survey
from bridge.net.tls import TlsSettings, checks, context
from bridge.pbx.client import Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.soap import Soap
from bridge.sim.pbx import SimPbx
from tests.kit.raw_http import answer, listening, raw_http
from tests.running import FAST, STAFF

SOAP = Soap()
PBX = {"name": "hq", "username": "admin", "password": "canary-1", "session_user": "API"}


@dataclass(frozen=True, slots=True)
class Secured:
    """A simulated PBX over HTTPS, its CA, and the digest of its certificate."""

    sim: SimPbx
    ca_file: str
    sha256: str


async def secured(folder: Path, name: str = "127.0.0.1") -> AsyncIterator[Secured]:
    """A PBX whose certificate is for a name."""
    ca = trustme.CA()
    certificate = ca.issue_cert(name)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(server)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    async with SimPbx(STAFF, replace(FAST, tls=server)) as sim:
        yield Secured(sim, str(folder / "ca.pem"), hashlib.sha256(der).hexdigest())


@pytest.fixture
async def pbx_over_https(tmp_path: Path) -> AsyncIterator[Secured]:
    """A PBX with a good certificate of a CA that nobody knows."""
    async for running in secured(tmp_path):
        yield running


@pytest.fixture
async def misnamed(tmp_path: Path) -> AsyncIterator[Secured]:
    """A PBX with a certificate for somebody else."""
    async for running in secured(tmp_path, "elsewhere.example"):
        yield running


async def firmware(pbx: Secured, tls: TlsSettings) -> str:
    """Log in and ask for the version."""
    endpoint = Endpoint(pbx.sim.soap_url, "admin", "secret", "digest", context(tls))
    async with Client(SOAP, endpoint, poll_s=5, request_s=5) as client:
        return (await client.version()).firmware


async def refusal(pbx: Secured, tls: TlsSettings) -> LinkError:
    """The error of an attempt; nothing of ours, no password above all, was sent before it."""
    with pytest.raises(LinkError) as error:
        await firmware(pbx, tls)
    assert pbx.sim.log == []
    assert "secret" not in error.value.reason
    return error.value


async def test_a_known_ca_is_trusted(pbx_over_https: Secured) -> None:
    """By the CA file of the configuration."""
    assert await firmware(pbx_over_https, TlsSettings(ca_file=pbx_over_https.ca_file)) == "14r2 simulated"


async def test_an_unknown_ca_is_for_a_human(pbx_over_https: Secured) -> None:
    """The usual case of a box as it comes from the factory."""
    error = await refusal(pbx_over_https, TlsSettings())

    assert isinstance(error, Rejected)
    assert "is not trusted: " in error.reason


async def test_a_wrong_name_is_for_a_human(misnamed: Secured) -> None:
    """The CA is right, the name is not."""
    error = await refusal(misnamed, TlsSettings(ca_file=misnamed.ca_file))

    assert isinstance(error, Rejected)
    assert "127.0.0.1" in error.reason


async def test_a_pin_needs_neither_ca_nor_name(misnamed: Secured) -> None:
    """The certificate itself is known."""
    assert await firmware(misnamed, TlsSettings(sha256=misnamed.sha256)) == "14r2 simulated"


async def test_a_wrong_pin_tells_the_digest_it_found(pbx_over_https: Secured) -> None:
    """So that a human can compare and, if it is the PBX, copy it."""
    error = await refusal(pbx_over_https, TlsSettings(sha256="00" * 32))

    assert isinstance(error, Rejected)
    assert pbx_over_https.sha256 in error.reason


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere.example"])
async def test_a_refused_certificate_is_named_to_be_pinned(tmp_path: Path, name: str) -> None:
    """By the digest that a person can compare at the PBX; with it as the pin the PBX is trusted."""
    async for pbx in secured(tmp_path, name):
        error = await refusal(pbx, TlsSettings(ca_file=pbx.ca_file if name != "127.0.0.1" else None))
        found = re.search(
            r"Its SHA-256 is ([0-9A-F:]{95}): compare it at the PBX, then set tls", error.reason
        )

        assert found is not None
        assert found[1].replace(":", "").lower() == pbx.sha256
        assert await firmware(pbx, TlsSettings(sha256=pbx.sha256)) == "14r2 simulated"


async def test_unverified_works_when_it_is_said(pbx_over_https: Secured) -> None:
    """verify: false."""
    assert await firmware(pbx_over_https, TlsSettings(verify=False)) == "14r2 simulated"


SPELLINGS = ["https", "HTTPS", "Https", "httpS"]
BASIC = 'WWW-Authenticate: Basic realm="x"'
TRUST: dict[str, dict[str, object]] = {
    "pin": {"sha256": "ab" * 32},
    "ca": {"ca_file": "ca.pem"},
    "system": {},
}


@pytest.mark.parametrize("scheme", SPELLINGS)
@pytest.mark.parametrize("trust", TRUST)
async def test_an_impostor_gets_nothing(tmp_path: Path, scheme: str, trust: str) -> None:
    """However the scheme is written: not one byte of HTTP, least of all a password; the check says no."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    heard: list[bytes] = []
    asks = answer(b"", "401 Unauthorized", BASIC)

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(asks)
        heard.append(await reader.read(4096))

    async with raw_http(asks, tls=server) as impostor, listening(plain) as port:
        pbxs = [
            {**PBX, "name": f"{auth}-{at}", "urls": [f"{scheme}://127.0.0.1:{at}"] * 2, "auth": auth}
            for auth in ("digest", "basic")
            for at in (impostor.port, port)
        ]
        settings = {
            "mqtt": {"url": "mqtt://127.0.0.1:1"},
            "pbxs": [{**pbx, "tls": TRUST[trust]} for pbx in pbxs],
        }
        config = Config.model_validate(settings, context={"folder": tmp_path})
        builder = Builder(config, SOAP)
        for pbx in config.pbxs:
            async with builder.backend(pbx).sessions()(1) as opened:
                with pytest.raises(LinkError):
                    await survey(opened, 1, Survey.listed, within_s=5)
        checked = [line for line in await check(config) if ": PBX: " in line[1]]
    assert [word for word, _ in checked] == ["FAIL"] * 4
    assert all("canary-1" not in sentence for _, sentence in checked)
    assert impostor.requests == []
    assert heard
    assert all(b"HTTP" not in data for data in heard)


@pytest.mark.parametrize("scheme", SPELLINGS)
async def test_https_without_settings_goes_nowhere(scheme: str) -> None:
    """Whoever forgets the TLS settings in code gets a refusal, not an open connection."""
    async with raw_http(answer()) as server:
        endpoint = Endpoint(server.url.replace("http", scheme), "admin", "canary-1", "basic")
        async with Client(SOAP, endpoint, poll_s=5, request_s=5) as client:
            with pytest.raises(Rejected, match="no TLS settings are given"):
                await client.version()

    assert server.connections == 0


@pytest.mark.parametrize("scheme", ["mqtts", "MQTTS", "mqttS", "WSS", "wSs"])
def test_the_broker_is_encrypted_in_each_spelling(scheme: str) -> None:
    """With a context that checks certificates."""
    settings = {"mqtt": {"url": f"{scheme}://127.0.0.1"}, "pbxs": [{**PBX, "url": "http://127.0.0.1"}]}
    config = Config.model_validate(settings)
    tls = Builder(config, SOAP).brokers(config.pbxs[0])[0].tls

    assert tls is not None
    assert tls.check_hostname
    assert tls.verify_mode is ssl.CERT_REQUIRED


def old_fashioned_ca(folder: Path) -> ssl.SSLContext:
    """A private CA as openssl makes it without extensions, in ca.pem; a server with a certificate of it."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    ca = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old CA")])
    host = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = []
    for subject, key, extension in (
        (ca, keys[0], x509.BasicConstraints(ca=True, path_length=None)),
        (host, keys[1], names),
    ):
        draft = x509.CertificateBuilder(ca, subject, key.public_key(), x509.random_serial_number())
        draft = draft.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        signed = draft.add_extension(extension, critical=True).sign(keys[0], hashes.SHA256())
        made.append(signed.public_bytes(serialization.Encoding.PEM))
    secret = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(made[0])
    (folder / "server.pem").write_bytes(made[1] + secret)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server


async def test_a_ca_without_key_identifier(tmp_path: Path) -> None:
    """Refused by default since Python 3.13; a CA file that somebody names is taken at its word."""
    async with SimPbx(STAFF, replace(FAST, tls=old_fashioned_ca(tmp_path))) as sim:
        pbx = Secured(sim, str(tmp_path / "ca.pem"), "")
        assert "is not trusted" in (await refusal(pbx, TlsSettings())).reason
        assert await firmware(pbx, TlsSettings(ca_file=pbx.ca_file)) == "14r2 simulated"


async def test_an_intermediate_ca_is_enough(tmp_path: Path) -> None:
    """With every Python; by default this holds since 3.13 only."""
    ca, server = trustme.CA().create_child_ca(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with SimPbx(STAFF, replace(FAST, tls=server)) as sim:
        pbx = Secured(sim, str(tmp_path / "ca.pem"), "")
        assert await firmware(pbx, TlsSettings(ca_file=pbx.ca_file)) == "14r2 simulated"


@pytest.mark.parametrize("tls", [{"ca_file": "ca.pem"}, {}, {"verify": False}, {"sha256": "ab" * 32}])
def test_one_helper_for_pbx_and_broker(tmp_path: Path, tls: dict[str, object]) -> None:
    """Strict where the system's CAs are used, not strict where a CA file is given; verified all the same."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = {
        "mqtt": {"url": "mqtts://127.0.0.1", "tls": tls},
        "pbxs": [{**PBX, "url": "https://127.0.0.1", "tls": tls}],
    }
    config = Config.model_validate(settings, context={"folder": tmp_path})
    made = Builder(config, SOAP).brokers(config.pbxs[0])[0].tls
    assert made is not None
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2
    by_ca = tls in ({}, {"ca_file": "ca.pem"})
    assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED if by_ca else ssl.CERT_NONE, by_ca)
    assert checks(made) == (tls != {"verify": False})
    if tls == {"ca_file": "ca.pem"}:
        assert not made.verify_flags & ssl.VERIFY_X509_STRICT
    if not tls:
        assert made.verify_flags == ssl.create_default_context().verify_flags


def test_old_tls_is_refused() -> None:
    """TLS 1.2 at least."""
    assert context(TlsSettings()).minimum_version is ssl.TLSVersion.TLSv1_2
    assert context(TlsSettings(sha256="00" * 32)).minimum_version is ssl.TLSVersion.TLSv1_2
