"""Judges what a broker does with our messages in one session: delivers, rejects or drops. Sends nothing."""

from collections.abc import Callable

from bridge.core.echoes import REST_S, Echoes
from bridge.core.effect import Effect
from bridge.core.liveness import OUTBOX, Liveness
from bridge.core.message import Incoming, Message
from bridge.core.model import Instant
from bridge.core.packet_limit import PacketLimit
from bridge.errors import LinkError, Rejected, Unreachable
from bridge.link.mirror import Mirror
from bridge.mqtt.client import Connection
from bridge.mqtt.session import hears_itself
from bridge.ops.observer import Observer


class Deliveries:
    """Follows each message of one session to its acknowledgement, and our state back to us."""

    def __init__(
        self,
        connection: Connection,
        mirror: Mirror,
        packet_limit: PacketLimit,
        *,
        observer: Observer,
        clock: Callable[[], Instant],
        liveness: Liveness,
    ) -> None:
        self._connection = connection
        self._mirror = mirror
        self._packet_limit = packet_limit
        self._observer = observer
        self._clock = clock
        self._liveness = liveness
        settings, now_s = connection.settings, clock().monotonic_s
        self._effect = Effect(mirror.topics.state, settings.place, settings.connect_timeout_s)
        self._echoes = Echoes()
        self._hears_itself = hears_itself(connection)
        self._announced = connection.limits
        connection.limits = packet_limit.lower(connection.limits, now_s)
        self._aside = frozenset(mirror.outbox.aside(now_s))
        for topic in self._aside:
            reason = f"the broker ends the connection when it gets {topic}"
            self._effect.refuse(topic, reason, now_s, again=False)

    @property
    def proven(self) -> bool:
        """The broker delivers what we publish."""
        return self._effect.proven

    def look(self) -> None:
        """Judge what is overdue, once a second, and retry what may work now."""
        now_s = self._clock().monotonic_s
        self._end_of_rest(now_s)
        if self._echoes.is_missing(now_s):
            self._mirror.outbox.pause_erasures(now_s + REST_S)
            reason = "it keeps a retained command that the bridge has erased"
            self._observer.broker.limited(reason, hint="grant the right to write the command topics")
        again = self._effect.look(now_s)
        if again:
            self._mirror.say_again(again)
        self._report()

    def sent(self, topic: str, now_s: float) -> None:
        """A message is on its way (DeliveryEvents)."""
        self._effect.sent(topic, now_s)
        if self._hears_itself and self._mirror.topics.command_in(topic) is not None:
            self._echoes.sent(topic)

    def acknowledged(self, topic: str, seconds: float, now_s: float) -> None:
        """The broker has a message (DeliveryEvents)."""
        self._liveness.alive(OUTBOX, now_s)
        self._observer.broker.acknowledged(seconds)
        self._echoes.acknowledged(topic, now_s)
        self._effect.accepted(topic)

    def refused(self, message: Message, error: LinkError) -> None:
        """The broker rejects a message (DeliveryEvents).

        Our own topics count as refused until the broker accepts something there. Topics that requests choose
        (replies, retained commands) do not count, nor does a single event that is too large.
        """
        self._observer.broker.refused(message.topic, error)
        not_ours = self._mirror.topics.command_in(message.topic) is not None
        if not_ours or isinstance(error, Unreachable):
            return
        denied = isinstance(error, Rejected)
        if message.retain or (denied and message.topic.endswith("/event")):
            now_s = self._clock().monotonic_s
            self._effect.refuse(message.topic, error.reason, now_s, again=denied and message.retain)
            self._report()

    def is_echo(self, incoming: Incoming) -> bool:
        """Whether this is one of our own erasures, which an MQTT 3.1.1 broker sends back to us."""
        is_empty = not incoming.payload and not incoming.retain
        return is_empty and self._echoes.is_echo(incoming.topic, self._clock().monotonic_s)

    def hear_state(self, incoming: Incoming) -> None:
        """Our state topic said this. Our own word, not retained, proves that what we publish is delivered."""
        if incoming.retain or not self._mirror.says(incoming.payload):
            return
        if not self._effect.proven:
            if self._effect.problem:  # publish again what the broker may have swallowed
                self._mirror.refresh()
            self._observer.up("mqtt", protocol=self._connection.protocol)
        self._effect.heard()

    def _end_of_rest(self, now_s: float) -> None:
        """The hour is over: publish everything again, or the topics that were set aside stay outdated."""
        aside = frozenset(self._mirror.outbox.aside(now_s))
        over = not self._aside <= aside
        if self._packet_limit.has_expired(now_s):
            self._connection.limits, over = self._announced, True
        if over:
            self._aside = aside
            self._mirror.republish()

    def _report(self) -> None:
        self._observer.broker.refused_topics(self._effect.refused, self._effect.refused_count)
        if self._effect.problem:
            self._observer.no_effect(self._effect.problem)
