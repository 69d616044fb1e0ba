"""Reads the retained states of our users when the bridge starts. Judges nothing: core/retained.py does.

Foreign states are erased while others still arrive, so that a bridge that is killed meanwhile has fewer of
them at its next start.
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
"""When nothing has come for this long, everything retained has come."""
LONGEST_S = 60.0
"""At most this long, whatever still comes: the next start continues."""
AT_ONCE, FLUSH_S = 50, 0.01
"""Erase AT_ONCE topics, then check every FLUSH_S whether they have been written to the socket."""
_WIDE = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
BACKLOG_TOPICS, BACKLOG_BYTES = 50_000, 2**23
"""How many topics may wait to be erased; the broker is asked again for the rest."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Whether our state topic was retained, and how many foreign topics were erased.

    `marked`: our own `offline` came back too. If it did not, the broker may have dropped messages from a
    full queue.
    """

    was_here: bool
    erased: int
    marked: bool


async def read_back(connection: Connection, topics: Topics, retained: Retained) -> ReadBack:
    """Let `retained` judge what an earlier run published.

    With QoS 0, because Mosquitto silently drops what exceeds its queue of 1,000 messages of QoS 1, and
    because no acknowledgement may be outstanding when the session starts to count them.
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
                return ReadBack(reading.was_here, reading.erased, reading.marked)


class _Reading:
    """Takes each message as it comes. Only topics that are to be erased wait here."""

    def __init__(self, connection: Connection, topics: Topics, retained: Retained) -> None:
        self.was_here = self.marked = False
        self.erased = 0
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
        """Receive messages directly, bypassing the connection's queue."""
        self._connection.listener = self._take
        self._connection.lost.add_done_callback(self._wake)
        try:
            yield
        finally:
            self._connection.listener = None
            self._connection.lost.remove_done_callback(self._wake)

    async def finish(self, end_s: float) -> bool:
        """Return when no more comes and foreign states are erased; False: the broker must be asked again.

        On most brokers our own `offline`, which is true at that moment, comes back last and marks the end.
        Some send retained messages after it, so there must also be silence. Messages without the retain flag
        do not count: others may keep publishing there.
        """
        self._heard_s = self._loop.time()
        while True:
            if self._connection.lost.done():
                raise self._connection.lost.result()
            self._erase_some()
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
        self._erase_some()

    def _erase_some(self) -> None:
        """With QoS 0, like the reading; the broker processes an erasure before whatever we send later."""
        if self._connection.writing:
            return
        for topic in [self._backlog.pop() for _ in range(min(AT_ONCE, len(self._backlog)))]:
            self._backlog_bytes -= len(topic)
            self.erased += 1
            self._connection.publish(Message(topic, None, retain=True, qos=0))

    def _wake(self, _lost: object) -> None:
        self._moved.set()


def judged(retained: Retained, user: str, payload: bytes) -> Verdict:
    """Judge a user's state; decode it only if it may be accepted."""
    size = weight(payload)
    verdict = retained.judge(user, size)
    return retained.take(user, size, _decoded(payload)) if verdict is Verdict.READ else verdict


def weight(payload: bytes) -> int:
    """The memory that the decoded texts may take: one emoji makes Python store its text four bytes wide."""
    return len(payload) * (4 if _WIDE.search(payload) else 1)


def _decoded(payload: bytes) -> object:
    """The JSON of a payload; None for anything else."""
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
