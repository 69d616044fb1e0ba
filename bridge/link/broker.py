"""The broker side of a link: runs MQTT sessions, one after the other, and routes what arrives.

Retries nothing: supervise.py calls `session` again and again.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bridge.core.line import ANSWERS
from bridge.core.liveness import Liveness
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.packet_limit import PacketLimit
from bridge.core.standby import AddressChoice
from bridge.core.takeover import Takeover
from bridge.core.topics import Topics
from bridge.errors import LinkError, Rejected, SessionLost, StandsBack, TakenOver
from bridge.link.deliveries import Deliveries
from bridge.link.dots import DotCheck
from bridge.link.earlier import EarlierRun
from bridge.link.mirror import Mirror
from bridge.link.standby import WayBack
from bridge.link.state_guard import StateGuard
from bridge.link.supervise import Up
from bridge.mqtt.client import Connection
from bridge.mqtt.encode import encode, packet_size
from bridge.mqtt.probe import ProbeResult
from bridge.mqtt.session import BrokerSession
from bridge.ops.observer import Observer

WATCH_S = 20.0
"""How long to wait for the end of another bridge before it is asked again whether it is there."""


class Dialer(Protocol):
    """The way to the broker."""

    def open(self, will: Message, attempt: int) -> AbstractAsyncContextManager[Connection]:
        """A connection that the broker has accepted; more patient with each attempt. Raises a LinkError."""
        ...

    async def probe(self, topics: Topics) -> ProbeResult:
        """Ask on the bus whether another bridge serves this PBX. Raises a LinkError."""
        ...

    async def until_offline(self, topics: Topics, within_s: float) -> None:
        """Wait until the other bridge may have ended. Raises a LinkError."""
        ...

    def answer_probe(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """Answer the same question of another bridge; False for any other message."""
        ...


@dataclass(frozen=True, slots=True)
class Brokers:
    """The ways to the brokers, the primary first, and which of them is used.

    `calm`: no request waits for its reply.
    """

    dialers: Sequence[Dialer]
    choice: AddressChoice
    calm: Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What was learned of one broker."""

    dialer: Dialer
    takeover: Takeover = field(default_factory=Takeover)
    packet_limit: PacketLimit = field(default_factory=PacketLimit)


@dataclass(frozen=True, slots=True)
class _Live:
    """The session that is open now."""

    broker: _Known
    connection: Connection
    session: BrokerSession
    deliveries: Deliveries


class BrokerSide:
    """The MQTT sessions of one link. `arrived` takes commands."""

    def __init__(
        self,
        brokers: Brokers,
        mirror: Mirror,
        earlier: EarlierRun,
        *,
        observer: Observer,
        clock: Callable[[], Instant],
        arrived: Callable[[Incoming], None],
        liveness: Liveness,
    ) -> None:
        self.earlier = earlier
        self.inbound_dropped: Counter[str] = Counter()
        self._brokers = tuple(map(_Known, brokers.dialers))
        self._choice = brokers.choice
        self._last: _Known | None = None
        self._mirror = mirror
        self._observer = observer
        self._clock = clock
        self._arrived = arrived
        self._liveness = liveness
        self._live: _Live | None = None
        self._way_back = WayBack(
            brokers.choice,
            look=self._look,
            calm=lambda: mirror.outbox.idle and brokers.calm(),
            clock=lambda: clock().monotonic_s,
            said=lambda: observer.returns("mqtt", brokers.choice.primary),
        )
        self._guard = StateGuard(mirror, observer.contradicted)
        self._dots = DotCheck(mirror.topics.dotted, observer.broker.limited)

    @property
    def heard_s(self) -> float | None:
        """When the broker last sent anything, in monotonic seconds; None without a session."""
        return None if self._live is None else self._live.connection.heard_s

    @property
    def effective(self) -> bool:
        """The broker delivers what we publish."""
        return self._live is not None and self._live.deliveries.proven

    def look(self) -> None:
        """Judge the session once a second."""
        if self._live is not None:
            self._count_inbound(self._live.connection)
            self._live.deliveries.look()

    async def flush(self, within_s: float) -> None:
        """Wait until the broker has acknowledged everything, but not longer than `within_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                if self._live is not None:
                    await self._live.session.drained()

    async def session(self, attempt: int, up: Up) -> None:
        """One session, until it breaks. Raises the LinkError that says why."""
        topics, broker = self._mirror.topics, self._brokers[self._choice.place]
        await self._probe_for_another_bridge(broker, topics)
        async with broker.dialer.open(Message(topics.state, "offline", retain=True), attempt) as connection:
            broker.takeover.no_other_bridge()
            for sentence in connection.limits.lacks:
                self._observer.broker.limited(sentence)
            await self.earlier.read(connection, moved=self._last not in (None, broker))
            self._last = broker
            live = self._live = self._new_session(connection, broker)
            self.earlier.connected(connection)
            self._mirror.refresh()
            up()
            try:
                if not self._mirror.scope.encode_dots:
                    await self._dots.ask(connection)
                await self._way_back.beside(live.session.serve(topics), connection.close)
            except LinkError as error:
                self._note_end(error, broker.takeover)
                if isinstance(error, Rejected) and self._mirror.outbox.answers_in_flight:
                    # Strangers choose where replies go: what they cause must not count as our configuration.
                    raise SessionLost(f"{error.reason} (at an answer to a request)") from None
                raise
            finally:
                self._leave(live)

    async def _look(self) -> bool:
        """Whether we belong to the primary broker: also if another bridge serves there, to stand back there.

        If we stayed because of it, both would serve for ever, each at its broker.
        """
        primary = self._brokers[0]
        try:
            result = await primary.dialer.probe(self._mirror.topics)
        except LinkError as error:
            return isinstance(error, Rejected)  # it answers, and may not let in the client id of the probe
        if result in {ProbeResult.BRIDGE, ProbeResult.ANYBODY}:
            primary.takeover.other_bridge()
        elif result is ProbeResult.NOBODY:
            primary.takeover.no_other_bridge()
        return True

    async def _probe_for_another_bridge(self, broker: _Known, topics: Topics) -> None:
        takeover = broker.takeover
        if not takeover.suspected:
            return
        try:
            if takeover.stands_back:
                await broker.dialer.until_offline(topics, WATCH_S)
            result = await broker.dialer.probe(topics)
        except LinkError:  # the probe's client id is not let in; or nobody is, as the connection will show
            return
        anybody = result is ProbeResult.ANYBODY and takeover.may_stand_back(self._clock().monotonic_s)
        if result is ProbeResult.BRIDGE or anybody:
            takeover.other_bridge()
            if result is ProbeResult.BRIDGE:
                self._mirror.outbox.forget_events()
            raise StandsBack(f"another bridge serves the PBX '{topics.pbx}' under the same client id")
        if result is not ProbeResult.NOBODY:
            self._observer.broker.impostor()
        takeover.no_other_bridge()

    def _new_session(self, connection: Connection, broker: _Known) -> _Live:
        deliveries = Deliveries(
            connection,
            self._mirror,
            broker.packet_limit,
            observer=self._observer,
            clock=self._clock,
            liveness=self._liveness,
        )
        session = BrokerSession(
            connection, self._mirror.outbox, clock=self._clock, arrived=self._route, deliveries=deliveries
        )
        return _Live(broker, connection, session, deliveries)

    def _note_end(self, error: LinkError, takeover: Takeover) -> None:
        taken_over = isinstance(error, TakenOver)
        if taken_over or isinstance(error, SessionLost):
            takeover.session_ended(self._clock().monotonic_s, taken_over=taken_over)
        if taken_over:
            self._mirror.contested()

    def _leave(self, live: _Live) -> None:
        self._live, connection = None, live.connection
        self.earlier.disconnected()
        self._count_inbound(connection)
        live.broker.packet_limit.taken(connection.largest_taken)
        now_s, by_broker = self._clock().monotonic_s, connection.ended_by_broker
        culprit = self._mirror.outbox.disconnected(now_s, by_broker=by_broker)
        if culprit is not None and culprit.kind in ANSWERS:
            self._observer.broker.answers_rest(culprit.message.topic, culprit.kind)
        elif culprit is not None:
            self._set_aside(culprit.message, live.broker.packet_limit, now_s)
        self._observer.left("mqtt")
        self._guard.cancel()

    def _set_aside(self, culprit: Message, packet_limit: PacketLimit, now_s: float) -> None:
        """The broker ends our sessions at this message: hold it back, so that the others get through.

        If it may be too large, every message of its size is held back; else its topic is forbidden.
        """
        size = packet_size(culprit, encode(culprit))
        too_large = packet_limit.blame(size, now_s)
        if not too_large:
            self._mirror.outbox.set_aside(culprit.topic, now_s)
        self._observer.broker.set_aside(culprit.topic, size, too_large=too_large)

    def _count_inbound(self, connection: Connection) -> None:
        if connection.oversized:
            self._observer.broker.oversized(connection.oversized_topic)
        self.inbound_dropped.update(inbound=connection.dropped, oversized=connection.oversized)
        connection.dropped = connection.oversized = 0

    def _route(self, incoming: Incoming) -> None:
        """Give a message of the broker to the part that it concerns."""
        live, topics = self._live, self._mirror.topics
        if live is None:
            return
        if incoming.topic == topics.state:
            live.deliveries.hear_state(incoming)
            self._guard.hear(incoming.payload)
        elif self._dots.hear(live.connection, incoming.topic):
            return
        elif topics.command_in(incoming.topic) is None:
            self.earlier.take(incoming)
        elif not live.deliveries.is_echo(incoming) and not live.broker.dialer.answer_probe(
            incoming, topics, self._mirror.reply
        ):
            self._arrived(incoming)
