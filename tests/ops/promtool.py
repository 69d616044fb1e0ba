"""For tests: promtool, where it is installed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric

from bridge.ops.families import PREFIX
from bridge.ops.link_metrics import SIDES
from bridge.ops.metrics import Metrics
from bridge.pbx.backend import SoapBackend

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"


def found(program: str) -> str:
    """Where a program of Prometheus is. Skips without it, and fails where CI should have it."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed (apt install prometheus): its checks are left out"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def promtool(*arguments: str, given: str = "") -> tuple[int, str]:
    """Run promtool: exit code and all it said."""
    path = found("promtool")
    done = subprocess.run(
        (path, *arguments), input=given, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def announced() -> list[Metric]:
    """All metrics of a bridge with one PBX, as they are before anything has happened but its sessions."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, SoapBackend.operations)
    metrics.announce("hq")
    for side in SIDES:
        metrics.announce_side("hq", side)
    metrics.pbx.request_seconds.show("hq", "Echo")
    metrics.broker.store_up.set(1, "hq")
    metrics.certificate_ends("hq", "pbx", 1.0)
    return list(registry.collect())


def series() -> set[str]:
    """The names of all series there can be."""
    return {sample.name for metric in announced() for sample in metric.samples}


def named(query: str) -> set[str]:
    """The metrics of ours, or of the process, that a query names."""
    return set(re.findall(rf"\b(?:{PREFIX}|process|python)_[a-z0-9_]+", query))
