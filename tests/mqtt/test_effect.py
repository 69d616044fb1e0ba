"""Health by effect: a broker that takes the connection and not the messages is not "up"."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from bridge.core.effect import AGAIN_S, Effect
from bridge.ops.status import exit_code, fetch
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.pages import becomes, get, get_soon
from tests.running import bridge, configuration, pbx_section

STATE, ANNA = "innovaphone/hq/state", "innovaphone/hq/user/anna/event"
READ_ONLY = "topic readwrite #\nuser bridge\ntopic read innovaphone/#\n"
EVERYTHING = "topic readwrite #\nuser bridge\ntopic readwrite innovaphone/#\n"
NO_STATES = (
    "topic readwrite #\nuser bridge\ntopic deny innovaphone/hq/user/+/state\ntopic readwrite innovaphone/#\n"
)
DEAF = (
    "topic readwrite #\nuser bridge\ntopic write innovaphone/#\ntopic read innovaphone/hq/user/+/command/#\n"
)


@asynccontextmanager
async def running(port: int, pbx: SimPbx, **mqtt: Any) -> AsyncIterator[int]:
    """The bridge as the broker's user `bridge`; the port of its pages."""
    web = free_port()
    settings = configuration(port, pbx_section(pbx), http={"listen": f"127.0.0.1:{web}"})
    settings["mqtt"] |= {"username": "bridge", "connect_timeout_s": 1, **mqtt}
    async with bridge(settings):
        await eventually(lambda: get_soon(web) != 0, "the bridge serves its pages")
        yield web


async def facts(port: int) -> Any:
    """What a bridge says of itself."""
    return await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}")


async def broker_says(port: int, words: str) -> Any:
    """Wait until the reason why the broker is down contains these words; all facts then."""
    for _ in range(100):
        said = await facts(port)
        if said["links"] and words in said["links"][0]["broker"]["reason"]:
            return said
        await asyncio.sleep(0.1)
    pytest.fail(f"the reason never contained {words!r}: {said}")


@asynccontextmanager
async def guarded(folder: Path, rights: str) -> AsyncIterator[Mosquitto]:
    """A Mosquitto with an access list."""
    (folder / "rights").write_text(rights)
    async with Mosquitto(folder, f"acl_file {folder / 'rights'}") as broker:
        yield broker


@pytest.mark.broker
@pytest.mark.parametrize(
    ("protocol", "rights", "words"),
    [
        ("5", READ_ONLY, f"refuses the publish to {STATE}: Not authorized"),
        ("3.1.1", READ_ONLY, f"takes {STATE} but does not deliver it"),
        ("5", DEAF, f"takes {STATE} but does not deliver it"),
        ("3.1.1", DEAF, f"takes {STATE} but does not deliver it"),
    ],
)
async def test_state_that_does_not_arrive_is_not_up(
    tmp_path: Path, pbx: SimPbx, protocol: str, rights: str, words: str
) -> None:
    """Status, exit code, readiness and metrics say so, with the topic; a right given later heals it."""
    async with (
        guarded(tmp_path, rights) as broker,
        Observer(broker.port) as bus,
        running(broker.port, pbx, protocol=protocol) as web,
    ):
        said = await broker_says(web, words)
        assert exit_code(said) == 2
        assert said["links"][0]["level"] == "down"
        assert (await asyncio.to_thread(get, web, "/readyz"))[0] == HTTPStatus.SERVICE_UNAVAILABLE
        await becomes(web, "mqtt_up", 0, pbx="hq")
        await becomes(web, "rejected", 1, pbx="hq", side="mqtt")

        (tmp_path / "rights").write_text(EVERYTHING)
        broker.reload()
        pbx.kill_sessions()
        await eventually(lambda: bus.now(STATE) == "online", "the state arrives")
        await eventually(lambda: get_soon(web) == HTTPStatus.OK, "the bridge is ready")
        await eventually(lambda: bus.now("innovaphone/hq/user/anna/state"), "the users are told again")
        await becomes(web, "mqtt_up", 1, pbx="hq")
        await becomes(web, "rejected", 0, pbx="hq", side="mqtt")


@pytest.mark.broker
async def test_refused_user_states_are_degraded(tmp_path: Path, pbx: SimPbx) -> None:
    """The link is up, and not well: how many topics are refused, and the first of them."""
    async with guarded(tmp_path, NO_STATES) as broker, running(broker.port, pbx, protocol="5") as web:
        for _ in range(100):
            said = await facts(web)
            if said["links"] and said["links"][0]["refused"].endswith("(and 4 more topics)"):
                break
            await asyncio.sleep(0.1)
        link = said["links"][0]
        assert (link["level"], link["broker"]["up"], exit_code(said)) == ("degraded", True, 1)
        assert link["refused"].startswith("the broker refuses the publish to innovaphone/hq/user/")
        await becomes(web, "refused_topics", 5, pbx="hq")


@pytest.mark.broker
async def test_refused_events_are_degraded(tmp_path: Path, pbx: SimPbx) -> None:
    """Until the broker takes one."""
    rights = f"topic readwrite #\nuser bridge\ntopic deny {ANNA}\ntopic readwrite innovaphone/#\n"
    async with guarded(tmp_path, rights) as broker, running(broker.port, pbx, protocol="5") as web:
        await eventually(lambda: get_soon(web) == HTTPStatus.OK, "the bridge is ready")
        await eventually(lambda: pbx.sessions.up_to_date, "all is known")
        pbx.ring("Anna Müller", "0123").hang_up()
        hint = "(does the bridge's user have the right to write it?)"
        await refusal(web, f"the broker refuses the publish to {ANNA}: Not authorized {hint}")
        (tmp_path / "rights").write_text(EVERYTHING)
        broker.reload()
        pbx.ring("Anna Müller", "0123").hang_up()
        await refusal(web, "")


async def refusal(port: int, words: str) -> None:
    """Wait until this is what the bridge says of refused topics."""
    for _ in range(100):
        said = await facts(port)
        if said["links"] and said["links"][0]["refused"] == words:
            assert exit_code(said) == (1 if words else 0)
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"{said['links'][0]['refused']!r} instead of {words!r}")


async def test_a_broker_that_refuses_later(pbx: SimPbx) -> None:
    """A right that is taken away while the session is up is noticed at the next word of our state."""
    async with Peer() as peer, running(peer.port, pbx) as web:
        await eventually(lambda: get_soon(web) == HTTPStatus.OK, "the bridge is ready")
        peer.habits = Habits(puback_code=0x87)
        pbx.kill_sessions()
        await broker_says(web, f"refuses the publish to {STATE}")
        peer.habits = Habits()
        pbx.kill_sessions()
        await eventually(lambda: get_soon(web) == HTTPStatus.OK, "the bridge is ready again")


def test_what_is_judged_by_the_clock() -> None:
    """Nothing is wrong before its time; after a refusal a rest, then it is tried again, once."""
    effect = Effect(STATE, "b:1", echo_s=5)
    effect.sent("t", 0)
    assert (effect.look(100), effect.problem) == (frozenset(), "")
    effect.sent(STATE, 100)
    effect.sent(STATE, 103)
    assert (effect.look(104.9), effect.problem, effect.proven) == (frozenset(), "", False)
    assert effect.look(105) == frozenset()
    assert STATE in effect.problem
    assert effect.look(104 + AGAIN_S) == frozenset()
    assert effect.look(105 + AGAIN_S) == {STATE}
    assert effect.look(106 + AGAIN_S) == frozenset()
    effect.heard()
    assert (effect.proven, effect.problem, effect.look(1000)) == (True, "", frozenset())


def test_refused_topics_are_kept_until_they_are_taken() -> None:
    """Each is named once, and forgotten when the broker takes it."""
    effect = Effect(STATE, "b:1", echo_s=5)
    assert (effect.refused, effect.refused_count) == ("", 0)
    effect.refuse("t/a", "no a", 0, again=True)
    effect.refuse("t/b", "no b", 1, again=True)
    effect.refuse("t/a", "no a", 2, again=True)
    assert (effect.refused, effect.refused_count) == ("no a (and 1 more topics)", 2)
    assert effect.look(AGAIN_S) == {"t/a", "t/b"}
    effect.accepted("t/a")
    effect.accepted("t/c")
    assert (effect.refused, effect.refused_count, effect.problem) == ("no b", 1, "")
    effect.refuse("t/c", "too large", 0, again=False)
    assert (effect.refused_count, effect.look(10 * AGAIN_S)) == (2, frozenset())
    effect.refuse(STATE, "no state", 0, again=False)
    assert (effect.problem, effect.look(AGAIN_S)) == ("no state", {STATE, "t/b"})
