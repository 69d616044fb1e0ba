"""/metrics, /healthz and /readyz over HTTP, from a thread of its own: it answers when the loop does not."""

import json
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

STALE_S = 15.0


class Health:
    """What turns, is ready, is stuck. Written by the loop, read by the thread."""

    def __init__(self) -> None:
        self._beat_s = time.monotonic()
        self.links: dict[str, bool] | None = None
        self.stuck: dict[str, tuple[str, ...]] = {}

    def beat(self, links: dict[str, bool], stuck: dict[str, tuple[str, ...]]) -> None:
        """The loop turns; `stuck`: the parts of links that do not move."""
        self._beat_s = time.monotonic()
        self.links = links
        self.stuck = stuck

    @property
    def moving(self) -> bool:
        """Everything moves: the loop, and each part of each link."""
        return self.beat_age_s < STALE_S and not self.stuck

    @property
    def beat_age_s(self) -> float:
        """Seconds since the loop last turned."""
        return time.monotonic() - self._beat_s


class Web:
    """The HTTP server; a context manager. Raises OSError when the address cannot be had."""

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Health) -> None:
        handler = _handler({"/metrics": lambda: _metrics(registry), **_checks(health)})
        self._server = ThreadingHTTPServer(address, handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="web", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Page = Callable[[], tuple[HTTPStatus, str, bytes]]


def _metrics(registry: CollectorRegistry) -> tuple[HTTPStatus, str, bytes]:
    return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)


def _checks(health: Health) -> dict[str, Page]:
    def healthz() -> tuple[HTTPStatus, str, bytes]:
        return _answer(health.moving, {"loop_beat_age_s": round(health.beat_age_s, 3), "stuck": health.stuck})

    def readyz() -> tuple[HTTPStatus, str, bytes]:
        links = health.links
        return _answer(links is not None and all(links.values()), {"links": links or {}})

    return {"/healthz": healthz, "/readyz": readyz}


def _answer(good: bool, facts: dict[str, object]) -> tuple[HTTPStatus, str, bytes]:  # noqa: FBT001  (a verdict)
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps({"ok": good, **facts}).encode() + b"\n"


def _handler(pages: dict[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            """Answer one of the pages."""
            page = pages.get(self.path.partition("?")[0])
            if page is None:
                status, kind, body = HTTPStatus.NOT_FOUND, "text/plain", "\n".join(pages).encode() + b"\n"
            else:
                status, kind, body = page()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's name)
            """Requests are not logged."""

    return Handler
