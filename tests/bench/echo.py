"""The other end of a bare MQTT round trip: sends back what comes below `bench-echo/`. An ear that answers."""

import argparse
import asyncio

from tests.bench.control import Order, obey, say
from tests.bench.ear import Ear


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    ear = await Ear.open(options.port, "bench-echo/#", "bench-echo")
    ear.on_message = lambda _topic, payload: ear.publish("bench/echo/reply/presence", payload)
    say(started=True)

    async def perform(_order: Order) -> Order:
        return {}

    await obey(perform)


if __name__ == "__main__":
    asyncio.run(_main())
