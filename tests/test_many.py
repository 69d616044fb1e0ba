"""Many PBXs in one process: a fleet of simulated ones, and what they share."""

import asyncio

import pytest

from bridge.sim import serve
from bridge.sim.scenario import office
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.running import bridge, configuration


@pytest.mark.broker
async def test_a_simulated_fleet_is_so_many_pbxs(broker: Mosquitto, bus: Observer) -> None:
    """Each at its own path of one address. A few of them have their day, the first at once."""
    port, names = free_port(), serve.fleet(3)
    lines: list[str] = []
    playing = asyncio.create_task(serve.serve("127.0.0.1", port, office(), names, lines.append))
    account = {"username": "admin", "password": "secret", "session_user": "API"}
    url = f"http://127.0.0.1:{port}"
    pbxs = [{"name": f"pbx{name}", "url": url, "dynamic_pbx": name, **account} for name in names]
    try:
        async with bridge(configuration(broker.port, *pbxs)):
            states = [f"innovaphone/pbx{name}/state" for name in names]
            await eventually(lambda: {bus.now(state) for state in states} == {"online"}, "all are online")
            await eventually(lambda: bus.events("anna", "pbx0001"), "Anna's day has begun")
            assert bus.events("", "pbx0003") == []
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)

    assert names == ("0001", "0002", "0003")
    assert f"{url}/PBX0-0001/user.soap and 2 more up to /PBX0-0003/user.soap" in lines[0]
