"""paho alone, in the fastest way that it has: on the loop, 50 on their way, writes as they come. No PBX.

For each event it publishes the same two messages as the bridge: an event, and the retained state of a user.
"""

import argparse
import asyncio
import os
import socket
import time
from collections import deque
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.bench.control import Order, obey, say

WINDOW = 50
USERS = 20
EVENT_BYTES, STATE_BYTES = 749, 1_726
"""As the bridge's messages were when they were first measured, in November 2026."""


class PahoAlone:
    """A client of paho whose socket the loop of asyncio drives."""

    def __init__(self, port: int, name: str) -> None:
        self._topics = [f"bench/{name}/user/user{number:05}" for number in range(USERS)]
        self._event, self._state = os.urandom(EVENT_BYTES), os.urandom(STATE_BYTES)
        self._todo: deque[int] = deque()
        self._pending = 0
        self._number = 0
        self._idle = asyncio.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"bench-{name}", protocol=paho.MQTTv5
        )
        self._client.max_inflight_messages_set(0)
        self._client.on_publish = self._acknowledged
        self._client.on_socket_open = self._opened
        self._client.on_socket_register_write = self._want_write
        self._client.on_socket_unregister_write = self._enough
        self._client.connect("127.0.0.1", port, keepalive=600)

    async def burst(self, events: int) -> None:
        """Publish so many events as fast as it goes, until all are acknowledged."""
        self._idle.clear()
        self._todo.extend(range(2 * events))
        self._more()
        await self._idle.wait()

    async def pace(self, events: int, per_s: float) -> list[float]:
        """Publish so many, one by one; when each was."""
        loop = asyncio.get_running_loop()
        start_s, sent = loop.time() + 0.1, list[float]()
        for number in range(events):
            await asyncio.sleep(start_s + number / per_s - loop.time())
            sent.append(time.monotonic())
            await self.burst(1)
        return sent

    def _more(self) -> None:
        while self._todo and self._pending < WINDOW:
            number = self._todo.popleft()
            topic = self._topics[self._number // 2 % USERS]
            self._number += 1
            self._pending += 1
            if number % 2:
                self._client.publish(f"{topic}/state", self._state, qos=1, retain=True)
            else:
                self._client.publish(f"{topic}/event", self._event, qos=1)

    def _acknowledged(self, *_: object) -> None:
        self._pending -= 1
        self._more()
        if not self._pending and not self._todo:
            self._idle.set()

    def _opened(self, _client: object, _data: object, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asyncio.get_running_loop().add_reader(sock, self._client.loop_read)

    def _want_write(self, _client: object, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().add_writer(sock, self._client.loop_write)

    def _enough(self, _client: object, _data: object, sock: Any) -> None:
        asyncio.get_running_loop().remove_writer(sock)


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    options = parser.parse_args()
    publisher = PahoAlone(options.port, options.name)
    say(started=True)

    async def perform(order: Order) -> Order:
        if order["do"] == "pace":
            return {"sent": await publisher.pace(order["events"], order["per_s"])}
        await publisher.burst(order["events"])
        return {}

    await obey(perform)


if __name__ == "__main__":
    asyncio.run(_main())
