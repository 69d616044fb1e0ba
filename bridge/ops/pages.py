"""What is served over HTTP, as values: a path and its query in, status, type and body out. No socket here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from urllib.parse import parse_qs, unquote

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge import __version__
from bridge.ops.health import Health, LinkStatus

JSON, TEXT, HTML = "application/json", "text/plain; charset=utf-8", "text/html; charset=utf-8"
READY = "/readyz/"
_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em;max-width:70em}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4em .8em .4em 0;"
    "border-bottom:1px solid #ccc;vertical-align:top}"
    ".ok{color:#17692f}.degraded{color:#8a5a00}.down{color:#b3261e}.number{text-align:right}"
)
_HEAD = ("PBX", "link", "since", "broker", "since", "users", "calls", "outbox", "firmware")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request gets."""

    status: HTTPStatus
    kind: str
    body: bytes


class Pages:
    """All pages of one process."""

    def __init__(self, registry: CollectorRegistry, health: Health) -> None:
        self._registry = registry
        self._health = health
        self._pages: Mapping[str, Callable[[], Answer]] = {
            "/": self._front,
            "/status": lambda: _as_json(HTTPStatus.OK, health.told()),
            "/config": lambda: Answer(HTTPStatus.OK, TEXT, health.config().encode()),
            "/metrics": lambda: Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": self._healthz,
            "/readyz": lambda: self._readyz(""),
        }

    def answer(self, target: str) -> Answer:
        """The page for the target of a request."""
        path, _, query = target.partition("?")
        if path.startswith(READY):
            return self._readyz(unquote(path.removeprefix(READY)))
        if path == "/readyz" and query:
            return self._readyz(parse_qs(query).get("pbx", [""])[0])
        page = self._pages.get(path)
        if page is None:
            return Answer(HTTPStatus.NOT_FOUND, TEXT, "\n".join(self._pages).encode() + b"\n")
        return page()

    def _healthz(self) -> Answer:
        health = self._health
        facts = {"loop_beat_age_s": round(health.beat_age_s, 3), "stuck": health.stuck}
        return _verdict(facts, good=health.moving)

    def _readyz(self, pbx: str) -> Answer:
        """All links, or one."""
        links = self._health.links
        if not pbx:
            return _verdict({"links": links or {}}, good=links is not None and all(links.values()))
        if links is None or pbx not in links:
            status = HTTPStatus.SERVICE_UNAVAILABLE if links is None else HTTPStatus.NOT_FOUND
            return _as_json(status, {"ok": False, "links": {}})
        return _verdict({"links": {pbx: links[pbx]}}, good=links[pbx])

    def _front(self) -> Answer:
        health = self._health
        rows = "".join(map(_row, health.statuses))
        head = "".join(f"<th>{name}</th>" for name in _HEAD)
        notes = "" if health.turning else "<p class=down>The event loop does not turn.</p>"
        if not health.config_good:
            notes += "<p class=degraded>The configuration file has a problem and was not taken over.</p>"
        links = " · ".join(f"<a href={path[1:]}>{path}</a>" for path in self._pages if path != "/")
        body = (
            f"<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>"
            f"<title>innovaphone-mqtt: {health.level}</title><style>{_STYLE}</style>"
            f"<h1>innovaphone-mqtt {escape(__version__)}: "
            f"<span class={health.level}>{health.level}</span></h1>"
            f"{notes}<table><tr>{head}</tr>{rows}</table><p>{links}</p></html>\n"
        )
        return Answer(HTTPStatus.OK, HTML, body.encode())


def _row(status: LinkStatus) -> str:
    link = f"{status.link}: {status.box.reason}" if status.box.reason else status.link
    broker = f"{_word(up=status.broker.up)}: {status.broker.reason}".removesuffix(": ")
    notes = [f"{count} dropped ({reason})" for reason, count in status.dropped.items()]
    notes += [f"stuck: {part}" for part in status.stuck]
    notes += [status.refused] if status.refused else []
    notes += [f"state directory: {status.store_problem}"] if status.store_problem else []
    cells = (
        f"<b class={status.level}>{escape(status.pbx)}</b>",
        escape(link),
        str(status.box.told()["since"]),
        escape(broker),
        str(status.broker.told()["since"]),
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
