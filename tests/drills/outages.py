"""Drills in which the broker, the PBX or the network between fails."""

import asyncio
import re
import time
from typing import Any

from bridge.mqtt.session import WINDOW
from bridge.sim.faults import Fault
from tests.bus import eventually
from tests.drills.bench import INFO, STATE, Bench
from tests.drills.drill import Drill, durable
from tests.kit.network import CLEAR, HOLDING, SWALLOWING, Conditions, Flow

REFUSED_S = 15.0
MOST_QUEUED = 300
HELD_BACK = 200
"""Messages that wait for a broker before it is back: an outage that is felt, however fast the machine is."""
MORE = 20
TRIES = 3
FLAPS = 3


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
    await made.waiting(HELD_BACK)
    await asyncio.sleep(600.0 if made.long else 0.0)
    await made.back()
    made.note("broker back, empty")
    assert await made.truth() < 5, "the tree took longer than 5 s"


async def outbox_overflows(made: Bench) -> None:
    """More events than may wait: the oldest are dropped, counted, and show as a gap in seq.

    See `overflow_is_counted`.
    """
    await made.broker_away()
    most = 3 * MOST_QUEUED if made.long else MOST_QUEUED
    await made.shown(lambda page: dropped(page) >= most, f"{most} messages are dropped", within=120)
    made.note("broker back")
    await made.back()
    await made.truth()


async def overflow_is_counted(made: Bench) -> None:
    """As many as are missing; what was on its way when the broker went may have arrived all the same.

    When all is quiet: until the queue has room again, more is dropped. Replies are dropped and counted too.
    """
    seen = {event["seq"] for event in made.bus.events()}
    missing = max(seen) - len(seen)
    assert missing > 0, "nothing overflowed"
    await made.shown(lambda page: dropped(page) >= missing, f"{missing} dropped events are counted")
    answered = {reply["id"] for reply in made.bus.replies("call")}
    placed = {request.args["e164"] for request in made.pbx.requests("UserCall")}
    most, counted = missing + len(placed - answered) + WINDOW, dropped(await made.page())
    assert counted <= most, f"{missing} events are missing, {counted} counted as dropped"


def dropped(page: str) -> int:
    """How many messages were dropped by overflow, by the page of metrics."""
    series = r'innovaphone_mqtt_dropped_messages_total\{pbx="hq",reason="overflow"\} (\d+)\.0'
    return sum(map(int, re.findall(series, page)))


async def pbx_reboots(made: Bench) -> None:
    """Power is lost and comes back: offline soon, then a new session, and one end for each call."""
    made.note("pbx crashed")
    start = time.monotonic()
    await made.pbx.crash()
    tried = made.to_pbx.accepted
    await eventually(lambda: made.bus.now(STATE) == "offline", "offline is seen", within=REFUSED_S)
    made.history.add("figure", name="offline_s", value=time.monotonic() - start)
    await eventually(lambda: made.to_pbx.accepted >= tried + TRIES, "the bridge tries again", within=30)
    await asyncio.sleep(600.0 if made.long else 0.0)
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
    for number, kind in enumerate(
        (
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
        )
    ):
        if number % FLAPS == 0 and number:
            await rested(made)
        made.note(f"a Poll reply: {kind}")
        made.pbx.faults.add(Fault(kind, "Poll", value=503 if kind == "http" else 20e6))
        await eventually(lambda: made.pbx.faults.pending == 0, f"the fault {kind} has happened")
        await made.truth()


async def partition(made: Bench, conditions: Conditions) -> None:
    """Both ends go silent, connections stay open; then the network is back."""
    made.to_pbx.conditions = made.to_broker.conditions = conditions
    made.note(f"network: {conditions}")
    tried = made.to_broker.accepted
    await eventually(lambda: made.bus.now(STATE) == "offline", "the broker says offline", within=30)
    await eventually(lambda: made.to_broker.accepted > tried, "the bridge has noticed and tries", within=30)
    await asyncio.sleep(120.0 if made.long else 0.0)
    made.to_pbx.conditions = made.to_broker.conditions = CLEAR
    made.to_pbx.reset()
    made.note("network: clear")
    await made.truth()


async def rested(made: Bench) -> None:
    """A session that breaks again and again waits longer and longer; a bridge that starts knows none."""
    made.note("kill -9, for a new start")
    await made.restart()
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


def told(made: Bench) -> int:
    """How many states and events have come; states go first, on a narrow line hardly anything else comes."""
    return sum("/user/" in seen.topic for seen in made.bus.messages)


async def _more(made: Bench, count: int) -> None:
    await eventually(lambda: told(made) >= count, "the line lets something through", within=30)


async def bad_line(made: Bench) -> None:
    """Slow, sliced to single bytes, narrow; then resets: order is kept and nothing is lost on the way out."""
    for conditions in (
        Conditions(latency_s=0.5),
        Conditions(slice_bytes=1),
        Conditions(bytes_per_s=65_536),
    ):
        made.note(f"network: {conditions}")
        made.to_broker.conditions = conditions
        await _more(made, told(made) + MORE)
        await asyncio.sleep(30.0 if made.long else 0.0)
    made.to_broker.conditions = CLEAR
    for number in range(20 if made.long else 3):
        if number % FLAPS == 0 and number:
            await rested(made)
        made.note("reset")
        await reset(made)
        await made.truth()


DRILLS = (
    Drill("04", "outbox overflows", outbox_overflows, short_queue, overflow_is_counted, lost=None, ends=None),
    Drill("05", "broker restarts empty", broker_restarts_empty, long_age),
    Drill("06", "pbx reboots", pbx_reboots),
    Drill("06b", "sessions die silently", sessions_die_silently),
    Drill("07", "silent network", swallowed, truth_s=20.0),
    Drill("07b", "network holds everything back", held, truth_s=20.0),
    Drill("08", "half-open network", half_open, truth_s=20.0),
    Drill("09", "bad line", bad_line, durable),
    Drill("15", "broken replies", broken_replies, durable),
)
