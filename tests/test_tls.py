"""TLS that must not be trusted, towards PBX and broker: one clear line each; a renewed one is taken."""

import asyncio
import contextlib
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

from bridge.core.message import Message
from bridge.errors import Rejected, Unreachable
from bridge.mqtt.client import connect
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
        yield listener.getsockname()[1], heard
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
