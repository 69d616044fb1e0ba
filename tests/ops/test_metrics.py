"""The metrics: named and explained as Prometheus wants it, and true."""

import asyncio
import json
import re
import ssl
import time
import urllib.error
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from prometheus_client import CollectorRegistry, generate_latest

from bridge.ops import certificates
from bridge.ops.families import PREFIX
from bridge.ops.link_metrics import SIDES
from bridge.ops.metrics import Metrics
from bridge.pbx.backend import SoapBackend
from bridge.sim.faults import Fault
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually, free_port
from tests.ops.promtool import ALERTS, DASHBOARD, announced, found, promtool
from tests.pages import becomes, get, served, value
from tests.running import FAST, STAFF, configuration, pbx_section

UNITS = ("_seconds", "_bytes", "_ratio")
ABBREVIATED = ("_ms", "_s", "_sec", "_secs", "_millis", "_percent", "_kb")


def test_names_and_help_are_as_they_should_be() -> None:
    """Prefix, help, base units in full; what counts ends in _total, what tells when in _timestamp_seconds."""
    for metric in announced():
        if not metric.name.startswith(PREFIX):
            continue
        assert metric.documentation.endswith("."), metric.name
        assert not metric.name.endswith(ABBREVIATED), metric.name
        samples = {sample.name for sample in metric.samples}
        if metric.type == "counter":
            assert samples == {f"{metric.name}_total"}
        if metric.type == "histogram":
            assert metric.name.endswith(UNITS)
        if "timestamp" in metric.name:
            assert (metric.type, metric.name.endswith("_timestamp_seconds")) == ("gauge", True)


def test_no_label_names_a_person_or_a_call() -> None:
    """Every label has few values, known in advance."""
    labels = {
        label
        for metric in announced()
        if metric.name.startswith(PREFIX)
        for sample in metric.samples
        for label in sample.labels
    }

    assert labels == {
        *(
            "pbx",
            "side",
            "state",
            "part",
            "error",
            "type",
            "verb",
            "code",
            "reason",
            "outcome",
            "result",
            "operation",
            "limit",
        ),
        *("le", "version", "python"),
    }


def test_a_pbx_that_was_never_reached_has_few_series() -> None:
    """A process may have a thousand of them; those that were reached have what can happen to them."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, SoapBackend.operations)

    def count() -> int:
        return sum(
            sample.labels.get("pbx") == "hq" for metric in registry.collect() for sample in metric.samples
        )

    metrics.announce("hq")
    assert count() <= 60
    for side in SIDES:
        metrics.announce_side("hq", side)
    assert count() <= 200
    metrics.forget("hq")
    assert count() == 0


def test_the_page_is_what_the_library_would_write() -> None:
    """Byte for byte, with each kind of metric and number, and labels in order."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, SoapBackend.operations)
    for pbx in ("hq", "branch"):
        metrics.announce(pbx)
        for side in SIDES:
            metrics.announce_side(pbx, side)
    metrics.broker.oldest.set(1764158400.25, "hq")
    metrics.pbx.users.set(20_000_000, "branch")
    metrics.pbx.left_out.add("hq", "users", by=17)
    for seconds in (0.0, 0.01, 0.07, 59.9, 1e6):
        metrics.pbx.request_seconds.observe(seconds, "hq", "Echo")
        metrics.broker.publish_seconds.observe(seconds, "branch")

    def without_clock(page: bytes) -> list[bytes]:
        return [line for line in page.splitlines() if not line.startswith((b"process_", b"python_"))]

    assert without_clock(metrics.page()) == without_clock(generate_latest(registry))
    assert b'_request_duration_seconds_bucket{le="0.1",operation="Echo",pbx="hq"} 3.0\n' in metrics.page()


def test_a_removed_pbx_leaves_no_series() -> None:
    """Nor does it take those of another one along."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, SoapBackend.operations)
    metrics.announce("hq")
    metrics.announce("branch")
    metrics.certificate_ends("hq", "pbx", 1.0)
    metrics.certificate_ends("", "mqtt", 1.0)
    metrics.forget("hq")
    left = {sample.labels.get("pbx") for metric in registry.collect() for sample in metric.samples}

    assert left == {None, "branch", ""}
    metrics.certificate_ends("", "mqtt", None)
    assert registry.get_sample_value(f"{PREFIX}_certificate_expiry_timestamp_seconds") is None


@pytest.mark.broker
async def test_promtool_has_nothing_to_say(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """A page of the running bridge, after a call and a command."""
    async with served(configuration(broker.port, pbx_section(pbx))) as port:
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "hq is settled")
        pbx.ring("Anna M\u00fcller", "0123")
        bus.publish("innovaphone/hq/command/ping", {"id": "1"})
        await eventually(lambda: bus.replies("ping"), "the bridge obeys")
        _, page = await asyncio.to_thread(get, port, "/metrics")

        assert promtool("check", "metrics", given=page) == (0, "")


@pytest.mark.broker
async def test_they_count_what_happens(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """Sessions, Polls by outcome, commands, the state of the link, how long the broker took."""
    async with served(configuration(broker.port, pbx_section(pbx))) as port:
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "hq is settled")
        await becomes(port, "link_state", 1, pbx="hq", state="online")
        assert await value(port, "link_state", pbx="hq", state="connecting") == 0
        assert await value(port, "session_starts_total", pbx="hq", side="pbx") == 1
        assert await value(port, "session_starts_total", pbx="hq", side="mqtt") == 1
        assert await value(port, "poll_duration_seconds_count", pbx="hq", outcome="error") == 0
        assert (await value(port, "publish_latency_seconds_count", pbx="hq") or 0) > 5
        bus.publish("innovaphone/hq/command/ping", {"id": "1"})
        await becomes(port, "commands_total", 1, pbx="hq", verb="ping", code="ok")
        for operation, count in (("Initialize", 1), ("Echo", 1), ("UserCall", 0)):
            await becomes(port, "pbx_requests_total", count, pbx="hq", operation=operation, result="ok")
        await becomes(port, "outbox_oldest_timestamp_seconds", 0, pbx="hq")

        polled = await value(port, "poll_last_success_timestamp_seconds", pbx="hq")
        await becomes(port, "delivered_timestamp_seconds", polled or -1, pbx="hq")

        pbx.faults.add(Fault("reset", "Poll"))
        pbx.change_user("Bert O'Neil", dn="Bertram")
        await becomes(port, "poll_duration_seconds_count", 1, pbx="hq", outcome="error")
        await becomes(port, "session_starts_total", 2, pbx="hq", side="pbx")
        assert await value(port, "rejected", pbx="hq", side="pbx") == 0


@pytest.mark.broker
async def test_a_refusal_shows(broker: Mosquitto, pbx: SimPbx) -> None:
    """A wrong password: somebody must do something."""
    async with served(configuration(broker.port, pbx_section(pbx, password="wrong"))) as port:
        await becomes(port, "rejected", 1, pbx="hq", side="pbx")
        await becomes(port, "link_state", 1, pbx="hq", state="rejected")
        assert await value(port, "rejected", pbx="hq", side="mqtt") == 0


@pytest.mark.broker
async def test_the_certificate_of_a_pbx_is_looked_at(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pinned, unverified or expired makes no difference to when it ends."""
    monkeypatch.setattr(certificates, "FIRST_S", 0.1)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with SimPbx(STAFF, replace(FAST, tls=tls)) as pbx:
        section = pbx_section(pbx, tls={"verify": False})
        gone = pbx_section(pbx, name="gone", url=f"https://127.0.0.1:{free_port()}")
        async with served(configuration(broker.port, section, gone)) as port:
            expiry = "certificate_expiry_timestamp_seconds"
            await becomes(port, expiry, 32503680000, pbx="hq", side="pbx")
            assert await value(port, expiry, pbx="gone", side="pbx") is None
            assert (await value(port, "config_last_reload_success_timestamp_seconds") or 0) <= time.time()


@pytest.mark.slow
@pytest.mark.broker
async def test_a_real_prometheus_takes_them(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """It scrapes the bridge, reads the alerts, and every query of the dashboard brings something."""
    async with served(configuration(broker.port, pbx_section(pbx))) as port:
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "hq is settled")
        async with prometheus(tmp_path, port) as ask:
            healthy = 'up{job="innovaphone-mqtt"} == 1'
            await eventually(lambda: ask(healthy), "it has scraped", within=2 * PATIENCE_S)
            await eventually(
                lambda: ask(f'rate({PREFIX}_users{{pbx="hq"}}[5m])'), "twice", within=2 * PATIENCE_S
            )
            pbx.ring("Anna M\u00fcller", "0123")
            bus.publish("innovaphone/hq/command/ping", {"id": "1"})
            await eventually(lambda: bus.replies("ping"), "the bridge obeys")
            done = f'increase({PREFIX}_commands_total{{verb="ping",code="ok"}}[5m]) > 0'
            await eventually(lambda: ask(done), "it has seen the command", within=2 * PATIENCE_S)
            silent = [query for query in dashboard_queries() if not ask(query)]
            assert ask("ALERTS") == []

    assert [query for query in silent if not re.search("session_ends|certificate", query)] == []


def dashboard_queries() -> list[str]:
    """Every query, with what Grafana puts in for its variables."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    words = {"$__rate_interval": "5m", "$__range": "5m", "$pbx": ".*"}
    queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [re.sub(r"\$\w+", lambda found: words[found.group()], query) for query in queries]


@asynccontextmanager
async def prometheus(folder: Path, bridge_port: int) -> AsyncIterator[Callable[[str], list[Any]]]:
    """A Prometheus with our alerts that scrapes the bridge twice a second: what it answers to queries."""
    path, port, nowhere = found("prometheus"), free_port(), asyncio.subprocess.DEVNULL
    job = {
        "job_name": "innovaphone-mqtt",
        "static_configs": [{"targets": [f"127.0.0.1:{bridge_port}"]}],
        **dict.fromkeys(("scrape_interval", "scrape_timeout"), "500ms"),
    }
    settings = folder / "prometheus.yml"
    settings.write_text(json.dumps({"rule_files": [str(ALERTS)], "scrape_configs": [job]}))
    options = (f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}")
    process = await asyncio.create_subprocess_exec(
        *(path, *options, f"--web.listen-address=127.0.0.1:{port}"), stdout=nowhere, stderr=nowhere
    )

    def ask(query: str) -> list[Any]:
        try:
            status, body = get(port, f"/api/v1/query?query={quote(query)}")
        except urllib.error.URLError:
            return []
        assert status in {200, 503}, body
        result: list[Any] = json.loads(body)["data"]["result"] if status == HTTPStatus.OK else []
        return result

    try:
        yield ask
    finally:
        process.terminate()
        await process.wait()
