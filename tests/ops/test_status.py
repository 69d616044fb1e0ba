"""What a bridge says of itself to people: pages, and the command that reads them."""

import asyncio
import io
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from bridge.core.status import LinkState
from bridge.ops import health, pages
from bridge.ops.health import DEGRADED, DOWN, OK, Health, LinkStatus, SessionStatus
from bridge.ops.pages import Answer, Pages
from bridge.ops.request import Request
from bridge.ops.status import NoStatusError, fetch, show
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, eventually, free_port
from tests.pages import get, get_soon, served
from tests.running import Program, configuration, pbx_section, program

UP, STARTING = SessionStatus(up=True, reason="", since_ms=0), SessionStatus(up=False, reason="", since_ms=0)
GONE = SessionStatus(up=False, reason="nobody there", since_ms=0)


def link(**changes: Any) -> LinkStatus:
    """A link that is well, but for the changes."""
    well = LinkStatus(
        pbx="hq",
        link=LinkState.ONLINE,
        pbx_session=UP,
        broker_session=UP,
        firmware="14r2",
        users=5,
        calls=1,
        outbox=0,
        dropped={},
        stuck=(),
        store_problem="",
    )
    return replace(well, **changes)


def told(*links: LinkStatus, config_good: bool = True) -> Health:
    """The health of a process with these links."""
    made = Health()
    made.beat({one.pbx: one.broker_session.up for one in links}, {}, links)
    made.config_good = config_good
    return made


def page(of: Health, target: str) -> tuple[int, str]:
    """Status and body of a page."""
    answer = Pages(bytes, of).answer(Request("GET", target, "localhost", "127.0.0.1"))
    answer = answer if isinstance(answer, Answer) else answer()
    return answer.status, answer.body.decode()


def test_a_standby_in_use_is_named() -> None:
    """That is no fault, and still somebody should look after the primary."""
    away = replace(UP, address="https://pbx-b.example", standby=True)
    facts = json.loads(page(told(link(pbx_session=away, broker_session=away)), "/status")[1])
    text = io.StringIO()
    show(facts, Console(file=text, width=120))

    assert facts["level"] == OK
    assert "hq: the standby PBX is used: https://pbx-b.example" in text.getvalue()
    assert "hq: the standby broker is used: https://pbx-b.example" in text.getvalue()


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, OK),
        ({"link": LinkState.SYNCING}, DEGRADED),
        ({"link": LinkState.CONNECTING, "pbx_session": STARTING, "broker_session": STARTING}, DEGRADED),
        ({"link": LinkState.CONNECTING, "pbx_session": STARTING, "broker_session": GONE}, DOWN),
        ({"link": LinkState.UNREACHABLE, "pbx_session": GONE}, DOWN),
        ({"link": LinkState.REJECTED, "pbx_session": GONE}, DOWN),
        ({"broker_session": GONE}, DOWN),
        ({"stuck": ("poll",)}, DOWN),
        ({"store_problem": "disk full"}, DEGRADED),
        ({"dropped": {"age": 3}}, OK),
    ],
)
def test_a_link_has_a_level(changes: dict[str, Any], level: str) -> None:
    """One word for what it does."""
    assert link(**changes).level == level


def test_the_process_is_as_good_as_its_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down is only what helps nobody."""
    down = link(pbx="branch", link=LinkState.UNREACHABLE, pbx_session=GONE)
    assert Health().level == DEGRADED, "it starts"
    assert told().level == OK, "a shard may have no link"
    assert told(link()).level == OK
    assert told(link(), down).level == DEGRADED
    assert told(down).level == DOWN
    assert told(link(), config_good=False).level == DEGRADED
    monkeypatch.setattr(health, "STALE_S", -1.0)
    assert told(link()).level == DOWN


def test_readiness_is_told_for_each_link() -> None:
    """By path and by query; of an unknown one it is not known."""
    both = told(link(), link(pbx="branch", broker_session=GONE))
    assert page(both, "/readyz")[0] == 503
    for ask in ("/readyz/{}", "/readyz?pbx={}"):
        assert page(both, ask.format("hq")) == (200, '{"ok": true, "links": {"hq": true}}\n')
        assert page(both, ask.format("branch"))[0] == 503
        assert page(both, ask.format("other"))[0] == 404
    assert page(Health(), "/readyz/hq")[0] == 503


def test_nothing_a_pbx_says_becomes_markup() -> None:
    """Reasons and firmware are text."""
    nasty = "<script>alert('x')</script>"
    bad = SessionStatus(up=False, reason=nasty, since_ms=0)
    health = told(link(pbx_session=bad, broker_session=bad, firmware=nasty, store_problem=nasty))
    status, text = page(health, "/")

    assert (status, "<script>" in text, text.count("&lt;script&gt;")) == (200, False, 4)


def test_the_front_page_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drops, stuck parts, an invalid file, a loop that hangs."""
    monkeypatch.setattr(health, "STALE_S", -1.0)
    _, text = page(told(link(dropped={"age": 3}, stuck=("poll",)), config_good=False), "/")
    for words in ("3 dropped (age)", "stuck: poll", "is invalid", "loop hangs"):
        assert words in text


@pytest.mark.broker
async def test_the_pages_of_a_running_bridge(broker: Mosquitto, pbx: SimPbx) -> None:
    """The front page, its facts as JSON, the configuration without a secret."""
    async with served(configuration(broker.port, pbx_section(pbx, password="s3cr3t-x"))) as port:
        await eventually(lambda: get_soon(port) == 200, "the bridge is ready")
        await eventually(lambda: facts(port)["links"][0]["link"] == "rejected", "the password is wrong")
        pages = {path: await asyncio.to_thread(get, port, path) for path in ("/", "/config", "/status")}
    assert {status for status, _ in pages.values()} == {200}
    assert all("s3cr3t-x" not in text for _, text in pages.values())
    assert yaml.safe_load(pages["/config"][1])["pbxs"][0]["password"] == "**********"
    assert "rejected the credentials of" in pages["/"][1]
    only = json.loads(pages["/status"][1])["links"][0]
    assert (only["pbx"], only["level"], only["up"], only["broker"]["up"]) == ("hq", "down", False, True)


def facts(port: int) -> Any:
    """What /status says."""
    return json.loads(get(port, "/status")[1])


async def test_the_pages_answer_when_the_loop_does_not(pbx: SimPbx, monkeypatch: pytest.MonkeyPatch) -> None:
    """This test stands on the loop of the bridge meanwhile: unhealthy, down, and why; then well again."""
    monkeypatch.setattr(health, "STALE_S", 1.5)
    async with served(configuration(free_port(), pbx_section(pbx))) as port:
        await eventually(lambda: get_soon(port) != 0, "the bridge serves its pages")
        end = time.monotonic() + 10
        while get(port, "/healthz")[0] == HTTPStatus.OK:
            assert time.monotonic() < end, "the loop stands still, and nobody says so"
        assert json.loads(get(port, "/status")[1])["level"] == "down"
        assert "The event loop hangs." in get(port, "/")[1]
        await eventually(lambda: get(port, "/healthz")[0] == HTTPStatus.OK, "the loop turns again")


@pytest.mark.slow
@pytest.mark.broker
async def test_the_command_tells_a_person(broker: Mosquitto, pbx: SimPbx, tmp_path: Path) -> None:
    """0 while all is well, 1 when one of two is down, 2 when nothing works, 2 when nobody answers."""
    port = free_port()
    gone = pbx_section(pbx, name="gone", url=f"http://127.0.0.1:{free_port()}")
    settings = configuration(broker.port, pbx_section(pbx), http={"listen": f"127.0.0.1:{port}"})
    ask = ("status", "--url", f"http://127.0.0.1:{port}")
    code, said, _ = await program(*ask)
    assert (code, "cannot be reached" in said) == (2, True)
    assert json.loads((await program(*ask, "--json"))[1])["level"] == "down"

    running = Program(tmp_path, settings)
    await running.start()
    await eventually(lambda: get_soon(port) == 200 and facts(port)["level"] == "ok", "all is well")
    code, said, _ = await program(*ask)
    assert (code, said.split()[0], "hq" in said, "\x1b" in said) == (0, "ok", True, False)
    running.file.write_text(json.dumps({**settings, "pbxs": [*settings["pbxs"], gone]}))
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    await eventually(lambda: "down" in [one["level"] for one in facts(port)["links"]], "one is down")
    code, said, _ = await program(*ask, "--json")
    assert (code, json.loads(said)["level"]) == (1, "degraded")
    assert "cannot be reached: Connection refused" in said
    await broker.kill()
    await eventually(lambda: facts(port)["level"] == "down", "nothing works")
    code, said, _ = await program(*ask)
    assert (code, said.split()[0]) == (2, "down")
    assert "cannot be reached" in " ".join(said.split())
    assert "event loop" not in said
    await running.end(signal.SIGTERM)


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    """A server that is no bridge: its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """The same to every question."""
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"level": "x"}', b'{"level": "ok"}', b'{"level":"ok","links":[1]}']
)
def test_a_stranger_is_no_bridge(body: bytes) -> None:
    """Whatever listens there."""
    with answering(body) as url, pytest.raises(NoStatusError, match="is not a bridge"):
        fetch(url)
    with answering(b"{}", 500) as url, pytest.raises(NoStatusError, match="is not a bridge"):
        fetch(url)


@pytest.mark.parametrize("refusal", [pages.NOT_OUR_NAME, pages.NOT_FROM_HERE])
def test_a_refusal_says_what_to_set(refusal: Answer) -> None:
    """A bridge that is asked from elsewhere, or by a name that is not its own."""
    with answering(refusal.body, refusal.status) as url, pytest.raises(NoStatusError, match=r"http\.\w+"):
        fetch(url)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9642", "https://127.0.0.1", "http://", "http://[", "http://h:x"]
)
def test_a_bad_url_is_said(url: str) -> None:
    """No trace for what a person can mend."""
    with pytest.raises(NoStatusError):
        fetch(url)


def test_colours_are_for_terminals_and_nothing_speaks_to_them() -> None:
    """Escape sequences of a PBX are shown, not obeyed."""
    nasty = SessionStatus(up=False, reason="\x1b[2Jgone [bold]x[/bold]", since_ms=round(time.time()))
    told_facts = told(link(link=LinkState.UNREACHABLE, pbx_session=nasty)).as_json()
    plain, coloured = io.StringIO(), io.StringIO()
    show(told_facts, Console(file=plain, width=200))
    show(told_facts, Console(file=coloured, width=200, force_terminal=True))

    assert "\x1b" not in plain.getvalue()
    assert "[2Jgone [bold]x[/bold]" in plain.getvalue()
    assert "\x1b[1;31mdown" in coloured.getvalue()
    assert "\x1b[2J" not in coloured.getvalue()
