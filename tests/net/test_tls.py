"""TLS that must not be trusted, towards PBX and broker: one clear line each; a renewed one is taken."""

import asyncio
import contextlib
import hashlib
import json
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from bridge.build import Builder
from bridge.check import check
from bridge.config.schema import Config
from bridge.core.message import Message
from bridge.errors import LinkError, Rejected, Unreachable
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, STAFF, Program, configuration, pbx_section

LONG_AGO = datetime.now(UTC) - timedelta(days=30)
WORDS = {
    "expired": "certificate has expired",
    "wrong-host": "certificate is not valid for",
    "unknown-ca": "unable to get local issuer certificate",
}
OLD = "protocol version"


@dataclass(frozen=True, slots=True)
class Ca:
    """An authority that we trust, and one that we do not."""

    trusted: trustme.CA
    stranger: trustme.CA
    file: Path

    def server(self, trouble: str) -> ssl.SSLContext:
        """The context of a server that has one kind of trouble, or none."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer = self.stranger if trouble == "unknown-ca" else self.trusted
        name = "elsewhere.example" if trouble == "wrong-host" else "127.0.0.1"
        until = LONG_AGO if trouble == "expired" else None
        issuer.issue_cert(name, not_after=until).configure_cert(made)
        return made

    def old(self) -> ssl.SSLContext:
        """The context of a server that knows TLS 1.0 only."""
        made = self.server("")
        made.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
            made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1
        return made


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    """Two authorities; the file holds the one that is trusted."""
    made = Ca(trustme.CA(), trustme.CA(), tmp_path / "ca.pem")
    made.trusted.cert_pem.write_to_path(made.file)
    return made


@contextmanager
def served(tls: ssl.SSLContext) -> Iterator[tuple[int, list[bytes]]]:
    """A server in a thread, which sends its TLS alerts as servers do: its port, and what it was told."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    with (
                        contextlib.suppress(OSError),
                        accepted,
                        tls.wrap_socket(accepted, server_side=True) as peer,
                    ):
                        heard.append(peer.recv(1))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(("trouble", "words"), [*WORDS.items(), ("old-tls", OLD)])
async def test_a_broker_that_must_not_be_trusted(ca: Ca, trouble: str, words: str) -> None:
    """Refused before a byte of ours is sent, in one sentence; a human must act."""
    tls = ssl.create_default_context(cafile=str(ca.file))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    server = ca.old() if trouble == "old-tls" else ca.server(trouble)
    with served(server) as (port, heard), pytest.raises(Rejected) as refused:
        async with connect(BrokerSettings("127.0.0.1", port, "c", tls=tls), Message("t", "offline")):
            pass
    assert words in refused.value.reason.lower().replace("_", " ")
    assert "\n" not in refused.value.reason
    assert b"\x10" not in heard


def pinned(port: int, scheme: str, **tls: object) -> Config:
    """A configuration with a broker of that port, whose certificate is known by a digest."""
    mqtt = {"url": f"{scheme}://127.0.0.1:{port}", "username": "bridge", "password": "canary-1", "tls": tls}
    pbx = {"name": "hq", "url": "http://127.0.0.1:1", "username": "u", "password": "p", "session_user": "API"}
    return Config.model_validate({"mqtt": {**mqtt, "connect_timeout_s": 1, "protocol": "5"}, "pbxs": [pbx]})


def digest(certificate: trustme.LeafCert) -> str:
    """As `openssl x509 -fingerprint -sha256` prints it."""
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    return hashlib.sha256(der).digest().hex(":").upper()


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
@pytest.mark.parametrize("impostor", [False, True])
async def test_a_pinned_broker_hears_nothing_before_its_certificate_is_compared(
    ca: Ca, scheme: str, *, impostor: bool
) -> None:
    """An impostor, even one whose certificate a trusted CA has issued, gets no CONNECT and no HTTP."""
    broker = ca.trusted.issue_cert("127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (ca.trusted.issue_cert("127.0.0.1") if impostor else broker).configure_cert(tls)
    with served(tls) as (port, heard):
        config = pinned(port, scheme, sha256=digest(broker))
        settings = Builder(config).brokers(config.pbxs[0])[0]
        with pytest.raises(LinkError) as refused:
            async with connect(settings, Message("t", "offline")):
                pass
        first = {"mqtts": b"\x10", "wss": b"G"}[scheme]
        if impostor:
            assert isinstance(refused.value, Rejected)
            assert "is not trusted: its certificate has another SHA-256" in refused.value.reason
        else:
            await eventually(lambda: heard[:1] == [first], "the broker itself hears the bridge")
    assert (first in heard) is not impostor
    assert set(heard) <= {b"", first}
    assert "canary-1" not in refused.value.reason


@asynccontextmanager
async def encrypted(inner: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """TLS in front of a port of this machine: the port of it."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", inner)
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.broker
@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
async def test_a_self_signed_broker_is_named_and_then_pinned(ca: Ca, tmp_path: Path, scheme: str) -> None:
    """`check --connect` names the digest; with it the broker works, whatever name and CA it has."""
    certificate = ca.stranger.issue_cert("elsewhere.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(tls)
    broker = Mosquitto(tmp_path)
    inner = broker.add_websocket() if scheme == "wss" else broker.port
    async with broker, encrypted(inner, tls) as port:

        async def checked(**keys: object) -> tuple[bool, str]:
            word, sentence = (await check(pinned(port, scheme, **keys)))[1]
            return word == "ok", sentence

        good, sentence = await checked()
        assert not good
        assert (
            f"Its SHA-256 is {digest(certificate)}: compare it at the broker, then set mqtt.tls" in sentence
        )
        good, sentence = await checked(sha256="00" * 32)
        assert not good
        assert digest(certificate).replace(":", "").lower() in sentence
        good, sentence = await checked(sha256=digest(certificate))
        assert good, sentence


async def test_a_broker_that_hangs_up_instead(ca: Ca) -> None:
    """Some say nothing at all: then it is said where it ended."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        tls = ssl.create_default_context(cafile=str(ca.file))
        with pytest.raises(Unreachable, match=r"before TLS was set up|Connection reset"):
            async with connect(BrokerSettings("127.0.0.1", port, "c", tls=tls), Message("t", "offline")):
                pass


@asynccontextmanager
async def troubled(ca: Ca) -> AsyncIterator[dict[str, SimPbx]]:
    """PBXs, each with one kind of trouble, and one that is good."""
    async with AsyncExitStack() as stack:
        yield {
            trouble: await stack.enter_async_context(SimPbx(STAFF, replace(FAST, tls=ca.server(trouble))))
            for trouble in (*WORDS, "wrong-pin", "good")
        }


@pytest.mark.slow
@pytest.mark.broker
async def test_pbxs_that_must_not_be_trusted(
    broker: Mosquitto, bus: Observer, ca: Ca, tmp_path: Path
) -> None:
    """One process: each says its reason in one log line, and no password goes out."""
    async with troubled(ca) as pbxs, AsyncExitStack() as stack:
        sections = [
            pbx_section(pbx, name=name, password="canary-1", tls={"ca_file": str(ca.file)})
            for name, pbx in pbxs.items()
        ]
        sections[3]["tls"] = {"sha256": "ab" * 32}
        sections[4]["password"] = "secret"
        port = stack.enter_context(served(ca.old()))[0]
        sections.append({**sections[0], "name": "old-tls", "url": f"https://127.0.0.1:{port}"})
        program = Program(tmp_path, configuration(broker.port, *sections))
        await program.start()
        names = [str(section["name"]) for section in sections]
        wanted = {name: "online" if name == "good" else "rejected" for name in names}

        def links() -> dict[str, str | None]:
            return {name: (bus.now(f"innovaphone/{name}/info") or {}).get("link") for name in names}

        await eventually(lambda: links() == wanted, f"{wanted}")
        _, log = await program.end(signal.SIGTERM)
        lines = [json.loads(line) for line in log.splitlines()]
        down = [line for line in lines if line["event"] == "pbx down" and line["level"] == "warning"]
        told = {line["pbx"]: line["reason"] for line in down}
    assert sorted(line["pbx"] for line in down) == sorted({*WORDS, "wrong-pin", "old-tls"})
    for name, words in (*WORDS.items(), ("old-tls", OLD)):
        assert words in told[name].lower().replace("_", " ")
    assert "another SHA-256" in told["wrong-pin"]
    assert "canary-1" not in log
    assert all(not pbx.log for name, pbx in pbxs.items() if name != "good")


@pytest.mark.slow
@pytest.mark.broker
async def test_a_renewed_certificate_is_taken_at_sighup(
    broker: Mosquitto, bus: Observer, ca: Ca, tmp_path: Path
) -> None:
    """The PBX gets a certificate of another authority; its file changes in place; SIGHUP mends the link."""
    section: dict[str, object]
    async with SimPbx(STAFF, replace(FAST, tls=ca.server("unknown-ca"))) as pbx:
        section = pbx_section(pbx, tls={"ca_file": str(ca.file)})
        program = Program(tmp_path, configuration(broker.port, section))
        process = await program.start()
        info = "innovaphone/hq/info"
        await eventually(lambda: (bus.now(info) or {}).get("link") == "rejected", "it is not trusted")
        ca.stranger.cert_pem.write_to_path(ca.file)
        process.send_signal(signal.SIGHUP)
        await eventually(lambda: bus.now(info)["link"] == "online", "the new authority is trusted")
        await program.end(signal.SIGTERM)
