"""Hundreds of links whose broker comes back after an outage: they are no herd, and all are there soon."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry

from bridge.build import Builder
from bridge.config.schema import Config
from bridge.core.backend import Address, Asked, OpenPbx, PbxSession, unheard
from bridge.core.journal import MemoryJournal
from bridge.core.records import UserRecord
from bridge.link.link import Link
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from tests.bus import Mosquitto, eventually
from tests.kit.pbx_session import FakePbxSession
from tests.running import configuration

pytestmark = [pytest.mark.broker, pytest.mark.alone]
LINKS, ALL_WITHIN_S = 400, 30.0
MOST_A_SECOND = 0.2
"""15 % by the plan of core/backoff.py (tests/core/test_backoff.py), and what a busy machine lets bunch up.

The random delays alone, 1.5 to 3 s, make it over 40 %.
"""


class Memory:
    """A PBX in memory with one user (Backend)."""

    operations: ClassVar[Sequence[str]] = ()
    addresses: Sequence[str] = ("memory",)
    tls_addresses: Sequence[Address] = ()

    def sessions(self, asked: Asked = unheard) -> OpenPbx:
        """Each a new one."""
        del asked

        @asynccontextmanager
        async def open_pbx(_place: int) -> AsyncIterator[PbxSession]:
            yield FakePbxSession((UserRecord("g-api", "API", short_name="api"),))

        return open_pbx


@asynccontextmanager
async def links(port: int) -> AsyncIterator[list[Link]]:
    """Many links in one process; behind each is a PBX in memory."""
    basics = {"url": "http://127.0.0.1:1", "username": "u", "password": "p", "session_user": "API"}
    settings = configuration(port, *({**basics, "name": f"p{number}"} for number in range(LINKS)))
    config = Config.model_validate(settings)
    builder = Builder(config, make_backend=lambda _: Memory())
    builder.spread.among(LINKS)
    metrics, bugs = Metrics(CollectorRegistry(), builder.operations), Bugs(lambda _: None)
    made = [builder.link(pbx, Observer(pbx.name, metrics, bugs), MemoryJournal()) for pbx in config.pbxs]
    tasks = [asyncio.create_task(link.run()) for link in made]
    try:
        yield made
    finally:
        for link in made:
            link.stop()
        await asyncio.gather(*tasks)


def ready(made: list[Link]) -> int:
    """How many of them the broker serves."""
    return sum(link.ready for link in made)


async def test_no_herd_after_an_outage(tmp_path: Path) -> None:
    """As the broker sees it: no second has more than its share of the links."""
    log = tmp_path / "mosquitto.log"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Mosquitto(tmp_path, f"log_dest file {log}"))
        made = await stack.enter_async_context(links(broker.port))
        await eventually(lambda: ready(made) == LINKS, "all are online", moves=lambda: ready(made))
        await broker.kill()
        await eventually(lambda: not ready(made), "all have lost the broker")
        log.unlink()
        await broker.start()
        began_s = monotonic()
        await eventually(lambda: ready(made) == LINKS, "all are back", ALL_WITHIN_S)
        took_s = monotonic() - began_s
        connected = re.findall(
            r"^(\d+): New client connected .* as innovaphone", log.read_text(), re.MULTILINE
        )

    a_second = Counter(connected)
    assert took_s <= ALL_WITHIN_S
    assert len(connected) >= LINKS
    assert max(a_second.values()) <= MOST_A_SECOND * LINKS, sorted(a_second.items())
