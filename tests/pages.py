"""The web pages of a bridge, for tests: a bridge that serves them, a page, a figure of the metrics."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.ops.families import PREFIX
from tests.bus import eventually, free_port
from tests.running import bridge


@asynccontextmanager
async def served(settings: dict[str, Any]) -> AsyncIterator[int]:
    """The bridge with its web port."""
    port = free_port()
    async with bridge({**settings, "http": {"listen": f"127.0.0.1:{port}"}}):
        yield port


def get(port: int, path: str) -> tuple[int, str]:
    """A page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def get_soon(port: int) -> int:
    """The status of /readyz, 0 while nobody listens yet; the server has a thread of its own."""
    try:
        return get(port, "/readyz")[0]
    except urllib.error.URLError:
        return 0


async def value(port: int, name: str, **labels: str) -> float | None:
    """What a series of a running bridge is worth; None without it."""
    status, page = await asyncio.to_thread(get, port, "/metrics")
    assert status == 200
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == f"{PREFIX}_{name}" and sample.labels == labels:
                return sample.value
    return None


async def becomes(port: int, name: str, wanted: float, **labels: str) -> None:
    """Wait until a series is worth so much; gauges are set once a second."""
    await eventually(lambda: get_soon(port) != 0, "the bridge serves its pages")
    for _ in range(100):
        if await value(port, name, **labels) == wanted:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{name}{labels} is {await value(port, name, **labels)}, not {wanted}")
