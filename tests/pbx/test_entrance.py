"""Sessions of one host start a few at a time; whatever happens to one, the others get their turn."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from bridge.core.backend import IgnoreEvents
from bridge.core.records import Batch
from bridge.errors import Unreachable
from bridge.pbx import entrance
from bridge.pbx.backend import SoapBackend
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.entrance import Entrances
from bridge.pbx.session import SessionSettings
from bridge.pbx.soap import Soap
from bridge.sim.faults import Fault
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.serve import fleet
from tests.bus import eventually
from tests.running import STAFF

SOAP = Soap()


class Listener(IgnoreEvents):
    """Notes whether the list is complete."""

    def __init__(self) -> None:
        self.listed = False

    def reported(self, batch: Batch) -> None:
        """Records have come."""
        self.listed = self.listed or batch.list_complete


class Starting:
    """One session on its way, as a link opens it."""

    def __init__(self, pbx: SimPbx, entrances: Entrances, host: str = "127.0.0.1") -> None:
        self.pbx = pbx
        self.listener = Listener()
        endpoint = Endpoint(pbx.soap_url.replace("127.0.0.1", host), "admin", "secret")
        limits = {"poll_s": 75.0, "request_s": 20.0}
        backend = SoapBackend(SOAP, [endpoint], SessionSettings("API"), entrances=entrances, **limits)
        self._open = backend.sessions()
        self.task = asyncio.create_task(self._run())

    @property
    def listed(self) -> bool:
        """It has had its turn and the whole list."""
        return self.listener.listed

    @property
    def knocked(self) -> bool:
        """The PBX has got a request."""
        return bool(self.pbx.log)

    async def _run(self) -> None:
        async with self._open(0) as session:
            await session.serve(self.listener)


@asynccontextmanager
async def box(count: int, hang: int) -> AsyncIterator[Sequence[SimPbx]]:
    """Some PBXs at one host. The first ones take a login and never answer."""
    async with AsyncExitStack() as stack:
        pbxs: list[SimPbx] = []
        for name in fleet(count):
            options = SimOptions(path=f"/PBX0-{name}/user.soap")
            pbx = SimPbx(STAFF, options, beside=pbxs[0] if pbxs else None)
            pbxs.append(await stack.enter_async_context(pbx))
        for pbx in pbxs[:hang]:
            pbx.faults.add(Fault("hang", "Version", value=60.0))
        yield pbxs


async def ended(*sessions: Starting) -> None:
    """Cancel them, as the end of a link does."""
    for each in sessions:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in sessions), return_exceptions=True)


async def test_a_box_is_asked_by_a_few_at_a_time() -> None:
    """Those who fail or are cancelled make room, those who are served as well; another host is free."""
    entrances = Entrances(2)
    async with box(6, hang=2) as pbxs:
        first = [Starting(pbx, entrances) for pbx in pbxs[:2]]
        await eventually(lambda: all(each.knocked for each in first), "two have knocked")
        others = [Starting(pbx, entrances) for pbx in pbxs[2:5]]
        elsewhere = Starting(pbxs[5], entrances, "localhost")
        await eventually(lambda: elsewhere.listed, "another host has an entrance of its own")
        assert not any(each.knocked for each in others)
        await ended(first[0])
        await eventually(lambda: all(each.listed for each in others), "one place serves all others in turn")
        assert not first[1].listed
        await ended(first[1], elsewhere, *others)


async def test_one_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its turn is over after some seconds, although it goes on; that gives one place back, not two."""
    monkeypatch.setattr(entrance, "START_S", 0.2)
    entrances = Entrances(1)
    async with box(3, hang=1) as pbxs:
        sessions = [Starting(pbx, entrances) for pbx in pbxs]
        await eventually(lambda: all(each.listed for each in sessions[1:]), "the others are served")
        assert not sessions[0].task.done()
        await ended(*sessions)
        monkeypatch.setattr(entrance, "START_S", 60.0)
        async with entrances.turn("http://127.0.0.1/"):
            monkeypatch.setattr(entrance, "WAIT_S", 0.01)
            with pytest.raises(Unreachable, match=r"too many sessions with 127\.0\.0\.1 are starting"):
                async with entrances.turn("http://127.0.0.1:8080/PBX0/user.soap"):
                    pytest.fail("there is one place only")
