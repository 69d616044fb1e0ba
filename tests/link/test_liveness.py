"""What counts as stuck: nothing that is down, everything that does not move though it could."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.core.liveness import MQTT, OUTBOX, POLL, Deadlines, Liveness
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually, free_port
from tests.pages import get, get_soon
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker


def test_each_part_has_its_own_limit() -> None:
    """Silent for longer than it may: stuck; a sign of life mends it."""
    liveness = Liveness(Deadlines(poll_s=10, mqtt_s=20, outbox_s=30), now_s=100)
    assert liveness.stuck(110) == ()
    assert liveness.stuck(111) == (POLL,)
    assert liveness.stuck(131) == (POLL, MQTT, OUTBOX)
    for part in (POLL, MQTT, OUTBOX):
        liveness.alive(part, 130)
    assert liveness.stuck(131) == ()


def let_poll_be_silent(monkeypatch: pytest.MonkeyPatch, poll_s: float) -> None:
    """A Poll side that gives no sign for so long counts as stuck."""
    monkeypatch.setattr("bridge.build.Deadlines", lambda **_: Deadlines(poll_s=poll_s))


@asynccontextmanager
async def served(settings: dict[str, Any]) -> AsyncIterator[int]:
    """The bridge with its web port."""
    port = free_port()
    async with bridge({**settings, "http": {"listen": f"127.0.0.1:{port}"}}):
        await eventually(lambda: get_soon(port) != 0, "the bridge serves its pages")
        yield port


async def test_a_poll_that_never_comes_back_is_stuck(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unhealthy, and it says which part of which link; healthy again when the Poll comes back."""
    let_poll_be_silent(monkeypatch, 1.0)
    async with served(configuration(broker.port, pbx_section(pbx))) as port:
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "hq is settled")
        await eventually(lambda: get(port, "/healthz")[0] == 503, "the bridge says that it is stuck")
        assert json.loads(get(port, "/healthz")[1])["stuck"] == {"hq": ["poll"]}
        assert 'innovaphone_mqtt_stuck{part="poll",pbx="hq"} 1.0' in get(port, "/metrics")[1]
        pbx.change_user("Bert O'Neil", dn="Bertram")
        await eventually(lambda: get(port, "/healthz")[0] == 200, "the bridge is healthy again")


async def test_a_pbx_that_is_down_is_no_hang(
    broker: Mosquitto, pbx: SimPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down for longer than a Poll may be silent, and so is a broker: not ready, but healthy."""
    let_poll_be_silent(monkeypatch, 6.0)
    gone = pbx_section(pbx, name="gone", url="http://127.0.0.1:9")
    async with served(configuration(free_port(), pbx_section(pbx))) as lonely:
        async with served(configuration(broker.port, gone)) as port:
            failures = 'innovaphone_mqtt_session_ends_total{error="Unreachable",pbx="gone",side="pbx"} 5.0'
            await eventually(
                lambda: failures in get(port, "/metrics")[1], "it failed often", within=2 * PATIENCE_S
            )
            assert get(port, "/healthz")[0] == 200
        assert get(lonely, "/healthz")[0] == 200
        assert get(lonely, "/readyz")[0] == 503
