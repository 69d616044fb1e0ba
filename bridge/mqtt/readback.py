"""Reads back what is retained of our users when the bridge starts. Judges nothing: core/retained.py does.

What is foreign is cleared while the rest still comes, so that a bridge that is killed meanwhile has less of
it at the next start.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from bridge.core.message import Incoming, Message, Subscription
from bridge.core.retained import Retained, Verdict
from bridge.core.topics import Topics
from bridge.mqtt.client import Connection

QUIET_S = 0.3
"""Nothing for this long: all that is retained has come."""
LONGEST_S = 60.0
"""For this long at most, whatever still comes: the next start goes on with it."""
AT_ONCE, FLUSH_S = 50, 0.01
"""As many topics are cleared, then they must have left us, which is looked at in these intervals."""
_WIDE = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
BACKLOG_TOPICS, BACKLOG_BYTES = 50_000, 2**23
"""As many topics wait to be cleared; the broker is asked again for what is beyond that."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Whether our own state topic was retained, and how many foreign topics were cleared.

    `marked`: our own word came back too. Without it a broker may have dropped what its queue could not hold.
    """

    was_here: bool
    cleared: int
    marked: bool


async def read_back(connection: Connection, topics: Topics, retained: Retained) -> ReadBack:
    """Let `retained` judge what an earlier run published.

    QoS 0: Mosquitto silently drops what exceeds its queue of 1,000 messages of QoS 1, and no
    acknowledgement of ours may be outstanding when the session begins to count them.
    """
    reading = _Reading(connection, topics, retained)
    filters = (Subscription(topics.state, qos=0), Subscription(topics.user_states, qos=0, no_local=True))
    end_s = asyncio.get_running_loop().time() + LONGEST_S
    with reading.listening():
        while True:
            await connection.subscribe(filters)
            connection.publish(Message(topics.state, "offline", retain=True, qos=0))
            complete = await reading.finish(end_s)
            connection.unsubscribe([each.topic_filter for each in filters])
            if complete:
                return ReadBack(reading.was_here, reading.cleared, reading.marked)


class _Reading:
    """Takes each message as it comes: nothing waits here but the topics that are to be cleared."""

    def __init__(self, connection: Connection, topics: Topics, retained: Retained) -> None:
        self.was_here = self.marked = False
        self.cleared = 0
        self._connection = connection
        self._topics = topics
        self._retained = retained
        self._loop = asyncio.get_running_loop()
        self._moved = asyncio.Event()
        self._backlog: list[str] = []
        self._backlog_bytes = 0
        self._beyond = False
        self._quiet_s = connection.settings.connect_timeout_s
        self._heard_s = self._loop.time()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear the connection instead of its queue."""
        self._connection.listener = self._take
        self._connection.lost.add_done_callback(self._wake)
        try:
            yield
        finally:
            self._connection.listener = None
            self._connection.lost.remove_done_callback(self._wake)

    async def finish(self, end_s: float) -> bool:
        """Return when it is quiet and what is foreign is cleared; False: the broker must be asked again.

        Our own `offline`, which is true at that moment, comes back and marks the end on most brokers. Others
        send what is retained later, so that it must also have become quiet. What is not retained does not
        count: others may go on publishing there.
        """
        self._heard_s = self._loop.time()
        while True:
            if self._connection.lost.done():
                raise self._connection.lost.result()
            self._clear_some()
            now_s = self._loop.time()
            due_s = now_s + FLUSH_S if self._backlog else self._heard_s + self._quiet_s
            if now_s >= min(due_s, end_s):
                break
            self._moved.clear()
            timer = self._loop.call_later(min(due_s, end_s) - now_s, self._moved.set)
            await self._moved.wait()
            timer.cancel()
        beyond, self._beyond = self._beyond, False
        return not beyond or now_s >= end_s

    def _take(self, incoming: Incoming) -> None:
        if incoming.topic == self._topics.state:
            self._heard_s = self._loop.time()
            self.was_here = self.was_here or incoming.retain
            if not incoming.retain:
                self._quiet_s, self.marked = QUIET_S, True
                self._moved.set()
            return
        user = self._topics.user_in_state(incoming.topic)
        if user is None or not incoming.retain or not incoming.payload:
            return
        self._heard_s = self._loop.time()
        if judged(self._retained, user, incoming.payload) is Verdict.FOREIGN:
            self._note_foreign(incoming.topic)

    def _note_foreign(self, topic: str) -> None:
        if len(self._backlog) >= BACKLOG_TOPICS or self._backlog_bytes >= BACKLOG_BYTES:
            self._beyond = True
            return
        self._backlog.append(topic)
        self._backlog_bytes += len(topic)
        self._clear_some()

    def _clear_some(self) -> None:
        """QoS 0, like the reading: each is read before all that we send later."""
        if self._connection.writing:
            return
        for topic in [self._backlog.pop() for _ in range(min(AT_ONCE, len(self._backlog)))]:
            self._backlog_bytes -= len(topic)
            self.cleared += 1
            self._connection.publish(Message(topic, None, retain=True, qos=0))

    def _wake(self, _lost: object) -> None:
        self._moved.set()


def judged(retained: Retained, user: str, payload: bytes) -> Verdict:
    """What is to be done with this state of a user; it is decoded only where it may be taken."""
    size = weight(payload)
    verdict = retained.judge(user, size)
    return retained.take(user, size, _decoded(payload)) if verdict is Verdict.READ else verdict


def weight(payload: bytes) -> int:
    """What the texts of a payload may take: one emoji makes each letter of its text four bytes wide."""
    return len(payload) * (4 if _WIDE.search(payload) else 1)


def _decoded(payload: bytes) -> object:
    """The JSON of a payload; None for anything else."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
