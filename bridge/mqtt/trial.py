"""Tests the bridge's rights at a broker by using each of them. Judges none of them: core/rights.py does.

It disturbs neither a running bridge nor its listeners: it has its own client ids, retains nothing, uses a
user and a PBX that do not exist, and sends commands that have expired. It publishes what programs act on
only if no bridge serves the PBX, and then it is true.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bridge.core.message import Message, Subscription
from bridge.core.rights import CHECK, Seen, TrialTopic, outside
from bridge.core.topics import Topics
from bridge.errors import LinkError, Rejected, SessionLost, TakenOver, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.observations import Observations
from bridge.mqtt.settings import MQTT_3, MQTT_5, BrokerSettings
from bridge.mqtt.shared_id import ONE_ID

LONG_AGO = "2000-01-01T00:00:00Z"
QUIET_S = 0.3
"""When nothing has come for this long, retained messages and answers have all come."""
BROKER_VERSION = "$SYS/broker/version"
"""Retained, and useless to the bridge: receiving it shows the right to read $SYS."""
ABOUT_THE_ID = ("Not authorized", "Client identifier")
"""Parts of reasons that may be about the client id."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of a trial. `served`: a bridge serves this PBX now; `notes`: what is unusual."""

    protocol: str
    seen: Seen
    served: bool
    notes: tuple[str, ...] = ()


async def try_out(
    settings: BrokerSettings, topics: Topics, trial_topics: tuple[TrialTopic, ...], *, one_id: bool = False
) -> TrialResult:
    """Test every right. Raises a LinkError if that is impossible.

    An MQTT 3.1.1 broker does not say what it rejects, so MQTT 5 is tried too if the broker speaks it.
    `one_id`: the result of `one_id_for_all`.
    """
    first = await _Trial(settings, topics, trial_topics, one_id=one_id).run()
    if first.protocol == MQTT_5 or settings.protocol != MQTT_3:
        return first
    newer = replace(settings, protocol=MQTT_5, connect_timeout_s=settings.trial_s)
    with contextlib.suppress(LinkError):
        second = await _Trial(newer, topics, trial_topics, one_id=one_id).run()
        return replace(first, seen=first.seen.completed(second.seen))
    return first


class _Trial:
    """One trial with one protocol; a new connection each time that the broker ends one."""

    def __init__(
        self, settings: BrokerSettings, topics: Topics, trial_topics: tuple[TrialTopic, ...], *, one_id: bool
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._trial_topics = trial_topics
        self._one_id = one_id
        self._observed = Observations(topics)
        self._stack = contextlib.AsyncExitStack()
        self._connection: Connection | None = None
        self._connected = 0
        self._granted: list[Subscription] = []
        self._listening: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    async def run(self) -> TrialResult:
        """Raises a LinkError."""
        try:
            async with self._stack:
                return await self._run()
        finally:
            for task in self._listening:
                task.cancel()
            await asyncio.gather(*self._listening, return_exceptions=True)

    async def _run(self) -> TrialResult:
        connection = await self._open()
        await self._subscribe(connection)
        await self._wait_for(lambda: self._observed.served, QUIET_S)
        await self._try([tried for tried in self._trial_topics if not tried.live and not tried.private])
        if not self._observed.served:
            # A running bridge replies to the ping, if only that it has expired.
            await self._wait_for(lambda: self._observed.served, QUIET_S)
        if not self._observed.served and self._observed.would_know:
            await self._try([tried for tried in self._trial_topics if tried.live])
            await self._try_will()
        await self._try_outside()
        seen = self._observed.seen(honest=connection.protocol == MQTT_5)
        return TrialResult(connection.protocol, seen, self._observed.served, self._notes(connection))

    async def _open(self) -> Connection:
        """The connection, or a new one if the broker has ended it. Raises a LinkError."""
        if self._connection is not None and not self._connection.lost.done():
            return self._connection
        if self._connection is not None and (
            self._one_id or isinstance(self._connection.lost.result(), TakenOver)
        ):
            raise Rejected(f"another client has disconnected the check, maybe a running bridge: {ONE_ID}")
        self._connected += 1
        mine = self._settings.with_client_id(f"{self._settings.client_id}-check-{self._connected}")
        will = Message(self._topics.user_state(CHECK), None, retain=True)
        try:
            connection = await self._stack.enter_async_context(connect(mine, will))
        except Rejected as error:
            if not any(words in error.reason for words in ABOUT_THE_ID):
                raise
            hint = f"the check uses its own client ids, like {mine.client_id}: are they allowed?"
            raise Rejected(f"{error.reason} ({hint})") from None
        connection.needs_no_will()
        self._connection = connection
        self._listening.append(asyncio.create_task(self._listen(connection), name="listen"))
        for each in self._granted:
            await connection.subscribe([each])
        return connection

    def _leave(self) -> None:
        """Use another connection from now on: after a refusal the broker may end this one a moment later."""
        if not self._one_id:
            self._connection = None

    async def _subscribe(self, connection: Connection) -> None:
        """Subscribe like the bridge, but also to what we publish, and to what only shows excess rights."""
        for tried in self._trial_topics:
            if tried.read is not None and not await self._may_hear(self._subscription(tried)):
                self._observed.deaf.add(tried.listen)
        more = [f"{self._topics.base}/+/info", BROKER_VERSION]
        if connection.protocol != MQTT_5:  # delivery is then the only sign that a publish was accepted
            more += [tried.listen for tried in self._trial_topics if tried.read is None]
        for each in more:
            await self._may_hear(Subscription(each))

    def _subscription(self, tried: TrialTopic) -> Subscription:
        """Ask for retained messages only on the state topic of the PBX."""
        wanted = tried.topic == self._topics.state
        return Subscription(tried.listen, qos=1 if wanted else 0, retain_handling=0 if wanted else 2)

    async def _may_hear(self, subscription: Subscription) -> bool:
        connection = await self._open()
        try:
            await connection.subscribe([subscription])
        except (Rejected, SessionLost):
            self._leave()
            return False
        self._granted.append(subscription)
        return True

    async def _try(self, trial_topics: Sequence[TrialTopic]) -> None:
        """Publish, and wait until everything that we may read has come back."""
        for tried in trial_topics:
            await self._publish(self._message(tried))
        if any(tried.topic == self._topics.user_state(CHECK) for tried in trial_topics):
            await self._publish(Message(self._topics.user_state(CHECK), None, retain=True))
        due = {
            tried.topic
            for tried in trial_topics
            if tried.read is not None and tried.listen not in self._observed.deaf
        }
        due &= self._observed.taken
        await self._wait_for(lambda: due <= self._observed.heard, self._settings.connect_timeout_s)

    def _message(self, tried: TrialTopic) -> Message:
        if tried.topic == self._topics.state:
            self._observed.state_published = True
            return Message(tried.topic, "offline")
        if tried.topic == self._topics.info:
            info = {"schema": 1, "pbx": self._topics.pbx, "link": "stopped", "reason": self._observed.token}
            return Message(tried.topic, info)
        return Message(tried.topic, {"id": self._observed.token, "expires_at": LONG_AGO})

    async def _try_will(self) -> None:
        """Connect with the bridge's Last Will; DISCONNECT discards it."""
        mine = self._settings.with_client_id(f"{self._settings.client_id}-check-will")
        if not self._one_id:
            async with connect(mine, Message(self._topics.state, "offline", retain=True)) as connection:
                connection.needs_no_will()

    async def _try_outside(self) -> None:
        """Publish where the bridge must not write: empty messages, which retain nothing."""
        topics = outside(self._topics)
        for topic in topics:
            await self._may_hear(Subscription(topic))
            await self._publish(Message(topic, None))
        await self._wait_for(lambda: topics.keys() <= self._observed.heard | self._observed.refused, QUIET_S)

    async def _publish(self, message: Message) -> None:
        """Publish, and note the broker's answer. Ending the connection counts as a refusal."""
        connection = await self._open()
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await connection.publish(message)
        except TimeoutError:
            raise Unreachable(f"the broker did not acknowledge a message on {message.topic}") from None
        except Rejected:
            self._observed.refused.add(message.topic)
            self._leave()
        except SessionLost:
            self._observed.closed.add(message.topic)
            self._observed.refused.add(message.topic)
        else:
            self._observed.taken.add(message.topic)

    async def _wait_for(self, condition: Callable[[], bool], within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

    async def _listen(self, connection: Connection) -> None:
        while True:
            self._observed.hear(await connection.incoming.get())
            self._news.set()

    def _notes(self, connection: Connection) -> tuple[str, ...]:
        dots = (
            ["it turns dots into slashes: set mqtt.encode_dots: true"] if self._observed.changes_dots else []
        )
        return (*connection.limits.lacks, *dots)
