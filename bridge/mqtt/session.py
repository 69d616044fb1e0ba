"""One broker session: subscribe, then send from the outbox and hand on what arrives. Retries nothing."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from bridge.core.message import Incoming, Message, Subscription
from bridge.core.model import Instant
from bridge.core.outbox import Outbox
from bridge.core.topics import Topics
from bridge.errors import LinkError, ProtocolError, SessionLost, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.settings import MQTT_5

WINDOW = 50
WATCH_S, PATIENCE_S = 0.5, 60
REST_S = 1.0
"""How long to pause after the broker has said that it cannot accept a message now."""


class DeliveryEvents(Protocol):
    """Callbacks about the messages that a session sends. They must neither block nor raise."""

    def sent(self, topic: str, now_s: float) -> None:
        """A message is on its way to the broker."""
        ...

    def acknowledged(self, topic: str, seconds: float, now_s: float) -> None:
        """The broker has a message, `seconds` after it was queued."""
        ...

    def refused(self, message: Message, error: LinkError) -> None:
        """The broker rejects a message."""
        ...


class BrokerSession:
    """Moves messages between the outbox and one connection until it is lost. `arrived` must not raise."""

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        *,
        clock: Callable[[], Instant],
        arrived: Callable[[Incoming], None],
        deliveries: DeliveryEvents,
    ) -> None:
        self._connection = connection
        self._outbox = outbox
        self._clock = clock
        self._arrived = arrived
        self._deliveries = deliveries
        self._sent_s: dict[int, float] = {}
        self._rest_until_s = 0.0

    async def drained(self) -> None:
        """Return when the broker has acknowledged everything."""
        await self._outbox.emptied()

    async def serve(self, topics: Topics) -> None:
        """Serve until the connection is lost. Raises the LinkError that ended it."""
        await self._connection.subscribe([*command_subscriptions(topics), own_state(topics)])
        tasks = [
            asyncio.create_task(work, name=name)
            for work, name in ((self._pump(), "pump"), (self._receive(), "receive"), (self._watch(), "watch"))
        ]
        try:
            waiting: list[asyncio.Future[Any]] = [self._connection.lost, *tasks]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            raise self._connection.lost.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self) -> None:
        window = min(self._connection.limits.receive_maximum, WINDOW)
        while True:
            rest_s = self._rest_until_s - self._clock().monotonic_s
            if rest_s > 0:
                await asyncio.sleep(rest_s)
                continue
            now_s = self._clock().monotonic_s  # one look at the clock for all that leave together
            with self._connection.gathering:
                while self._outbox.in_flight < window and (item := self._outbox.take(now_s)) is not None:
                    self._send(*item, now_s)
            await self._outbox.changed()

    async def _watch(self) -> None:
        """Leave a broker that still answers pings but no longer acknowledges anything."""
        patience_s = min(self._connection.settings.keepalive_s, PATIENCE_S)
        while True:
            oldest_s = next(iter(self._sent_s.values()), None)
            left_s = patience_s if oldest_s is None else oldest_s + patience_s - self._clock().monotonic_s
            if left_s <= 0:
                place = self._connection.settings.place
                raise SessionLost(f"the broker {place} has acknowledged nothing for {patience_s} s")
            await asyncio.sleep(max(left_s, WATCH_S))

    def _send(self, delivery_id: int, message: Message, now_s: float) -> None:
        self._sent_s[delivery_id] = now_s
        self._deliveries.sent(message.topic, now_s)
        self._connection.send(message, partial(self._answered, delivery_id, message))

    def _answered(self, delivery_id: int, message: Message, error: LinkError | None) -> None:
        """Tell the outbox. What is lost with the connection stays there: `disconnected` takes it back."""
        if isinstance(error, SessionLost):
            return
        self._sent_s.pop(delivery_id, None)
        now_s = self._clock().monotonic_s
        if isinstance(error, Unreachable):
            self._rest_until_s = now_s + REST_S
            self._outbox.again(delivery_id)
        else:
            asked = min(message.qos, self._connection.limits.maximum_qos) > 0
            since_s = self._outbox.done(delivery_id, answered=asked and not isinstance(error, ProtocolError))
            if error is None and since_s is not None:
                self._deliveries.acknowledged(message.topic, now_s - since_s, now_s)
        if error is not None:
            self._deliveries.refused(message, error)

    async def _receive(self) -> None:
        while True:
            self._arrived(await self._connection.incoming.get())


def command_subscriptions(topics: Topics) -> list[Subscription]:
    """Keep the retain flag: a retained command must be rejected and erased, never executed."""
    return [Subscription(each, no_local=True, retain_as_published=True) for each in topics.commands]


def own_state(topics: Topics) -> Subscription:
    """Receive our state topic: from other writers, and from us, which proves that we are delivered."""
    return Subscription(topics.state, retain_handling=2)


def hears_itself(connection: Connection) -> bool:
    """MQTT 3.1.1 has no `no local`: the broker sends us what we publish on a topic that we subscribe to."""
    return connection.protocol != MQTT_5
