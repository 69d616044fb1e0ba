"""The drill of many: two hundred links lose the broker at once, and must not knock all at the same moment."""

import asyncio
import time
from pathlib import Path
from typing import Any

from tests.bus import eventually
from tests.drills.bench import Bench
from tests.drills.drill import Drill

LINKS, WATCHED_S, MOST_SHARE = 200, 20.0, 0.15


def many(settings: dict[str, Any], _folder: Path) -> None:
    """So many links of one process, all with the same PBX."""
    first = settings["pbxs"][0]
    settings["pbxs"] = [first, *({**first, "name": f"link{number}"} for number in range(1, LINKS))]


async def knocks(made: Bench) -> None:
    """No second holds more than 15 % of the attempts; all are back soon after the broker is."""

    def online() -> int:
        states = (made.bus.now(f"innovaphone/link{number}/state") for number in range(1, LINKS))
        return sum(state == "online" for state in states)

    await eventually(lambda: online() == LINKS - 1, "all links are online", within=60)
    made.note("the broker is killed; its place answers and hangs up")
    await made.broker.kill()
    start, seen = time.monotonic(), made.to_broker.accepted
    seconds: list[int] = []
    while time.monotonic() - start < WATCHED_S:
        await asyncio.sleep(1.0)
        seconds.append(made.to_broker.accepted - seen)
        seen = made.to_broker.accepted
    share = max(seconds) / sum(seconds)
    made.history.add("figure", name="largest_share", value=share)
    assert share <= MOST_SHARE, f"{share:.0%} of the attempts in one second: {seconds}"
    made.to_broker.refuse()
    await made.back()
    await eventually(lambda: online() == LINKS - 1, "all links are back", within=30)
    await made.truth()


DRILLS = (Drill("23", "two hundred links", knocks, many, load=False, long_only=True),)
