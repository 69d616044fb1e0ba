"""The HTTP server is a side job: no port, no crowd and no bug in a page ends or slows the bridge."""

import asyncio
import http.client
import resource
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from http import HTTPStatus

import pytest
import structlog

from bridge.config.schema import Config
from bridge.ops import connections, pages, web
from bridge.ops.bugs import Bugs
from bridge.ops.connections import AT_ONCE, CROWD, FAILED, LATE, Served, TurnedAway
from bridge.ops.health import Health
from bridge.ops.pages import Pages, Probes, Visitors
from bridge.ops.request import Request
from tests.bus import eventually, free_port

LOOPBACKS = ["127.0.0.1", "::1"]
CLOSE_WITH_RST = struct.pack("ii", 1, 0)


def no_ipv6() -> bool:
    """This system has no loopback of IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return True
    return False


def ignored(_word: str) -> None:
    """Bugs are counted by the fixture of all tests; who is turned away, by the tests of that."""


def some_pages(health: Health | None = None) -> Pages:
    """Pages of a process without links."""
    return Pages(bytes, health or Health())


@asynccontextmanager
async def served(
    host: str,
    port: int,
    answers: Served | None = None,
    turned_away: TurnedAway = ignored,
) -> AsyncIterator[None]:
    """The pages, until the end of the context."""
    answers = answers or some_pages().answer
    task = asyncio.create_task(web.serve("pages", (host, port), answers, Bugs(ignored), turned_away))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def status(host: str, port: int, path: str = "/healthz", **headers: str) -> int:
    """The status of a page; 0 where nobody answers."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with closing(connection):
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


async def answers(host: str, port: int) -> None:
    """Wait until the pages are there."""
    for _ in range(200):
        if await asyncio.to_thread(status, host, port) == 200:
            return
        await asyncio.sleep(0.05)
    pytest.fail("nobody serves the pages")


@pytest.mark.parametrize("listen", ["127.0.0.1:{}", "[::1]:{}", "localhost:{}"])
async def test_every_form_of_address_works(listen: str) -> None:
    """As the configuration takes it."""
    if "::1" in listen and no_ipv6():
        pytest.skip("no IPv6 here")
    port = free_port()
    address = Config.model_fields["http"].annotation(listen=listen.format(port)).address  # type: ignore[misc]
    async with served(*address):
        await answers(address[0], port)


@pytest.mark.parametrize("host", LOOPBACKS)
async def test_a_port_that_is_taken_is_tried_again(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning, and the pages are there when the port is free."""
    if host == "::1" and no_ipv6():
        pytest.skip("no IPv6 here")
    monkeypatch.setattr(web, "AGAIN_S", 0.05)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with structlog.testing.capture_logs() as log, socket.socket(family) as taken:
        taken.bind((host, 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with served(host, port):
            await eventually(lambda: log, "it is said")
            await asyncio.sleep(0.3)
            taken.close()
            await answers(host, port)
    assert [line["event"] for line in log] == ["pages not served", "pages served"]


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.name.invalid"])
async def test_an_address_that_is_not_ours(host: str) -> None:
    """It may come: a warning, no end."""
    with structlog.testing.capture_logs() as log:
        async with served(host, free_port()):
            await eventually(lambda: log, "it is said", within=30)
    assert log[0]["event"] == "pages not served"


@asynccontextmanager
async def crowd(port: int, count: int, first: bytes = b"") -> AsyncIterator[list[socket.socket]]:
    """Connections that say this and nothing more."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    try:
        for each in sockets:
            each.send(first)
        yield sockets
    finally:
        for each in sockets:
            each.close()


def is_open(sock: socket.socket) -> bool:
    """The other end has not closed this connection."""
    sock.settimeout(0)
    try:
        return bool(sock.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def speaks(sock: socket.socket) -> None:
    """Send one more byte, if somebody takes it."""
    try:
        sock.send(b"G")
    except OSError:
        return


async def test_a_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more connections than are allowed, none for longer, no thread for any, and who asks is answered."""
    monkeypatch.setattr(connections, "REQUEST_S", 3.0)  # all must be there before the first is turned away
    turned: list[str] = []
    port = free_port()
    async with served("127.0.0.1", port, turned_away=turned.append):
        await answers("127.0.0.1", port)
        threads = threading.active_count()
        async with crowd(port, 150) as sockets:
            await eventually(lambda: sum(map(is_open, sockets)) == AT_ONCE, "those that may stay")
            assert await asyncio.to_thread(status, "127.0.0.1", port) == 200
            assert threading.active_count() <= threads + 1  # one of `to_thread`
            start = time.monotonic()
            while any(map(is_open, sockets)):
                assert time.monotonic() - start < 10, "slow clients hold their connections"
                for each in sockets:
                    speaks(each)
                await asyncio.sleep(0.1)
        await answers("127.0.0.1", port)
    assert len(turned) == 150
    assert set(turned) == {CROWD, LATE}


async def test_a_neighbour_does_not_keep_others_out() -> None:
    """Who has the most connections loses them: one that waits at another address stays."""
    port, health = free_port(), Health()
    health.beat({}, {})
    async with served("127.0.0.1", port, Probes(health).answer):
        await answers("127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0)) as guest:
            guest.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            async with crowd(port, 150, b"GET /healthz HTTP/1.1\r\nHost: x\r\n") as sockets:
                await eventually(lambda: sum(map(is_open, sockets)) < AT_ONCE, "most are turned away")
                guest.send(b"\r\n")
                guest.settimeout(5)
                assert (await asyncio.to_thread(guest.recv, 100)).startswith(b"HTTP/1.1 200")


async def test_who_does_not_read_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large page is not copied for each of them, and they get so much time and no more."""
    monkeypatch.setattr(connections, "ANSWER_S", 1.0)
    body = b"x" * 20_000_000
    turned: list[str] = []
    large = pages.Answer(FAILED.status, "text/plain", body)
    port = free_port()
    async with served("127.0.0.1", port, lambda _: lambda: large, turned.append):
        await eventually(lambda: not _refused(port), "it is served")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async with crowd(port, AT_ONCE, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"):
            await eventually(lambda: turned.count(LATE) >= AT_ONCE, "their time is over")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2 * len(body) / 1024


async def test_a_large_page_arrives_whole(bugs: list[BaseException]) -> None:
    """However it is cut up on the way, for several readers at once; and nothing goes wrong at the end."""
    body = bytes(range(256)) * 40_000
    large = pages.Answer(HTTPStatus.OK, "text/plain", body)
    port = free_port()

    async def read() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        got = await reader.read()
        writer.close()
        return got.partition(b"\r\n\r\n")[2]

    async with served("127.0.0.1", port, lambda _: lambda: large):
        await eventually(lambda: not _refused(port), "it is served")
        assert await asyncio.gather(*(read() for _ in range(10))) == [body] * 10
    assert bugs == []


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def reset(port: int) -> None:
    """Go away in the middle of a request."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RST)
        client.send(b"GET /metrics HTTP/1.1\r\n")


def reset_before_the_answer(port: int) -> None:
    """Go away when the request is complete."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RST)
        client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")


def half(port: int) -> None:
    """Send half of a request, and close."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.send(b"GET /met")


def garbage(port: int) -> None:
    """Send what is no HTTP."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.send(b"\x16\x03\x01\x00\xff" * 100 + b"\r\n\r\n")


@pytest.mark.parametrize("rude", [reset, reset_before_the_answer, half, garbage])
async def test_rude_clients_print_nothing(
    capfd: pytest.CaptureFixture[str], rude: Callable[[int], None]
) -> None:
    """No trace, no line, no bug."""
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        capfd.readouterr()
        for _ in range(200):
            await asyncio.to_thread(rude, port)
        await answers("127.0.0.1", port)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/" + "x" * 5000, {}),
        ("/status", {"X-Long": "x" * 5000}),
        ("/status", {f"X-{number}": "y" * 100 for number in range(60)}),
    ],
    ids=["path", "header", "headers"],
)
async def test_long_requests_are_refused(path: str, headers: dict[str, str]) -> None:
    """A path, one header, or many headers."""
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        code = await asyncio.to_thread(lambda: status("127.0.0.1", port, path, **headers))
    assert code == 431


async def raw(port: int, request: bytes) -> tuple[bytes, list[bytes]]:
    """The first line and the headers of an answer to some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    first, *headers = (await reader.readuntil(b"\r\n\r\n")).splitlines()
    writer.close()
    return first, headers


@pytest.mark.parametrize(
    ("request_", "status_"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"200 OK"),
        (b"GET /healthz HTTP/1.0\n\n", b"200 OK"),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /healthz\r\n\r\n", b"400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"400 Bad Request"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b:c\r\n\r\n", b"400 Bad Request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400 Bad Request"),
        (b"\r\n\r\n", b"400 Bad Request"),
    ],
)
async def test_what_is_sent_is_judged(request_: bytes, status_: bytes) -> None:
    """One method, one host, HTTP; and the answer says nothing of the program but the page."""
    port = free_port()
    health = Health()
    health.beat({}, {})
    async with served("127.0.0.1", port, some_pages(health).answer):
        await answers("127.0.0.1", port)
        first, headers = await raw(port, request_)
    assert first == b"HTTP/1.1 " + status_
    names = {line.partition(b":")[0] for line in headers if line}
    assert names == {
        *(b"Content-Type", b"Content-Length", b"Allow", b"Cache-Control", b"Connection"),
        *(b"Content-Security-Policy", b"Cross-Origin-Resource-Policy", b"X-Content-Type-Options"),
    }
    assert b"frame-ancestors 'none'" in b"".join(headers)


PEOPLE, EVERYBODY = ("/", "/status", "/config"), ("/metrics", "/healthz", "/readyz")


@pytest.mark.parametrize("path", [*PEOPLE, *EVERYBODY])
@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *((name, True) for name in ("localhost", "LOCALHOST:9642", "127.0.0.1", "[::1]:9642", "192.0.2.1")),
        *((name, True) for name in ("bridge.example", "Bridge.Example.:80")),
        *(
            (name, False)
            for name in ("evil.example", "localhost.evil.example", "x.bridge.example", "", "127.1")
        ),
    ],
)
async def test_a_foreign_name_gets_no_page(path: str, host: str, allowed: bool) -> None:  # noqa: FBT001  (a parameter of the test)
    """A web page that makes its own name lead here reads nothing of an account or a file."""
    port = free_port()
    visitors = Visitors(("bridge.example",))
    async with served("127.0.0.1", port, Pages(bytes, Health(), visitors).answer):
        await answers("127.0.0.1", port)
        code = await asyncio.to_thread(lambda: status("127.0.0.1", port, path, Host=host))
    assert (code != 421) == (allowed or path in EVERYBODY)


def own_address() -> str:
    """An address of this machine that is not loopback; empty without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


@pytest.mark.parametrize("to_all", [False, True])
async def test_pages_for_people_stay_on_the_machine(to_all: bool) -> None:  # noqa: FBT001  (same)
    """Unless they are for all; metrics and health may be read from elsewhere."""
    host = own_address()
    if not host:
        pytest.skip("this machine has no address but loopback")
    port = free_port()
    pages_ = Pages(bytes, Health(), Visitors(all=to_all))
    async with served("0.0.0.0", port, pages_.answer):  # noqa: S104  (to be reached by either address)
        await answers("127.0.0.1", port)
        ask = {
            at: [await asyncio.to_thread(status, at, port, path) for path in PEOPLE]
            for at in (host, "127.0.0.1")
        }
        metrics = await asyncio.to_thread(status, host, port, "/metrics")
    assert ask == {host: [200 if to_all else 403] * 3, "127.0.0.1": [200] * 3}
    assert metrics == 200


@pytest.mark.parametrize(
    "peer", ["::1", "127.9.9.9", "::ffff:127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "", "/x"]
)
def test_loopback_has_several_forms(peer: str) -> None:
    """IPv4 inside of IPv6 too; what is no address is not this machine."""
    refusal = Visitors().refusal(Request("GET", "/", "localhost", peer))
    assert (refusal is None) == ("127" in peer or peer == "::1")


async def test_probes_have_a_door_of_their_own() -> None:
    """On it there are health and readiness, and nothing else."""
    port, health = free_port(), Health()
    health.beat({"hq": True}, {})
    async with served("127.0.0.1", port, Probes(health).answer):
        await answers("127.0.0.1", port)
        codes = [
            await asyncio.to_thread(status, "127.0.0.1", port, path)
            for path in (
                "/healthz",
                "/readyz",
                "/readyz/hq",
                "/readyz?pbx=hq",
                "/metrics",
                "/",
                "/config",
                "/status",
            )
        ]
    assert codes == [200, 200, 200, 200, 404, 404, 404, 404]


async def test_a_page_is_made_once_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time, kept for a while; and health is told while it is being made."""
    made, begun, go_on = [], threading.Event(), threading.Event()

    def slow(_health: Health) -> dict[str, object]:
        made.append(threading.current_thread().name)
        begun.set()
        go_on.wait(10)
        return {}

    monkeypatch.setattr(Health, "as_json", slow)
    monkeypatch.setattr(pages, "KEPT_S", 30.0)
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        asked = [
            asyncio.create_task(asyncio.to_thread(status, "127.0.0.1", port, "/status")) for _ in range(5)
        ]
        await asyncio.to_thread(begun.wait, 10)
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/healthz") == 200
        go_on.set()
        assert await asyncio.gather(*asked) == [200] * 5
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/status") == 200
    assert len(made) == 1


async def test_an_old_page_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was kept for long enough is forgotten."""
    made = []

    def told(_health: Health) -> dict[str, object]:
        made.append(1)
        return {}

    monkeypatch.setattr(Health, "as_json", told)
    monkeypatch.setattr(pages, "KEPT_S", 0.0)
    monkeypatch.setattr(pages, "REST", 0.0)
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        for _ in range(3):
            assert await asyncio.to_thread(status, "127.0.0.1", port, "/status") == 200
    assert len(made) == 3


async def test_a_bug_in_a_page_costs_the_page(
    bugs: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 and a sentence; the others go on."""

    def buggy(_health: Health) -> dict[str, object]:
        raise LookupError("planted")

    def buggier(_probes: Probes) -> None:
        raise LookupError("planted too")

    monkeypatch.setattr(Health, "as_json", buggy)
    monkeypatch.setattr(Probes, "_readyz", buggier)
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/status") == 500
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/readyz") == 500
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/healthz") == 200
    assert len(bugs) == 2
    bugs.clear()


async def test_no_thread_to_spare_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages need two, which they have from the start; a crowd needs none."""
    monkeypatch.setattr(web, "AGAIN_S", 0.05)
    port, start = free_port(), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "web":
            raise RuntimeError("can't start new thread")
        start(thread)

    with structlog.testing.capture_logs() as log, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        async with served("127.0.0.1", port):
            await eventually(lambda: log, "it is said")
            patch.undo()
            await answers("127.0.0.1", port)
    assert [line["event"] for line in log] == ["pages not served", "pages served"]


async def test_pages_come_back_after_a_bug(
    bugs: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the thread that serves them; there is a new one soon."""
    monkeypatch.setattr(web, "LOOK_S", 0.05)
    serve, tried = web.Web._serve, list[int]()

    async def buggy(self: web.Web) -> None:
        tried.append(1)
        if len(tried) == 1:
            raise LookupError("planted")
        await serve(self)

    monkeypatch.setattr(web.Web, "_serve", buggy)
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
    assert [str(bug) for bug in bugs] == ["planted"]
    bugs.clear()


def test_leaving_at_once_holds_nobody() -> None:
    """Whether or not the thread has begun."""
    for _ in range(20):
        with web.Web(
            (socket.AF_INET, ("127.0.0.1", 0)), some_pages().answer, Bugs(ignored), ignored
        ) as running:
            port = running.port
        assert _refused(port)
