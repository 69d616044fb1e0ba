"""A command there and back, beside the round trips that it cannot do without."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from urllib.parse import urlsplit

from tests.bench.figures import Figure, ratio
from tests.bench.pbx import NONCE
from tests.bench.place import Place, Program

USERS, TIMES, PAUSE_S = 20, 150, 0.02
REQUEST = (
    f'POST /PBX0/user.soap HTTP/1.1\r\nHost: x\r\nAuthorization: Digest nonce="{NONCE}"\r\n'
    "Content-Length: {length}\r\n\r\n{body}"
)
BODY = "<e:Envelope><e:Body><i:SetPresence><activity>away</activity></i:SetPresence></e:Body></e:Envelope>"


async def command(programs: Sequence[Program]) -> list[Figure]:
    """`presence`: MQTT request → SetPresence → reply, against a round trip of MQTT and one of HTTP."""
    times: dict[str, list[float]] = {each.name: [] for each in programs}
    mqtt, http = list[float](), list[float]()
    async with Place() as place:
        for program in programs:
            await place.settled(await place.bridge(program, program.name), USERS)
        await place.helper("echo", str(place.broker.port))
        _, url = await place.pbx()
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for number in range(TIMES):
            for program in programs:
                topic = f"bench/{program.name}/user/user{number % USERS:05}/command/presence"
                times[program.name].append(await _there_and_back(place, topic, program.name))
            mqtt.append(await _there_and_back(place, "bench-echo/x", "echo"))
            http.append(await _post(reader, writer))
            await asyncio.sleep(PAUSE_S)
        writer.close()
    bare = [there + back for there, back in zip(mqtt, http, strict=True)]
    return [
        Figure(
            "command: MQTT request → SOAP → reply, against bare MQTT plus bare HTTP round trips",
            1.8,
            {name: (ratio(found, bare),) for name, found in times.items()},
        ),
        Figure(
            "the same in ms", None, {name: (median(found) * 1000,) for name, found in times.items()}, "ms"
        ),
    ]


async def _there_and_back(place: Place, topic: str, name: str) -> float:
    """From the request until its answer is here."""
    count = place.ear.count(name, "presence")
    came = place.ear.next(name, "presence")
    start_s = time.monotonic()
    place.ear.publish(topic, b"away")
    await came
    return place.ear.times[name, "presence"][count] - start_s


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float:
    start_s = time.monotonic()
    writer.write(REQUEST.format(length=len(BODY), body=BODY).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
    return time.monotonic() - start_s
