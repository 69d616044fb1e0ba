"""The HTTP pages as pure values: a request in; status, type and body out. Opens no socket."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge import __version__
from bridge.ops.health import Health, LinkStatus
from bridge.ops.request import Request

JSON, TEXT, HTML = "application/json", "text/plain; charset=utf-8", "text/html; charset=utf-8"
METRICS, READY = "/metrics", "/readyz/"
KEPT_S, REST = 1.0, 4.0
"""A page is cached for a second, or for four times as long as it took to render."""
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em;max-width:70em}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4em .8em .4em 0;"
    "border-bottom:1px solid #ccc;vertical-align:top}"
    ".ok{color:#17692f}.degraded{color:#8a5a00}.down{color:#b3261e}.number{text-align:right}"
)
_HEAD = ("PBX", "link", "since", "broker", "since", "users", "calls", "outbox", "firmware")


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: HTTPStatus
    kind: str
    body: bytes


Make = Callable[[], Answer]
"""Renders a slow page. It runs in a thread, one at a time, never on the event loop."""


class Probes:
    """/healthz and /readyz, for every client and without delay. They contain only the names of PBXs."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def answer(self, request: Request) -> Answer | Make:
        """The answer to a request."""
        path, _, query = request.target.partition("?")
        if path == "/healthz":
            return self._healthz()
        if path == "/readyz":
            return self._readyz(parse_qs(query).get("pbx", [""])[0])
        if path.startswith(READY):
            return self._readyz(unquote(path.removeprefix(READY)))
        return Answer(HTTPStatus.NOT_FOUND, TEXT, b"/healthz\n/readyz\n")

    def _healthz(self) -> Answer:
        health = self._health
        facts = {"loop_beat_age_s": round(health.beat_age_s, 3), "stuck": health.stuck}
        return _verdict(facts, good=health.moving)

    def _readyz(self, pbx: str) -> Answer:
        """Whether all links are ready, or one."""
        links = self._health.links
        if not pbx:
            return _verdict({"links": links or {}}, good=links is not None and all(links.values()))
        if links is None or pbx not in links:
            status = HTTPStatus.SERVICE_UNAVAILABLE if links is None else HTTPStatus.NOT_FOUND
            return _as_json(status, {"ok": False, "links": {}})
        return _verdict({"links": {pbx: links[pbx]}}, good=links[pbx])


NOT_OUR_NAME = Answer(
    HTTPStatus.MISDIRECTED_REQUEST,
    TEXT,
    b"this page is served only under an IP address, localhost or a name in http.hosts\n",
)
NOT_FROM_HERE = Answer(
    HTTPStatus.FORBIDDEN,
    TEXT,
    b"this page is served only to clients on this machine; set http.pages: all to serve it to everyone\n",
)


@dataclass(frozen=True, slots=True)
class Visitors:
    """Who may read the pages for people. `hosts`: names of this machine. `all`: clients elsewhere as well."""

    hosts: tuple[str, ...] = ()
    all: bool = False

    def refusal(self, request: Request) -> Answer | None:
        """The refusal of a request; None if it is allowed."""
        if not request.names(self.hosts):
            return NOT_OUR_NAME
        return None if self.all or request.local else NOT_FROM_HERE


class Pages:
    """All pages of one process.

    Probes and metrics are for every client: they contain no person, number, address or account. The pages for
    people contain accounts and files, so by default they are served only to clients on this machine.
    """

    def __init__(
        self, metrics: Callable[[], bytes], health: Health, visitors: Visitors | None = None
    ) -> None:
        self._health = health
        self._visitors = visitors or Visitors()
        self._probes = Probes(health)
        self._pages = {
            METRICS: _Kept(lambda: Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, metrics())),
            "/status": _Kept(lambda: _as_json(HTTPStatus.OK, health.as_json())),
            "/config": _Kept(lambda: Answer(HTTPStatus.OK, TEXT, health.config().encode())),
            "/": _Kept(self._front),
        }

    def answer(self, request: Request) -> Answer | Make:
        """The response to a request, or what renders it."""
        path = request.target.partition("?")[0]
        page = self._pages.get(path)
        if page is not None:
            refusal = None if path == METRICS else self._visitors.refusal(request)
            return refusal or page
        answer = self._probes.answer(request)
        if isinstance(answer, Answer) and answer.status == HTTPStatus.NOT_FOUND and answer.kind == TEXT:
            return Answer(answer.status, TEXT, "\n".join((*self._pages, "")).encode() + answer.body)
        return answer

    def _front(self) -> Answer:
        health = self._health
        rows = "".join(map(_row, health.statuses))
        head = "".join(f"<th>{name}</th>" for name in _HEAD)
        notes = "" if health.turning else "<p class=down>The event loop hangs.</p>"
        if not health.config_good:
            notes += "<p class=degraded>The configuration file is invalid; the previous one is in force.</p>"
        links = " · ".join(
            f"<a href={path[1:]}>{path}</a>" for path in (*self._pages, "/healthz", "/readyz") if path != "/"
        )
        body = (
            f"<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>"
            f"<title>innovaphone-mqtt: {health.level}</title><style>{_STYLE}</style>"
            f"<h1>innovaphone-mqtt {escape(__version__)}: "
            f"<span class={health.level}>{health.level}</span></h1>"
            f"{notes}<table><tr>{head}</tr>{rows}</table><p>{links}</p></html>\n"
        )
        return Answer(HTTPStatus.OK, HTML, body.encode())


class _Kept:
    """A cached page: rendered again when it is old, the same for every client until then."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._until_s = 0.0
        self._answer: Answer | None = None

    def __call__(self) -> Answer:
        """The page. Call it from one thread only."""
        start_s = time.monotonic()
        if self._answer is None or start_s >= self._until_s:
            self._answer = None  # frees the old page before the new one is built
            self._answer = self._make()
            end_s = time.monotonic()
            self._until_s = end_s + max(KEPT_S, REST * (end_s - start_s))
        return self._answer


def _row(status: LinkStatus) -> str:
    link = f"{status.link}: {status.pbx_session.reason}" if status.pbx_session.reason else status.link
    broker = f"{_word(up=status.broker_session.up)}: {status.broker_session.reason}".removesuffix(": ")
    notes = [f"{count} dropped ({reason})" for reason, count in status.dropped.items()]
    notes += [f"stuck: {part}" for part in status.stuck]
    notes += [status.refused] if status.refused else []
    notes += [f"location {name}: {reason}" for name, reason in status.left_out.items()]
    notes += [f"state directory: {status.store_problem}"] if status.store_problem else []
    cells = (
        f"<b class={status.level}>{escape(status.pbx)}</b>",
        escape(link),
        str(status.pbx_session.as_json()["since"]),
        escape(broker),
        str(status.broker_session.as_json()["since"]),
        str(status.users),
        str(status.calls),
        escape("; ".join((str(status.outbox), *notes))),
        escape(status.firmware),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _word(*, up: bool) -> str:
    return "up" if up else "down"


def _verdict(facts: dict[str, object], *, good: bool) -> Answer:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return _as_json(status, {"ok": good, **facts})


def _as_json(status: HTTPStatus, facts: Mapping[str, object]) -> Answer:
    return Answer(status, JSON, json.dumps(facts).encode() + b"\n")
