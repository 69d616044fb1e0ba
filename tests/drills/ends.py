"""Drills in which the broker, the PBX or the network between fails."""

import asyncio
import re
import time
from typing import Any

from bridge.mqtt.session import WINDOW
from bridge.sim.faults import Fault
from tests.bus import eventually
from tests.drills.bench import INFO, STATE, Bench
from tests.drills.drill import Drill, fence
from tests.kit.network import CLEAR, HOLDING, SWALLOWING, Conditions, Flow

REFUSED_S = 15.0
MOST_QUEUED = 300


def short_queue(settings: dict[str, Any], _folder: object) -> None:
    """An outbox that overflows soon."""
    settings["events"] = {"max_queued": MOST_QUEUED}


def long_age(settings: dict[str, Any], _folder: object) -> None:
    """Events that may wait for the whole outage."""
    settings["events"] = {"max_age_s": 3600}


async def broker_restarts_empty(made: Bench) -> None:
    """The broker is killed and comes back without memory."""
    made.note("broker killed")
    await made.broker_away()
    await asyncio.sleep(600.0 if made.long else 5.0)
    await made.back()
    made.note("broker back, empty")
    assert await made.truth() < 5, "the tree took longer than 5 s"


async def outbox_overflows(made: Bench) -> None:
    """More events than may wait: the oldest are dropped, counted, and show as a gap in seq.

    What was on its way when the broker went may have arrived unacknowledged: it is dropped and counted too.
    """
    await made.broker_away()
    await asyncio.sleep(60.0 if made.long else 8.0)
    made.note("broker back")
    await made.back()
    await made.truth()
    await fence(made)
    seen = [event["seq"] for event in made.bus.events()]
    missing = max(seen) - len(set(seen))
    assert missing > 0, "nothing overflowed"
    series = r'innovaphone_mqtt_dropped_messages_total\{pbx="hq",reason="overflow"\} (\d+)\.0'

    def counted() -> int:
        return sum(map(int, re.findall(series, made.page())))

    await eventually(lambda: counted() >= missing, f"{missing} dropped events are counted")
    assert counted() <= missing + WINDOW, f"{missing} events are missing, {counted()} counted as dropped"


async def pbx_reboots(made: Bench) -> None:
    """Power is lost and comes back: offline soon, then a new session, and one end for each call."""
    made.note("pbx crashed")
    start = time.monotonic()
    await made.pbx.crash()
    await eventually(lambda: made.bus.now(STATE) == "offline", "offline is seen", within=REFUSED_S)
    made.history.add("figure", name="offline_s", value=time.monotonic() - start)
    await asyncio.sleep(600.0 if made.long else 5.0)
    await made.pbx.start_again()
    made.note("pbx back")
    await made.truth()


async def sessions_die_silently(made: Bench) -> None:
    """The PBX forgets its sessions without a word, in each of the ways that are known."""
    for way in ("fault", "empty", "http"):
        made.note(f"sessions vanish: {way}")
        made.pbx.invalid_session = way
        made.pbx.kill_sessions()
        await eventually(
            lambda: (made.bus.now(INFO) or {}).get("link") != "online", "it is noticed", within=30
        )
        await made.truth()


async def broken_replies(made: Bench) -> None:
    """One bad Poll reply after the other."""
    for kind in (
        "cut",
        "reset",
        "truncated",
        "http",
        "html",
        "dtd",
        "big",
        "gzip",
        "redirect",
        "unauthorised",
    ):
        made.note(f"a Poll reply: {kind}")
        made.pbx.faults.add(Fault(kind, "Poll", value=503 if kind == "http" else 20e6))
        await eventually(lambda: made.pbx.faults.pending == 0, f"the fault {kind} has happened")
        await made.truth()


async def partition(made: Bench, conditions: Conditions) -> None:
    """Both ends go silent, connections stay open; then the network is back."""
    made.to_pbx.conditions = made.to_broker.conditions = conditions
    made.note(f"network: {conditions}")
    await eventually(lambda: made.bus.now(STATE) == "offline", "the broker says offline", within=30)
    await asyncio.sleep(120.0 if made.long else 10.0)
    made.to_pbx.conditions = made.to_broker.conditions = CLEAR
    made.to_pbx.reset()
    made.note("network: clear")
    await made.truth()


async def swallowed(made: Bench) -> None:
    """Nothing arrives, in either direction."""
    await partition(made, SWALLOWING)


async def held(made: Bench) -> None:
    """Nothing arrives until the network is back, then all of it."""
    await partition(made, HOLDING)


async def half_open(made: Bench) -> None:
    """What we send arrives nowhere, what is sent to us does arrive."""
    await partition(made, Conditions(up=Flow.SWALLOWED))


async def reset(made: Bench) -> None:
    """A RST towards broker and bridge; returns when the bridge has come again."""
    accepted = made.to_broker.accepted
    made.to_broker.reset()
    await eventually(lambda: made.to_broker.accepted > accepted, "the bridge came again")


async def bad_line(made: Bench) -> None:
    """Slow, sliced to single bytes, narrow; then resets: order is kept and nothing is lost on the way out."""
    for conditions in (
        Conditions(latency_s=0.5),
        Conditions(slice_bytes=1),
        Conditions(bytes_per_s=65_536),
    ):
        made.note(f"network: {conditions}")
        made.to_broker.conditions = conditions
        await asyncio.sleep(30.0 if made.long else 2.0)
    made.to_broker.conditions = CLEAR
    for _ in range(20 if made.long else 3):
        made.note("reset")
        await reset(made)
        await made.truth()


DRILLS = (
    Drill("04", "outbox overflows", outbox_overflows, short_queue, lost=None, ends=None),
    Drill("05", "broker restarts empty", broker_restarts_empty, long_age),
    Drill("06", "pbx reboots", pbx_reboots),
    Drill("06b", "sessions die silently", sessions_die_silently),
    Drill("07", "silent network", swallowed, truth_s=20.0),
    Drill("07b", "network holds everything back", held, truth_s=20.0),
    Drill("08", "half-open network", half_open, truth_s=20.0),
    Drill("09", "bad line", bad_line),
    Drill("15", "broken replies", broken_replies),
)
