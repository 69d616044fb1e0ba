"""Our HTTP connection against servers that answer rightly, oddly, wrongly or not at all."""

import asyncio
import itertools
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from bridge.errors import CommandError, LinkError, ProtocolError, Rejected, SessionLost, Unreachable
from bridge.pbx.connection import connect
from bridge.pbx.endpoint import Endpoint, target
from bridge.pbx.http import Http
from tests.bus import eventually
from tests.kit.raw_http import RawHttp, answer, listening, raw_http

WITHIN_S = 5.0
DESCRIPTORS = Path("/proc/self/fd")
HEAD = b"HTTP/1.1 200 OK\r\n"


def http(server: RawHttp) -> Http:
    """A client of a server that asks for no password."""
    return Http(Endpoint(server.url, "admin", "secret"))


async def post(client: Http, body: bytes = b"<q/>") -> bytes:
    """One request."""
    return await client.post(body, {"SOAPAction": '"x"'}, WITHIN_S)


GOOD = {
    "length": HEAD + b"Content-Length: 5\r\n\r\n<ok/>",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n<o\r\n3;a=b\r\nk/>\r\n0\r\nTrailer: x\r\n\r\n",
    "until-close": HEAD + b"\r\n<ok/>",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n<ok/>",
    "no-reason": b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n<ok/>",
    "informational": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + answer(),
    "lf-only": b"HTTP/1.1 200 OK\nContent-Length: 5\n\n<ok/>",
    "folded": HEAD + b"X: a\r\n b\r\nContent-Length: 5\r\n\r\n<ok/>",
    "latin-1": HEAD + b"X: \xfc\xff\r\nContent-Length: 5\r\n\r\n<ok/>",
    "identity": HEAD + b"Content-Encoding: identity\r\nContent-Length: 5\r\n\r\n<ok/>",
    "soap-fault": answer(b"<ok/>", "500 Error"),
    "surplus": answer() + b"garbage",
    "second": answer() + answer(b"<never/>"),
    "close": answer(b"<ok/>", "200 OK", "Connection: close"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_forms_of_good_answers(name: str) -> None:
    """The body is the same however it is framed, twice over; no byte of one answer gets into the next."""
    async with raw_http(GOOD[name], close_after=name == "until-close") as server, http(server) as client:
        assert [await post(client) for _ in range(3)] == [b"<ok/>"] * 3

    kept = {"length", "chunked", "no-reason", "lf-only", "folded", "latin-1", "identity", "soap-fault"}
    assert server.connections == (1 if name in {*kept, "informational"} else 3)


BROKEN = {
    "nothing": b"",
    "half-a-head": HEAD + b"Content-Le",
    "half-a-body": HEAD + b"Content-Length: 50\r\n\r\n<ok/>",
    "half-a-chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n<o",
    "informational-only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no-http": b"<html>",
    "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46",
    "two-framings": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n<ok/>",
    "two-lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n<ok/>",
    "signed-length": HEAD + b"Content-Length: +5\r\n\r\n<ok/>",
    "huge-status": b"HTTP/1.1 2000 OK\r\n\r\n",
    "many-headers": HEAD + b"X: y\r\n" * 300 + b"Content-Length: 5\r\n\r\n<ok/>",
    "long-header": HEAD + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 5\r\n\r\n<ok/>",
    "endless-hints": b"HTTP/1.1 103 Hints\r\nX: y\r\n\r\n" * 3000 + answer(),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answers(name: str) -> None:
    """The session is lost, once; the request is not sent again, as it may have been carried out."""
    async with raw_http(BROKEN[name], close_after=True) as server, http(server) as client:
        with pytest.raises(SessionLost, match=r"the connection to http://127.* broke: ") as error:
            await post(client)

    assert len(server.requests) == 1
    assert error.value.reason.isprintable()
    assert ("is it https://?" in error.value.reason) == (name in {"tls-alert", "nothing"})


REFUSED = {
    "compressed": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\n<ok/>",
    "compressed-twice": HEAD + b"Content-Encoding: gzip\r\nContent-Encoding: identity\r\n\r\n",
    "compressed-transfer": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "long": HEAD + b"Content-Length: 99999999\r\n\r\n",
    "chunk-extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 80_000,
    "trailers": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,
    "redirect": answer(b"", "307 Elsewhere", "Location: http://127.0.0.1:1/"),
    "empty": answer(b""),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_answers(name: str) -> None:
    """At once, without waiting for the rest."""
    async with raw_http(REFUSED[name]) as server, http(server) as client:
        with pytest.raises(ProtocolError):
            await post(client)

    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["403 No", "404 No", "408 Late", "502 Bad", "503 Busy", "101 Switching"])
async def test_other_statuses(status: str) -> None:
    """Some are for a human, the others heal."""
    async with raw_http(answer(b"no", status)) as server, http(server) as client:
        with pytest.raises(LinkError) as error:
            await post(client)

    assert error.value.heals == (status[:3] not in {"403", "404"})


async def test_a_connection_that_was_closed_meanwhile() -> None:
    """Nothing is sent into it: whether it was read there could not be known."""
    async with raw_http(answer()) as server, http(server) as client:
        for count in range(1, 5):
            await post(client)
            server.close_connections()
            await eventually(lambda: not server.open, "the server has closed")
            assert (server.connections, len(server.requests)) == (count, count)


async def test_closed_after_the_request_was_read() -> None:
    """It may have been carried out: a call must not be placed twice."""
    async with (
        raw_http(lambda number, _: answer() if number != 2 else None) as server,
        http(server) as client,
    ):
        await post(client)
        with pytest.raises(SessionLost):
            await post(client)
        assert len(server.requests) == 2
        await post(client)


async def test_no_cookie_is_kept() -> None:
    """Nor anything else of an answer."""
    reply = answer(b"<ok/>", "200 OK", "Set-Cookie: a=b", "Set-Cookie: c=d; HttpOnly")
    async with raw_http(reply) as server, http(server) as client:
        await post(client)
        await post(client)

    assert server.requests[0] == server.requests[1]
    assert b"cookie" not in server.requests[1].lower()


async def test_one_request_at_a_time() -> None:
    """The others wait for their turn, and share one connection."""
    async with raw_http(answer()) as server, http(server) as client:
        await asyncio.gather(*(post(client, b"%d" % number) for number in range(20)))

        assert server.connections == 1
        assert [request.rpartition(b"\r\n")[2] for request in server.requests] == [
            b"%d" % n for n in range(20)
        ]


async def test_a_late_request_costs_its_connection() -> None:
    """What its answer would be must not be taken for that of the next one."""
    async with raw_http(lambda number, _: answer() if number != 1 else b"") as server, http(server) as client:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s"):
            await client.post(b"", {}, 0.05)
        await post(client)
        await eventually(lambda: len(server.open) == 1, "the first connection is closed")
        assert server.connections == 2


@pytest.mark.parametrize("sent", [0, 1])
async def test_nothing_is_sent_after_its_time(sent: int) -> None:
    """Asked before each sending, the repetition after a 401 too; the connection stays for the next one."""
    challenge = answer(b"", "401 No", 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"')
    looks = itertools.count()

    def in_time() -> None:
        if next(looks) == sent:
            raise CommandError("expired", "too late")

    async with (
        raw_http(lambda number, _: challenge if number == 1 else answer()) as server,
        http(server) as client,
    ):
        with pytest.raises(CommandError, match="too late"):
            await client.post(b"late", {}, WITHIN_S, in_time)
        assert len(server.requests) == sent
        assert await post(client) == b"<ok/>"
        assert server.connections == 1
        assert sum(b"late" in request for request in server.requests) == sent


async def test_what_is_given_up_is_revoked() -> None:
    """By a RST: what the PBX has not read yet would be carried out late."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            ends.put_nowait(f"FIN after {await reader.read()!r}")
        except ConnectionResetError:
            ends.put_nowait("RST")

    async with (
        listening(silent) as port,
        Http(Endpoint(f"http://127.0.0.1:{port}", "admin", "secret")) as client,
    ):
        with pytest.raises(Unreachable, match="did not answer"):
            await client.post(b"", {}, 0.05)
        assert await asyncio.wait_for(ends.get(), WITHIN_S) == "RST"


async def test_waiting_for_ones_turn_counts() -> None:
    """A request that waits for others is late after its own time; the connection is not its own to close."""
    release = asyncio.Event()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(answer())
        await reader.read()

    async with listening(held) as port:
        url = f"http://127.0.0.1:{port}"
        async with Http(Endpoint(url, "admin", "secret")) as client:
            first = asyncio.create_task(client.post(b"", {}, WITHIN_S))
            await asyncio.sleep(0)
            with pytest.raises(Unreachable, match="did not answer"):
                await client.post(b"", {}, 0.05)
            release.set()
            assert await first == b"<ok/>"


async def test_each_request_has_its_own_limit() -> None:
    """On one connection: the limit of an earlier one ends no later one, and a later one may be shorter."""
    numbers = itertools.count()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            number = next(numbers)
            late_s = 0.2 if number == 1 else 0.0
            if number < 3:
                asyncio.get_running_loop().call_later(late_s, writer.write, answer())

    async with listening(slow) as port, Http(Endpoint(f"http://127.0.0.1:{port}", "a", "b")) as client:
        assert await client.post(b"", {}, 0.1) == b"<ok/>"
        assert await client.post(b"", {}, WITHIN_S) == b"<ok/>"
        assert await client.post(b"", {}, 75) == b"<ok/>"
        with pytest.raises(Unreachable, match=r"within 0\.05 s"):
            await client.post(b"", {}, 0.05)


async def test_nothing_is_sent_after_the_end() -> None:
    """A request that waited for its turn meanwhile would come with handles of a session that is over."""
    release = asyncio.Event()
    asked: list[bytes] = []

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        await release.wait()
        writer.write(answer())
        await reader.read()

    async with listening(held) as port:
        async with Http(Endpoint(f"http://127.0.0.1:{port}", "admin", "secret")) as client:
            first = asyncio.create_task(post(client, b""))
            await eventually(lambda: len(asked) == 1, "the first request is there")
            waiting = asyncio.create_task(post(client, b""))
            await asyncio.sleep(0)
        release.set()
        for request in (first, waiting):
            with pytest.raises(SessionLost):
                await request
        with pytest.raises(SessionLost, match="was closed"):
            await post(client, b"")
        assert len(asked) == 1


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return sum(1 for _ in DESCRIPTORS.iterdir())


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="descriptors are counted in /proc")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cancelled_at_each_step(scheme: str) -> None:
    """Wherever a request is cancelled, nothing leaks, and the next one is carried out."""
    ca = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server_tls)
    tls = ssl.create_default_context()
    ca.configure_trust(tls)
    async with raw_http(answer(), tls=server_tls if scheme == "https" else None) as server:
        endpoint = Endpoint(server.url.replace("http", scheme), "admin", "secret", tls=tls)
        async with Http(endpoint) as client:
            await post(client)
            before = descriptors()
            done = steps = 0
            while done < 2:
                client._drop()
                task = asyncio.create_task(post(client))
                for _ in range(steps):
                    await asyncio.sleep(0)
                done += task.done()
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                assert await post(client) == b"<ok/>"
                steps += 1
            await eventually(lambda: len(server.open) == 1, "one connection is left")
            await eventually(lambda: descriptors() == before, "no descriptor is left behind")
    assert steps > 5


async def test_the_deadline_covers_the_tls_handshake() -> None:
    """A server that takes connections and says nothing."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port:
        url = f"https://127.0.0.1:{port}"
        endpoint = Endpoint(url, "admin", "secret", tls=ssl.create_default_context())
        async with Http(endpoint) as client:
            with pytest.raises(Unreachable, match="did not answer within"):
                await client.post(b"", {}, 0.1)


async def test_http_at_a_port_for_https() -> None:
    """Servers with OpenSSL close without a word; not so one that has answered before."""
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server_tls)
    async with raw_http(answer(), tls=server_tls) as server, http(server) as client:
        with pytest.raises(SessionLost, match=r"broke: closed; is it https://\?"):
            await post(client)
    async with (
        raw_http(lambda number, _: answer() if number == 1 else None) as server,
        http(server) as client,
    ):
        await post(client)
        with pytest.raises(SessionLost, match=r"broke: closed$"):
            await post(client)


async def test_https_at_a_port_for_http() -> None:
    """The sentence has the way out, not OpenSSL's thoughts."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer(b"what?", "400 Bad Request"))
        await reader.read()

    async with listening(plain) as port:
        url = f"https://127.0.0.1:{port}"
        async with Http(Endpoint(url, "a", "secret", tls=ssl.create_default_context())) as client:
            with pytest.raises(
                Rejected, match=r"does not speak TLS on this port; is it http://, which anyone on"
            ):
                await post(client)


async def test_a_server_that_hangs_up_instead_of_tls() -> None:
    """It may be starting: that heals."""

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with listening(mute) as port:
        url = f"https://127.0.0.1:{port}"
        async with Http(Endpoint(url, "a", "secret", tls=ssl.create_default_context())) as client:
            with pytest.raises(Unreachable, match="ended the TLS handshake"):
                await post(client)


async def test_a_server_that_is_silent_after_the_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake has a limit of its own, below that of a Poll."""
    monkeypatch.setattr("bridge.pbx.connection.HANDSHAKE_S", 0.1)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass

    async with listening(silent) as port:
        endpoint = Endpoint(f"https://127.0.0.1:{port}", "a", "secret", tls=ssl.create_default_context())
        async with Http(endpoint) as client:
            with pytest.raises(Unreachable, match=r"the TLS handshake within 0\.1 s; is it http"):
                await client.post(b"", {}, 75)


async def test_a_reset() -> None:
    """In the system's own words."""

    async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reset = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)

    async with listening(resetting) as port, Http(Endpoint(f"http://127.0.0.1:{port}", "a", "b")) as client:
        with pytest.raises(SessionLost, match="broke: Connection reset by peer"):
            await post(client)


async def test_a_connection_that_is_gone_before_it_is_used() -> None:
    """Some servers close at once: the request fails then, not at its deadline."""

    async def closing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Nothing is said."""

    async with listening(closing) as port:
        endpoint = Endpoint(f"http://127.0.0.1:{port}", "a", "b")
        connection = await connect(target(endpoint), endpoint.url)
        await connection.closed()
        assert not connection.reusable
        with pytest.raises(SessionLost, match="broke: closed"):
            await connection.exchange(b"", 0.0)


async def test_each_address_of_a_name_is_tried() -> None:
    """The first one may refuse."""
    async with raw_http(answer()) as server:
        loop = asyncio.get_running_loop()
        there = await loop.getaddrinfo("127.0.0.1", server.port, type=socket.SOCK_STREAM)
        dead = await loop.getaddrinfo("127.0.0.2", server.port, type=socket.SOCK_STREAM)

        async def both(*_: object, **__: object) -> list[object]:
            return [*dead, *there]

        loop.getaddrinfo = both  # type: ignore[method-assign,assignment]
        async with Http(Endpoint(server.url.replace("127.0.0.1", "pbx.example"), "a", "b")) as client:
            assert await post(client) == b"<ok/>"
    assert b"Host: pbx.example:" in server.requests[0]


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("http://127.0.0.1:1", Unreachable, "Connection refused"),
        ("http://no-such-host.invalid", Unreachable, "cannot be reached: "),
        ("http://[::1]:1", Unreachable, "cannot be reached: "),
        ("http://a..b", Rejected, "not a valid name"),
        ("http://\u200bpbx", Rejected, "invisible"),
        ("http://u:secret@pbx", Rejected, "no user name or password here"),
        ("ftp://pbx", Rejected, "expected http:// or https://"),
        ("", Rejected, "expected a URL"),
        ("HTTPS://127.0.0.1:1", Rejected, "needs TLS"),
    ],
)
async def test_addresses_that_lead_nowhere(url: str, kind: type[LinkError], words: str) -> None:
    """Whatever arrives, it is a sentence and no bug; https without TLS settings goes nowhere."""
    async with Http(Endpoint(url, "admin", "secret")) as client:
        with pytest.raises(kind, match=words) as error:
            await post(client)

    assert "secret" not in error.value.reason
