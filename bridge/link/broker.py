"""The MQTT half of a link: opens sessions, reads back what an earlier run told, guards our own state topic.

Retries nothing: supervise.py runs `session` again and again.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from bridge.core.echoes import REST_S, Echoes
from bridge.core.effect import Effect
from bridge.core.line import ANSWERS
from bridge.core.liveness import OUTBOX, Liveness
from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.core.model import Instant
from bridge.core.outbox import SET_ASIDE_S
from bridge.core.records import UserRecord
from bridge.core.restore import Memory
from bridge.core.retained import Retained
from bridge.core.takeover import Takeover
from bridge.core.topics import Topics
from bridge.errors import LinkError, Rejected, SessionLost, StandsBack, TakenOver, Unreachable
from bridge.link.mirror import Mirror
from bridge.link.recall import Recall
from bridge.link.supervise import Up
from bridge.mqtt.client import Connection
from bridge.mqtt.encode import encode, packet_size
from bridge.mqtt.probe import ProbeResult
from bridge.mqtt.readback import read_back
from bridge.mqtt.session import BrokerSession, hears_itself
from bridge.ops.observer import Observer

CORRECTION_S = 0.5
RECALL_AGAIN_S = 1.0
DOT_ASKS = 2
"""How many sessions are risked to learn what becomes of dots: a broker may close where a right is missing."""
SMALL_BYTES = 1024
"""A message of this size is not too large for a broker: if it ends sessions, its topic is forbidden."""
Arrived = Callable[[Incoming], None]


class Dialer(Protocol):
    """The way to the broker."""

    def open(self, will: Message, attempt: int) -> AbstractAsyncContextManager[Connection]:
        """A connection that the broker has accepted; more patient with each attempt. Raises a LinkError."""
        ...

    async def probe(self, topics: Topics) -> ProbeResult:
        """Find out whether another bridge serves this PBX. Raises a LinkError."""
        ...

    def answer_probe(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """Answer another bridge that asks the same of us; False for any other message."""
        ...


class BrokerSide:
    """The MQTT sessions of one link. `arrived` hears commands."""

    def __init__(
        self,
        dialer: Dialer,
        mirror: Mirror,
        memory: Memory,
        *,
        observer: Observer,
        clock: Callable[[], Instant],
        arrived: Arrived,
        liveness: Liveness,
    ) -> None:
        self.remembers = asyncio.Event()
        self.has_read = asyncio.Event()
        self._open = asyncio.Event()
        self._recall: Recall | None = None
        self.inbound_dropped: Counter[str] = Counter()
        self._dialer = dialer
        self._mirror = mirror
        self._memory = memory
        self._observer = observer
        self._clock = clock
        self._arrived = arrived
        self._liveness = liveness
        self._takeover = Takeover()
        self._session: BrokerSession | None = None
        self._connection: Connection | None = None
        self._effect: Effect | None = None
        self._largest_taken = 0
        self._learned: tuple[int, float] | None = None
        self._dot_asks = 0
        self._announced = BrokerLimits()
        self._aside: frozenset[str] = frozenset()
        self._echoes = Echoes()
        self._hears_itself = False
        self._correction: asyncio.TimerHandle | None = None
        self._heard = b""

    @property
    def heard_s(self) -> float | None:
        """When the broker last said anything, in monotonic seconds; None without a session."""
        return None if self._session is None else self._session.heard_s

    @property
    def effective(self) -> bool:
        """The broker delivers what we publish."""
        return self._effect is not None and self._effect.proven

    def look(self) -> None:
        """Judge once a second whether what we publish takes effect, and try again what was refused."""
        if self._connection is not None:
            self._count_inbound(self._connection)
            self._end_of_rest(self._connection)
        if self._echoes.is_missing(self._clock().monotonic_s):
            self._mirror.outbox.pause_erasures(self._clock().monotonic_s + REST_S)
            reason = "a retained command stays though the bridge has deleted it"
            self._observer.limited(reason, hint="grant the right to write the command topics")
        if self._effect is not None:
            again = self._effect.look(self._clock().monotonic_s)
            if again:
                self._mirror.say_again(again)
            self._tell(self._effect)

    async def flush(self, within_s: float) -> None:
        """Wait until the broker has acknowledged the last word, but not longer than `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                if self._session is not None:
                    await self._session.drained()

    async def session(self, attempt: int, up: Up) -> None:
        """One session, until it breaks. Raises the LinkError that says why."""
        topics = self._mirror.topics
        await self._probe_for_another_bridge(topics)
        async with self._dialer.open(Message(topics.state, "offline", retain=True), attempt) as connection:
            self._takeover.no_other_bridge()
            for sentence in connection.limits.lacks:
                self._observer.limited(sentence)
            if not self.remembers.is_set():
                await self._read_back(connection)
            session = self._session = self._new_session(connection)
            self._mirror.outbox.refresh(self._mirror.tree(), self._clock().monotonic_s)
            up()
            try:
                await self._look_for_dots(connection)
                await session.serve(topics)
            except LinkError as error:
                self._note_end(error)
                if isinstance(error, Rejected) and self._mirror.outbox.answers_in_flight:
                    raise SessionLost(f"{error.reason} (at an answer to a request)") from None
                raise
            finally:
                self._leave(connection)

    async def _read_back(self, connection: Connection) -> None:
        """Remember the earlier run; not yet, where it must be asked for user by user: see `recall`."""
        retained = self._new_retained()
        found = await read_back(connection, self._mirror.topics, retained)
        self._observer.cleared(found.cleared)
        if retained.users and not (found.marked or self._memory.users):
            reason = "it does not deliver all that is retained: calls and counts of some users are forgotten"
            self._observer.limited(reason, hint="let it queue more messages than users, or set state_dir")
        self.has_read.set()
        told = retained.users or found.cleared
        if told or not found.was_here or not connection.limits.retain_available:
            self._remember(retained)

    def _new_retained(self) -> Retained:
        return Retained(self._memory, self._mirror.scope, self._clock)

    def _remember(self, retained: Retained) -> None:
        self._mirror.restore(retained.users)
        self._observer.left_out(retained.left_out)
        self._memory = Memory()
        self.remembers.set()

    async def recall(self, records: Sequence[UserRecord]) -> None:
        """Read back what was told of these users, topic by topic, in as many sessions as it takes."""
        while not self.remembers.is_set():
            await self._open.wait()
            retained = self._new_retained()
            recall = Recall.of(self._mirror.topics, records, self._mirror.scope.topic_id, retained)
            connection, self._recall = self._connection, recall
            try:
                if connection is not None:
                    await recall.read(connection)
                    self._remember(retained)
                    self._mirror.outbox.refresh(self._mirror.tree(), self._clock().monotonic_s)
            except LinkError:  # the session may go on all the same: ask it again
                await asyncio.sleep(RECALL_AGAIN_S)
            finally:
                self._recall = None
            if recall.refused:
                reason = "it refuses to tell what is retained of some users: their old calls get no end"
                self._observer.limited(reason, hint="grant the right to read user/+/state, or set state_dir")
            if recall.found:
                reason = "retained messages do not come for wildcards: users deleted while we were away stay"
                self._observer.limited(reason, hint="set state_dir, so that the bridge knows them by itself")

    async def _look_for_dots(self, connection: Connection) -> None:
        """Some brokers turn dots into slashes: publish one and look how it comes back."""
        topic = self._mirror.topics.dotted
        if not self._mirror.scope.encode_dots and self._dot_asks < DOT_ASKS:
            self._dot_asks += 1
            with contextlib.suppress(Rejected, Unreachable):  # a missing right is not ours to judge here
                await connection.subscribe([Subscription(topic, qos=0)])
                connection.publish(Message(topic, None, qos=0))

    def _hear_dots(self, connection: Connection, topic: str) -> bool:
        """Judge our dotted topic as it came back."""
        asked = self._mirror.topics.dotted
        if topic not in {asked, asked.replace(".", "/")}:
            return False
        self._dot_asks = 0
        if topic != asked:
            reason = "it turns dots into slashes: topics of users with a dot in their names are wrong"
            self._observer.limited(reason, hint="set mqtt.encode_dots: true")
        connection.unsubscribe([asked])
        return True

    async def _probe_for_another_bridge(self, topics: Topics) -> None:
        if not self._takeover.suspected:
            return
        try:
            found = await self._dialer.probe(topics)
        except LinkError:  # another client id is not let in; or nobody is, as the connection will say
            return
        anybody = found is ProbeResult.ANYBODY and self._takeover.may_stand_back(self._clock().monotonic_s)
        if found is ProbeResult.BRIDGE or anybody:
            raise StandsBack(f"another bridge serves the PBX '{topics.pbx}' under the same client id")
        if found is not ProbeResult.NOBODY:
            self._observer.impostor()
        self._takeover.no_other_bridge()

    def _note_end(self, error: LinkError) -> None:
        taken_over = isinstance(error, TakenOver)
        if taken_over or isinstance(error, SessionLost):
            self._takeover.session_ended(self._clock().monotonic_s, taken_over=taken_over)
        if taken_over:
            self._mirror.contested()

    def _leave(self, connection: Connection) -> None:
        self._session, self._connection, self._effect = None, None, None
        self._open.clear()
        self._count_inbound(connection)
        self._largest_taken = max(self._largest_taken, connection.largest_taken)
        now_s, by_broker = self._clock().monotonic_s, connection.ended_by_broker
        culprit = self._mirror.outbox.disconnected(now_s, by_broker=by_broker)
        if culprit is not None and culprit.kind in ANSWERS:
            self._observer.answers_rest(culprit.message.topic, culprit.kind)
        elif culprit is not None:
            self._set_aside(culprit.message)
        self._observer.left("mqtt")
        if self._correction is not None:
            self._correction.cancel()
            self._correction = None

    def _new_session(self, connection: Connection) -> BrokerSession:
        settings = connection.settings
        self._connection = connection
        self._echoes, self._hears_itself = Echoes(), hears_itself(connection)
        self._effect = Effect(self._mirror.topics.state, settings.place, settings.connect_timeout_s)
        now_s = self._clock().monotonic_s
        self._announced = connection.limits
        if self._learned is not None and now_s < self._learned[1]:
            connection.limits = connection.limits.lowered(self._learned[0])
        self._open.set()
        self._aside = frozenset(self._mirror.outbox.aside(now_s))
        for topic in self._aside:
            self._effect.refuse(
                topic, f"the broker ends the connection when it gets {topic}", now_s, again=False
            )
        return BrokerSession(connection, self._mirror.outbox, clock=self._clock, events=self)

    def _end_of_rest(self, connection: Connection) -> None:
        """What was set aside may be sent again: tell everything, nothing else would before it changes."""
        now_s = self._clock().monotonic_s
        over = not self._aside <= {*self._mirror.outbox.aside(now_s)}
        if self._learned is not None and now_s >= self._learned[1]:
            self._learned, connection.limits, over = None, self._announced, True
        if over:
            self._aside = frozenset(self._mirror.outbox.aside(now_s))
            self._mirror.republish()

    def _count_inbound(self, connection: Connection) -> None:
        if connection.oversized:
            self._observer.oversized(connection.oversized_topic)
        self.inbound_dropped.update(inbound=connection.dropped, oversized=connection.oversized)
        connection.dropped = connection.oversized = 0

    def _set_aside(self, culprit: Message) -> None:
        """The broker ends our sessions at this message: never mind why, the rest must go on.

        One that is not small, and larger than all that it has taken, is too large: so is each of this size.
        Else its topic is forbidden.
        """
        now_s, size = self._clock().monotonic_s, packet_size(culprit, encode(culprit))
        too_large = size > max(self._largest_taken, SMALL_BYTES)
        if too_large:
            self._learned = size - 1, now_s + SET_ASIDE_S
        else:
            self._mirror.outbox.set_aside(culprit.topic, now_s)
        self._observer.set_aside(culprit.topic, size, too_large=too_large)

    def arrived(self, incoming: Incoming) -> None:
        """The broker delivered a message (SessionEvents)."""
        if incoming.topic == self._mirror.topics.state:
            self._hear_state(incoming)
        elif self._connection is None or self._hear_dots(self._connection, incoming.topic):
            return
        elif self._mirror.topics.command_in(incoming.topic) is not None:
            self._hear_command(incoming)
        elif self._recall is not None:  # else a state of a user comes too late to be remembered
            self._recall.take(incoming)

    def _hear_command(self, incoming: Incoming) -> None:
        """A command, the echo of a deletion of ours, or the question of another bridge."""
        topics, now_s = self._mirror.topics, self._clock().monotonic_s
        is_empty = not incoming.payload and not incoming.retain
        if is_empty and self._echoes.is_echo(incoming.topic, now_s):
            return
        if not self._dialer.answer_probe(incoming, topics, self._mirror.reply):
            self._arrived(incoming)

    def sent(self, topic: str) -> None:
        """A message is on its way (SessionEvents)."""
        if self._effect is not None:
            self._effect.sent(topic, self._clock().monotonic_s)
        if self._hears_itself and self._mirror.topics.command_in(topic) is not None:
            self._echoes.sent(topic)

    def acknowledged(self, topic: str, seconds: float) -> None:
        """The broker has a message (SessionEvents)."""
        self._liveness.alive(OUTBOX, self._clock().monotonic_s)
        self._observer.acknowledged(seconds)
        self._echoes.acknowledged(topic, self._clock().monotonic_s)
        if self._effect is not None:
            self._effect.accepted(topic)

    def refused(self, message: Message, error: LinkError) -> None:
        """The broker does not take a message (SessionEvents).

        A topic of ours counts as refused until the broker takes something there. Others choose where replies
        go and what is cleared from command topics, and an event that is too large is one event only.
        """
        self._observer.refused(message.topic, error)
        not_ours = self._mirror.topics.command_in(message.topic) is not None
        if self._effect is None or not_ours or isinstance(error, Unreachable):
            return
        denied = isinstance(error, Rejected)
        if message.retain or (denied and message.topic.endswith("/event")):
            now_s = self._clock().monotonic_s
            self._effect.refuse(message.topic, error.reason, now_s, again=denied and message.retain)
            self._tell(self._effect)

    def _tell(self, effect: Effect) -> None:
        self._observer.refused_topics(effect.refused, effect.refused_count)
        if effect.problem:
            self._observer.no_effect(effect.problem)

    def _hear_state(self, incoming: Incoming) -> None:
        """Our state on the bus: our own words prove that we are heard, those of others are corrected."""
        if self._effect is not None and self._mirror.says(incoming.payload) and not incoming.retain:
            self._take_effect(self._effect)
        self._guard_state(incoming)

    def _take_effect(self, effect: Effect) -> None:
        if not effect.proven and self._connection is not None:
            if effect.problem:  # what was swallowed meanwhile is told again
                self._mirror.outbox.refresh(self._mirror.tree(), self._clock().monotonic_s)
            self._observer.up("mqtt", protocol=self._connection.protocol)
        effect.heard()

    def _guard_state(self, incoming: Incoming) -> None:
        """Somebody, or somebody's late will, may say what is not true of us: put it right.

        After a moment only: an MQTT 3.1.1 broker sends us our own words too, older ones first.
        """
        self._heard = incoming.payload
        if self._correction is None and not self._mirror.says(self._heard):
            loop = asyncio.get_running_loop()
            self._correction = loop.call_later(CORRECTION_S, self._correct)

    def _correct(self) -> None:
        self._correction = None
        if not self._mirror.says(self._heard):
            self._mirror.contested()
            self._observer.contradicted()
