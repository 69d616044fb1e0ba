"""A throw-away backend: a PBX behind another interface takes one file and its registration, nothing else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bridge.build import Builder
from bridge.check import check
from bridge.config.schema import Config
from bridge.core.backend import Address, Asked, IgnoreEvents, OpenPbx, PbxSession, unheard
from bridge.core.journal import MemoryJournal
from bridge.core.records import CallState, LegRecord, Party, UserRecord
from bridge.errors import SessionLost
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer as LinkObserver
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.kit.pbx_session import FakePbxSession

ANNA, BERT = (
    UserRecord("g-anna", "Anna", short_name="anna", number="21", type="ep"),
    UserRecord("g-bert", "Bert", short_name="bert", number="22", type="ep"),
)
API = UserRecord("g-api", "API", short_name="api")
RINGING = LegRecord("g-anna", 7, CallState.RINGING, to_user=True, remote=Party("0123"), conference="c1")


class FakeBackend:
    """A PBX in memory; it counts one request for each session."""

    operations: ClassVar[Sequence[str]] = ("Greet",)
    addresses: Sequence[str] = ("memory",)
    tls_addresses: Sequence[Address] = (("127.0.0.1", 443),)

    def __init__(self) -> None:
        self.opened: list[FakePbxSession] = []

    def sessions(self, asked: Asked = unheard) -> OpenPbx:
        """Each a new one."""

        @asynccontextmanager
        async def open_pbx(_attempt: int) -> AsyncIterator[PbxSession]:
            asked("Greet", True, 0.01)  # noqa: FBT003  (a callback)
            self.opened.append(FakePbxSession((API, ANNA, BERT)))
            yield self.opened[-1]

        return open_pbx


def settings(port: int) -> Config:
    """A configuration; where the PBX is does not matter."""
    pbx = {"name": "hq", "url": "http://127.0.0.1:1", "username": "u", "password": "p", "session_user": "API"}
    return Config.model_validate({"mqtt": {"url": f"mqtt://127.0.0.1:{port}"}, "pbxs": [pbx]})


@pytest.fixture
def backend() -> FakeBackend:
    """The other interface."""
    return FakeBackend()


async def test_a_link_serves_another_backend(broker: Mosquitto, bus: Observer, backend: FakeBackend) -> None:
    """Users, events, commands, metrics and a lost session: all that the bus shows of a PBX."""
    config, registry = settings(broker.port), CollectorRegistry()
    builder = Builder(config, make_backend=lambda _: backend)
    observer = LinkObserver("hq", Metrics(registry, builder.operations), Bugs(lambda _: None))
    link = builder.link(config.pbxs[0], observer, MemoryJournal())
    running = asyncio.create_task(link.run())
    state = "innovaphone/hq/user/anna/state"
    await eventually(lambda: bus.now(state), "the user is on the bus")
    assert backend.opened[0].monitored == {"g-anna", "g-bert", "g-api"}

    backend.opened[0].report(RINGING)
    await eventually(lambda: bus.types("anna") == ["incoming", "ringing"], "the call is on the bus")
    bus.send("innovaphone/hq/user/bert/command/call", {"number": "0456", "id": "c-1"})
    await eventually(lambda: bus.replies("call"), "the command is answered")
    await eventually(lambda: bus.types("bert") == ["outgoing"], "the new call is on the bus")
    assert bus.replies("call")[0]["call"] == bus.events("bert")[0]["call"]["id"]
    assert bus.events("bert")[0]["call"]["command_id"] == "c-1"

    backend.opened[0].break_off(SessionLost("gone"))
    await eventually(lambda: len(backend.opened) == 2, "there is a new session")
    link.stop()
    await running
    assert 'operation="Greet",pbx="hq",result="ok"} 2.0' in generate_latest(registry).decode()


async def test_the_check_asks_another_backend(backend: FakeBackend) -> None:
    """Through the same seam, and the certificates too."""
    config = settings(free_port())
    builder = Builder(config, make_backend=lambda _: backend)
    lines = await check(config, builder)

    assert lines[0].text == "hq: PBX: firmware fake 1, 3 visible users, may monitor and control their calls"
    assert backend.opened[0].asked == ["serve", "monitor"]
    assert builder.certificate_targets(config.pbxs)[1].addresses == backend.tls_addresses


async def test_a_listener_hears_what_it_wants_to(backend: FakeBackend) -> None:
    """All else is ignored; only commands need more."""
    quiet = IgnoreEvents()
    async with backend.sessions()(0) as session:
        serving = asyncio.create_task(session.serve(quiet))
        await eventually(lambda: backend.opened[0].asked, "the session is served")
        session.monitor("g-anna", "Anna", urgent=True)
        backend.opened[0].report(RINGING)
        quiet.not_monitored("g-anna", "Anna", "no right")
        quiet.alive(1.0, events=True)
        await quiet.kept()
        backend.opened[0].break_off(SessionLost("gone"))
        with pytest.raises(SessionLost, match="gone"):
            await serving
    assert quiet.placed("g-anna", 7, None) == quiet.sent("g-anna", 8, None) == ""
