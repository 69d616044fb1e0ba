"""Goes the way of the bridge at a broker once: same will, same subscriptions, same kinds of messages.

Nothing of it disturbs a bridge that runs: what is published lies under a user of its own, commands have
expired, and what is retained is cleared again.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence

from bridge.core.message import BrokerLimits, Message, Subscription
from bridge.core.topics import Topics
from bridge.errors import LinkError, Rejected, SessionLost, Unreachable
from bridge.mqtt.client import Connection, connect
from bridge.mqtt.session import QUIET_S, command_subscriptions, own_state
from bridge.mqtt.settings import BrokerSettings

USER = "innovaphone-mqtt-check"
LONG_AGO = "2000-01-01T00:00:00Z"


async def try_out(settings: BrokerSettings, topics: Topics) -> str:
    """What the bridge may do there, in a few words. Raises the LinkError that says what it may not.

    Under a client id of its own: a bridge that runs must not be thrown out.
    """
    mine = settings.with_client_id(f"{settings.client_id}-check")
    readable = await _readable(mine, topics)
    will = Message(topics.state, "offline", retain=True)
    async with connect(mine, will) as connection:
        connection.needs_no_will()  # a bridge that runs goes on
        notes = await _Trial(connection, topics, readable).run()
    return "; ".join([f"MQTT {connection.protocol}, may publish and hear commands", *notes])


def _optional(topics: Topics) -> tuple[str, ...]:
    """Topics that the bridge writes and need not read, so that swallowing there may stay unseen."""
    return topics.user_event(USER), topics.response("check"), topics.dotted


async def _readable(settings: BrokerSettings, topics: Topics) -> Sequence[str]:
    """Those of them that may be read.

    RabbitMQ ends the connection when it refuses a subscription: with each refusal another one begins. It
    also publishes the will, which therefore says nothing of the PBX here.
    """
    asked = iter(_optional(topics))
    readable: list[str] = []
    topic = next(asked, None)
    while topic is not None:
        async with connect(settings, Message(topics.user_state(USER), None)) as connection:
            with contextlib.suppress(Rejected, SessionLost):
                while topic is not None:
                    chosen, topic = topic, next(asked, None)
                    await connection.subscribe([Subscription(chosen)])
                    readable.append(chosen)
    return readable


class _Trial:
    """One trial: what was published must be delivered to us."""

    def __init__(self, connection: Connection, topics: Topics, readable: Sequence[str]) -> None:
        self._connection = connection
        self._topics = topics
        self._readable = readable
        self._token = f"check-{secrets.token_hex(8)}"
        self._retained_state: bytes | None = None
        self._heard: set[str] = set()
        self._news = asyncio.Event()

    async def run(self) -> Sequence[str]:
        """Notes on what is not as usual. Raises a LinkError."""
        listening = asyncio.create_task(self._listen(), name="listen")
        try:
            return await self._try()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def _try(self) -> Sequence[str]:
        topics = self._topics
        proven = {topics.user_state(USER), *self._command_topics}
        await self._subscribe()
        await self._wait_for(lambda: self._retained_state is not None, QUIET_S)
        messages = list(self._messages())
        if self._retained_state != b"online":  # nobody serves this PBX: `offline` is true
            proven.add(topics.state)
            messages.append(Message(topics.state, "offline", retain=True))
        try:
            for message in messages:
                await self._publish(message)
            await self._wait_for(lambda: proven <= self._heard, self._connection.settings.connect_timeout_s)
        finally:
            await self._clear()
        missing = sorted(proven - self._heard)
        if missing:
            raise Rejected(
                f"the broker {self._connection.settings.place} takes but does not deliver "
                f"{', '.join(missing)}: the bridge's user needs the right to write and to read them"
            )
        return self._notes()

    async def _subscribe(self) -> None:
        """As the bridge does, but hearing ourselves too; to the rest only where that is allowed."""
        needed = [Subscription(each.topic_filter) for each in command_subscriptions(self._topics)]
        states = Subscription(self._topics.user_states, qos=0, retain_handling=2)
        state = Subscription(own_state(self._topics).topic_filter)
        readable = [Subscription(each) for each in self._readable]
        await self._connection.subscribe([*needed, state, states, *readable])

    @property
    def _command_topics(self) -> tuple[str, str]:
        root = self._topics.root
        return f"{root}/command/ping", f"{root}/user/{USER}/command/ping"

    def _messages(self) -> Iterator[Message]:
        payload = {"id": self._token, "expires_at": LONG_AGO}
        yield Message(self._topics.user_state(USER), payload, retain=True)
        for topic in (*_optional(self._topics), *self._command_topics):
            yield Message(topic, payload)

    async def _publish(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._connection.settings.connect_timeout_s):
                await self._connection.publish(message)
        except TimeoutError:
            raise Unreachable(f"the broker acknowledges no message on {message.topic}") from None
        except SessionLost as error:
            raise SessionLost(
                f"{error.reason} (at the publish to {message.topic}: may the bridge's user write there?)"
            ) from None

    async def _clear(self) -> None:
        """Leave nothing behind; what was retained of our state before is still true."""
        topics = [self._topics.user_state(USER), *([] if self._retained_state else [self._topics.state])]
        with contextlib.suppress(LinkError):
            for topic in topics:
                await self._publish(Message(topic, None, retain=True))

    async def _wait_for(self, condition: Callable[[], bool], within_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

    async def _listen(self) -> None:
        while True:
            incoming = await self._connection.incoming.get()
            if incoming.topic == self._topics.state:
                self._hear_state(incoming.payload, retained=incoming.retain)
            elif self._token.encode() in incoming.payload:
                self._heard.add(incoming.topic)
            self._news.set()

    def _hear_state(self, payload: bytes, *, retained: bool) -> None:
        if retained:
            self._retained_state = payload
        elif payload == b"offline":
            self._heard.add(self._topics.state)

    def _notes(self) -> Sequence[str]:
        limits: BrokerLimits = self._connection.limits
        notes = list(limits.lacks)
        if self._topics.dotted.replace(".", "/") in self._heard:
            notes.append("it turns dots into slashes: set mqtt.encode_dots: true")
        elif not set(_optional(self._topics)) <= self._heard:
            notes.append("whether events and replies arrive is not known: the user may not read them")
        return notes
