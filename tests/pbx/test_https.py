"""HTTPS towards a PBX: by CA, by pin, or unverified when that is said; each refusal is one clear sentence."""

import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from bridge.errors import LinkError, Rejected
from bridge.pbx.client import Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.soap import Soap
from bridge.pbx.tls import TlsSettings, context
from bridge.sim.pbx import SimPbx
from tests.running import FAST, STAFF


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
    async with Client(Soap(), endpoint, poll_s=5, request_s=5) as client:
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


async def test_unverified_works_when_it_is_said(pbx_over_https: Secured) -> None:
    """verify: false."""
    assert await firmware(pbx_over_https, TlsSettings(verify=False)) == "14r2 simulated"


def test_old_tls_is_refused() -> None:
    """TLS 1.2 at least."""
    assert context(TlsSettings()).minimum_version is ssl.TLSVersion.TLSv1_2
    assert context(TlsSettings(sha256="00" * 32)).minimum_version is ssl.TLSVersion.TLSv1_2
