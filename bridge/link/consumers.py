"""Programs that expect retained topics outside of our tree: what is left there, and when to tell all again.

Judges nothing itself: the outputs do. Retries nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import orjson

from bridge.core.message import Incoming, Message, Subscription
from bridge.core.outputs.consumer import Consumer, Finding
from bridge.errors import Rejected, SessionLost, Unreachable
from bridge.link.mirror import Mirror
from bridge.link.pbx import Later
from bridge.mqtt.client import Connection
from bridge.mqtt.readback import QUIET_S

LEFT_AT_MOST = 50_000
"""How many topics of an earlier run are looked at; the next start finds the others."""
READ_S = 30.0
"""At most this long, whatever still comes."""
ASKS = 2
"""In how many sessions we ask without success: a broker may end the session where a right is missing."""
SOON_S, SPREAD_S = 1.0, 4.0
"""After a start of the program all bridges tell all again, but not at once."""
REST_S = 60.0
"""At least, between two times: anybody who may write there can say `online`, as often as he likes."""
ONLINE = b"online"


class Consumers:
    """The consumers of one link. `random`: from 0 to 1. `limited` reports a lack of the broker."""

    def __init__(
        self,
        mirror: Mirror,
        *,
        later: Later,
        random: Callable[[], float],
        limited: Callable[..., None],
    ) -> None:
        self._mirror = mirror
        self._later = later
        self._random = random
        self._limited = limited
        self._all = mirror.consumers
        self._births = frozenset(each.birth for each in self._all if each.birth is not None)
        self._has_read = False
        self._asked = 0
        self._due = False
        self._waits = False

    async def read(self, connection: Connection) -> None:
        """Find, once, what earlier runs left on the topics of the consumers, and subscribe to their births.

        Raises SessionLost.
        """
        if self._asked >= ASKS:
            return
        self._asked += 1
        if not self._has_read:
            for consumer in self._all:
                await self._read(connection, consumer)
            self._has_read = True
        if self._births:
            await self._subscribe(connection, sorted(self._births), "it is told again only after a reconnect")
        self._asked = 0

    def hear(self, incoming: Incoming) -> bool:
        """Take the birth of a consumer; False for any other message."""
        if incoming.topic not in self._births:
            return False
        if incoming.payload == ONLINE and not incoming.retain:
            self._tell_soon()
        return True

    async def _read(self, connection: Connection, consumer: Consumer) -> None:
        reading = _Reading(connection, consumer)
        connection.listener = reading.take
        try:
            for each in consumer.filters:
                lack = "what it no longer needs stays" if each in consumer.written else ""
                await self._subscribe(connection, [each], lack, qos=0)
            await reading.until_quiet()
        finally:
            connection.listener = None
        if connection.lost.done():
            raise SessionLost(connection.lost.result().reason)
        connection.unsubscribe(consumer.filters)
        self._mirror.found_elsewhere(reading.ours)
        if reading.outdated and consumer.written:
            # The consumer may still be busy with their removal when the new ones come, and refuse those.
            self._tell_soon()

    async def _subscribe(
        self, connection: Connection, filters: Sequence[str], lack: str, qos: int = 1
    ) -> None:
        """Subscribe, and report what is lacking without the right to."""
        try:
            await connection.subscribe([Subscription(each, qos=qos) for each in filters])
        except (Rejected, Unreachable):
            if lack:
                reason = f"it refuses a subscription to {filters[0]}: {lack}"
                self._limited(reason, hint="grant the right to read it (docs/home-assistant.md)")

    def _tell_soon(self) -> None:
        self._due = True
        if not self._waits:
            self._waits = True
            self._later(SOON_S + SPREAD_S * self._random(), self._tell)

    def _tell(self) -> None:
        self._waits = self._due
        if self._due:
            self._due = False
            self._later(REST_S, self._tell)
            self._mirror.tell_consumers()


class _Reading:
    """Takes what is retained on the topics of a consumer, and erases what is outdated."""

    def __init__(self, connection: Connection, consumer: Consumer) -> None:
        self.ours: set[str] = set()
        self.outdated = 0
        self._connection = connection
        self._consumer = consumer
        self._heard = asyncio.Event()

    def take(self, incoming: Incoming) -> None:
        """Judge one message."""
        if not incoming.retain:
            return
        # Others' too: ours may come after thousands of them. Their number is finite, unlike that of new ones.
        self._heard.set()
        payload = incoming.payload
        if self._consumer.mark not in payload:
            return
        if len(self.ours) + self.outdated >= LEFT_AT_MOST:
            return
        finding = self._consumer.judge(incoming.topic, _decoded(payload))
        if finding is Finding.OURS:
            self.ours.add(incoming.topic)
        elif finding is Finding.OUTDATED:
            self.outdated += 1
            self._connection.publish(Message(incoming.topic, None, retain=True, qos=0))

    async def until_quiet(self) -> None:
        """Return when nothing more comes, or the connection is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_S):
                while not self._connection.lost.done():
                    self._heard.clear()
                    async with asyncio.timeout(QUIET_S):
                        await self._heard.wait()


def _decoded(payload: bytes) -> dict[str, object]:
    """The JSON object of a payload; an empty one for anything else."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
