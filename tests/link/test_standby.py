"""Primaries and standbys, of the PBX and of the broker: over to the standby, and back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.proxy import Proxy
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
STATE, INFO = "innovaphone/hq/state", "innovaphone/hq/info"
ANNA, BERT = "innovaphone/hq/user/anna/state", "innovaphone/hq/user/bert/state"
RETURN_S = 0.9


def at_two_addresses(primary: SimPbx, standby: SimPbx) -> dict[str, Any]:
    """The configuration of one PBX."""
    section = pbx_section(primary, urls=[primary.soap_url, standby.soap_url], return_after_s=RETURN_S)
    del section["url"]
    return section


def at_two_brokers(primary: Mosquitto, standby: Mosquitto, pbx: SimPbx) -> dict[str, Any]:
    """The configuration of one PBX and two brokers."""
    urls = [f"mqtt://127.0.0.1:{broker.port}" for broker in (primary, standby)]
    return {**configuration(0, pbx_section(pbx)), "mqtt": {"urls": urls, "return_after_s": RETURN_S}}


def cut_off(way: Proxy) -> None:
    """Nobody gets through any more."""
    way.refuse()
    way.reset()


def settled(bus: Observer, address: str = "primary") -> bool:
    """All is known from the primary PBX, or from the standby."""
    info = bus.now(INFO) or {}
    return (bus.now(STATE), info.get("settled"), info.get("address")) == ("online", True, address)


@pytest.fixture
async def standby() -> AsyncIterator[SimPbx]:
    """The same PBX once more."""
    async with SimPbx(STAFF, FAST) as made:
        yield made


@pytest.fixture
async def other(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """Another broker."""
    folder = tmp_path / "other"
    folder.mkdir()
    async with Mosquitto(folder) as running:
        yield running


async def test_over_and_back(broker: Mosquitto, bus: Observer, pbx: SimPbx, standby: SimPbx) -> None:
    """The standby PBX while the primary is away; back once the last call there has ended."""
    async with bridge(configuration(broker.port, at_two_addresses(pbx, standby))):
        await eventually(lambda: settled(bus), "the primary is served")
        assert not standby.log
        await pbx.crash()
        await eventually(lambda: settled(bus, "standby"), "the standby is served")
        call = standby.ring("Anna Müller", "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "anna rings at the standby")
        looks = len(pbx.requests("End"))
        await pbx.start_again()
        await eventually(lambda: len(pbx.requests("End")) >= looks + 6, "the primary was looked at")
        assert settled(bus, "standby"), "a call is running"
        call.answer()
        call.hang_up()
        await eventually(lambda: settled(bus), "the primary is served again")

    assert bus.types("anna")[-1] == "ended"
    assert [event["call"]["outcome"] for event in bus.events("anna")][-1] == "answered"


async def test_a_request_for_a_new_session_stays_with_the_primary(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, standby: SimPbx
) -> None:
    """That the bridge ends its session by itself says nothing against an address."""
    async with bridge(configuration(broker.port, at_two_addresses(pbx, standby))):
        await eventually(lambda: settled(bus), "the primary is served")
        bus.publish("innovaphone/hq/command/resync", {"id": "again"})
        await eventually(lambda: len(pbx.requests("Initialize")) == 2, "there is a new session")
        await eventually(lambda: settled(bus), "it is settled")
    assert not standby.log


async def test_a_broker_that_is_away(broker: Mosquitto, bus: Observer, other: Mosquitto, pbx: SimPbx) -> None:
    """The other one gets everything retained and all events; back at the primary, nothing old stays there."""
    async with Observer(other.port) as there, bridge(at_two_brokers(broker, other, pbx)):
        await eventually(lambda: settled(bus), "the primary is served")
        assert not there.messages
        await broker.kill()
        pbx.ring("Anna Müller", "0123").answer()
        await eventually(lambda: settled(there), "the standby broker is served")
        await eventually(
            lambda: there.types("anna") == ["incoming", "ringing", "answered"], "no event is lost"
        )
        there.publish("innovaphone/hq/command/ping", {"id": "there"})
        await eventually(lambda: there.replies("ping"), "requests are answered there")

        await broker.start()
        await eventually(lambda: bus.subscribed, "the observer is back")
        await eventually(lambda: settled(bus), "the primary broker is served again")
        await eventually(lambda: there.now(STATE) == "offline", "the standby broker knows that nobody serves")
        await eventually(lambda: len((bus.now(ANNA) or {"calls": ()})["calls"]) == 1, "the call still runs")


async def test_what_was_deleted_while_another_broker_was_used(
    broker: Mosquitto, bus: Observer, other: Mosquitto, pbx: SimPbx
) -> None:
    """A broker that was only cut off still retains a user who is gone: it is erased at the return."""
    async with Proxy(broker.port) as way:
        settings = at_two_brokers(broker, other, pbx)
        settings["mqtt"]["urls"][0] = f"mqtt://127.0.0.1:{way.port}"
        async with Observer(other.port) as there, bridge(settings):
            await eventually(lambda: settled(bus), "the primary is served")
            cut_off(way)
            await eventually(lambda: settled(there), "the standby broker is served")
            pbx.remove_user("Bert O'Neil")
            await eventually(lambda: there.now(BERT) is None, "the user is gone at the standby")
            assert bus.now(BERT) is not None
            way.listen()
            await eventually(lambda: settled(bus), "the primary broker is served again")
            await eventually(lambda: bus.now(BERT) is None, "the user is gone at the primary")
            assert bus.now(ANNA) is not None


async def test_another_bridge_at_the_primary_is_left_its_place(
    broker: Mosquitto, bus: Observer, other: Mosquitto, pbx: SimPbx
) -> None:
    """A bridge whose way to the primary was cut goes back and stands back there: never do both serve."""
    async with Proxy(broker.port) as way:
        settings = at_two_brokers(broker, other, pbx)
        settings["mqtt"] |= {"username": "bridge", "password": "x"}
        mine = {**settings, "mqtt": {**settings["mqtt"]}}
        mine["mqtt"]["urls"] = [f"mqtt://127.0.0.1:{way.port}", settings["mqtt"]["urls"][1]]
        async with Observer(other.port) as there, bridge(mine):
            await eventually(lambda: settled(bus), "the primary is served")
            cut_off(way)
            await eventually(lambda: settled(there), "the standby broker is served")
            async with bridge(settings):
                await eventually(lambda: settled(bus), "another bridge serves the primary")
                takeovers = bus.now(INFO)["takeovers"]
                way.listen()
                await eventually(lambda: there.now(STATE) == "offline", "the first one has left the standby")
                await eventually(lambda: way.open == 1, "it waits at the primary")
                bus.publish("innovaphone/hq/command/ping", {"id": "who"})
                await eventually(lambda: any(reply["id"] == "who" for reply in bus.replies("ping")), "served")
                assert settled(bus)
                assert bus.now(INFO)["takeovers"] == takeovers
                assert there.now(STATE) == "offline"
            await eventually(lambda: settled(bus), "the first one serves the primary")
