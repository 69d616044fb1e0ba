"""The HTTP server is a side job: no port, no crowd and no bug in a page ends or slows the bridge."""

import asyncio
import http.client
import socket
import struct
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

import pytest
import structlog
from prometheus_client import CollectorRegistry

from bridge.bugs import Bugs
from bridge.config import Config
from bridge.ops import web
from bridge.ops.health import Health
from bridge.ops.pages import Pages
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


def ignored(_pbx: str) -> None:
    """Bugs are counted by the fixture of all tests."""


@asynccontextmanager
async def served(host: str, port: int, health: Health | None = None) -> AsyncIterator[None]:
    """The pages, until the end of the context."""
    pages = Pages(CollectorRegistry(), health or Health())
    task = asyncio.create_task(web.serve((host, port), pages, Bugs(ignored)))
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
async def crowd(port: int, count: int) -> AsyncIterator[list[socket.socket]]:
    """Connections that say nothing."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


def threads() -> int:
    """Threads that answer requests."""
    return sum("process_request_thread" in each.name for each in threading.enumerate())


async def test_a_crowd_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more threads than are allowed, and none for longer than allowed, however slowly somebody speaks."""
    monkeypatch.setattr(web, "REQUEST_S", 3.0)  # all must be there before the first is turned away
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        async with crowd(port, 150) as sockets:
            await eventually(lambda: threads() == web.AT_ONCE, "as many threads as are allowed")
            start = time.monotonic()
            while threads():
                assert time.monotonic() - start < 10, "threads wait for slow clients"
                assert threads() <= web.AT_ONCE
                for each in sockets:
                    try:
                        each.send(b"G")
                    except OSError:
                        continue
                await asyncio.sleep(0.1)
        await answers("127.0.0.1", port)


def reset(port: int) -> None:
    """Go away in the middle of a request."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_WITH_RST)
        client.send(b"GET /metrics HTTP/1.1\r\n")


def half(port: int) -> None:
    """Send half of a request, and close."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.send(b"GET /met")


def garbage(port: int) -> None:
    """Send what is no HTTP."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.send(b"\x16\x03\x01\x00\xff" * 100 + b"\r\n\r\n")


@pytest.mark.parametrize("rude", [reset, half, garbage])
async def test_rude_clients_print_nothing(
    capfd: pytest.CaptureFixture[str], rude: Callable[[int], None]
) -> None:
    """No trace, no line, no bug."""
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        capfd.readouterr()
        for _ in range(50):
            await asyncio.to_thread(rude, port)
        await eventually(lambda: not threads(), "all are gone")
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
    """A path, one header, or many headers. A path that is cut reads as HTTP/0.9, which has no status."""
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        code = await asyncio.to_thread(lambda: status("127.0.0.1", port, path, **headers))
    assert code in {0, 400, 431}


async def test_a_bug_in_a_page_costs_the_page(
    bugs: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 and a sentence; the others go on."""

    def buggy(_health: Health) -> dict[str, object]:
        raise LookupError("planted")

    monkeypatch.setattr(Health, "told", buggy)
    port = free_port()
    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/status") == 500
        assert await asyncio.to_thread(status, "127.0.0.1", port, "/healthz") == 200
    assert [str(bug) for bug in bugs] == ["planted"]
    bugs.clear()


async def test_no_thread_to_spare_costs_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed; when there are threads again, pages are served again."""
    port = free_port()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if "process_request_thread" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    async with served("127.0.0.1", port):
        await answers("127.0.0.1", port)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert await asyncio.to_thread(status, "127.0.0.1", port) == 0
        await answers("127.0.0.1", port)


def test_a_thread_that_begins_late_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving at once does not wait for ever for a thread that the system has not run yet."""
    begins, left = threading.Event(), threading.Event()
    run = web.Web._run

    def late(self: web.Web) -> None:
        begins.wait()
        run(self)

    monkeypatch.setattr(web.Web, "_run", late)

    def enter_and_leave() -> None:
        pages = Pages(CollectorRegistry(), Health())
        with web.Web((socket.AF_INET, ("127.0.0.1", 0)), pages, Bugs(ignored)) as served:
            served._closing = True
            begins.set()
        left.set()

    threading.Thread(target=enter_and_leave, daemon=True).start()
    assert left.wait(5)
