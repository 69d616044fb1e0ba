"""Drills in which the bridge itself is killed, stopped, frozen or told to read its configuration again."""

import asyncio
import json
import random
import re
import signal
import time

from tests.bus import eventually
from tests.drills.bench import KEEPALIVE_S, STATE, Bench
from tests.drills.drill import Drill, durable
from tests.kit.network import CLEAR, SWALLOWING, Conditions

EXIT_S = 2.0
WAITING = 50


async def kill_at_random(made: Bench) -> None:
    """`kill -9`, again and again, at moments that a seed chooses."""
    chance = random.Random(7)  # noqa: S311  (no secret)
    for _ in range(100 if made.long else 5):
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        made.note("kill -9")
        await made.restart()
        await made.truth()


async def kill_without_broker(made: Bench) -> None:
    """The broker goes, events wait, the bridge is killed: they come from the file."""
    made.note("broker away, then kill -9")
    await made.broker_away()
    await made.waiting(WAITING)
    await made.restart()
    await made.back()
    await made.truth()


async def offline_is_seen(made: Bench) -> None:
    """After `kill -9` the will says offline within one and a half keepalives."""
    made.note("kill -9, not started again")
    await made.program.end(signal.SIGKILL)
    start = time.monotonic()
    await eventually(lambda: made.bus.now(STATE) == "offline", "offline is seen", within=1.5 * KEEPALIVE_S)
    made.history.add("figure", name="offline_s", value=time.monotonic() - start)
    await made.program.start()
    await made.truth()


async def stop_in_every_state(made: Bench) -> None:
    """SIGTERM ends it in under two seconds: while polling, without a broker, without a PBX, black-holed."""
    for name, to_broker, to_pbx in (
        ("poll blocked", CLEAR, CLEAR),
        ("broker swallows", SWALLOWING, CLEAR),
        ("pbx swallows", CLEAR, SWALLOWING),
        ("pbx slow", CLEAR, Conditions(latency_s=1.0)),
        ("both swallow", SWALLOWING, SWALLOWING),
    ):
        made.note(f"SIGTERM: {name}")
        await _set(made, to_broker, to_pbx)
        start = time.monotonic()
        code, _ = await made.program.end(signal.SIGTERM)
        seconds = time.monotonic() - start
        made.history.add("figure", name="exit_s", value=seconds)
        assert (code, seconds < EXIT_S) == (0, True), f"{name}: exit code {code} after {seconds:.2f} s"
        made.to_broker.conditions = made.to_pbx.conditions = CLEAR
        made.to_pbx.reset()
        await made.program.start()
        await made.truth()


async def _set(made: Bench, to_broker: Conditions, to_pbx: Conditions) -> None:
    """Change the network, and wait until the bridge has met it."""
    pairs = ((made.to_broker, to_broker), (made.to_pbx, to_pbx))
    before = [(proxy, proxy.swallowed) for proxy, wanted in pairs if wanted is SWALLOWING]
    for proxy, wanted in pairs:
        proxy.conditions = wanted
    if before:
        await eventually(lambda: all(proxy.swallowed > seen for proxy, seen in before), "bytes are lost")
    else:
        await eventually(made.pbx.sessions.mark(), "a Poll has come back")


async def reload_under_load(made: Bench) -> None:
    """SIGHUP again and again: nothing is lost, nobody reconnects; a broken file changes nothing."""
    accepted = made.to_broker.accepted
    good = made.program.file.read_text()
    process = made.program.process
    assert process is not None
    for turn in range(300 if made.long else 5):
        made.note("SIGHUP")
        made.program.file.write_text("pbxs: [" if turn == 1 else good)
        process.send_signal(signal.SIGHUP)
        await _read(made, turn + 1)
        await asyncio.sleep(1.0 if made.long else 0.0)
    assert made.to_broker.accepted == accepted, "the bridge has reconnected"
    assert json.loads(good) == json.loads(made.program.file.read_text())


async def _read(made: Bench, times: int) -> None:
    await made.shown(lambda page: reloads(page) >= times, f"the file was read {times} times")


def reloads(page: str) -> int:
    """How often the configuration was read again, by the page of metrics."""
    counts = re.findall(r'innovaphone_mqtt_config_reloads_total\{result="\w+"\} (\d+)\.0', page)
    return sum(map(int, counts))


async def frozen(made: Bench) -> None:
    """SIGSTOP for so long that the broker gives up on us; SIGCONT."""
    process = made.program.process
    assert process is not None
    made.note("SIGSTOP")
    process.send_signal(signal.SIGSTOP)
    await eventually(lambda: made.bus.now(STATE) == "offline", "the broker says offline", within=20)
    await asyncio.sleep(60.0 if made.long else 0.0)
    process.send_signal(signal.SIGCONT)
    made.note("SIGCONT")
    await made.truth()


DRILLS = (
    Drill("01", "kill -9 at random", kill_at_random, durable),
    Drill("01b", "kill -9 while the broker is away", kill_without_broker, durable),
    Drill("01c", "offline after kill -9", offline_is_seen, durable),
    Drill("02", "SIGTERM in every state", stop_in_every_state, durable, lost=None),
    Drill("03", "reload under load", reload_under_load),
    Drill("19", "frozen process", frozen, durable, truth_s=20.0),
)
