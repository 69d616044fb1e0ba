"""One connection to a broker over paho, which stays inside this folder. Reconnects never.

QoS and retain are lowered to what the broker said it can do; paho ignores what it said.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.reasoncodes import ReasonCode

from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, TakenOver, Unreachable
from bridge.mqtt import errors as reasons
from bridge.mqtt import translate
from bridge.mqtt.connecting import connect_in_thread, fingerprint_of_rejected
from bridge.mqtt.encode import encode, packet_size
from bridge.mqtt.inbox import Inbox
from bridge.mqtt.loop import LoopDriver
from bridge.mqtt.paho_client import new_client
from bridge.mqtt.settings import MQTT_3, MQTT_5, BrokerSettings

GOODBYE_S = 0.2
PATHS = 3  # addresses of a name, or name, TLS and WebSocket: each may take the time allowed


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request that the broker has not answered: its topics, who waits for the answer, its bytes."""

    topics: tuple[str, ...]
    answer: asyncio.Future[None]
    size: int = 0


class NotForThisBroker(LinkError):  # noqa: N818  (a state of affairs)
    """The broker speaks an older protocol."""


class Silent(NotForThisBroker):
    """The broker says nothing to MQTT 5: it misreads it, or it is slow."""


class NotThisWill(Unreachable):
    """The broker may be unable to take our will: it says so, or (MQTT 3.1.1) closes the connection."""


@asynccontextmanager
async def connect(settings: BrokerSettings, will: Message) -> "AsyncIterator[Connection]":
    """A connection that the broker has accepted; leaving it says goodbye where the will is not needed.

    Raises Unreachable or Rejected. With protocol auto, MQTT 3.1.1 is tried where 5 is not understood.
    """
    connection = await _connected(settings, will)
    try:
        yield connection
    finally:
        await connection.close()


async def _connected(settings: BrokerSettings, will: Message) -> "Connection":
    first = MQTT_5 if settings.protocol == "auto" else settings.protocol
    try:
        return await _with_some_will(settings, will, first)
    except NotForThisBroker as refusal:
        if settings.protocol != "auto":
            raise Rejected(refusal.reason) from None
        silent = isinstance(refusal, Silent)
    connection = await _with_some_will(settings, will, MQTT_3)
    connection.after_silence = silent
    return connection


async def _with_some_will(settings: BrokerSettings, will: Message, protocol: str) -> "Connection":
    """The will is the one message that is sent before the broker has said what it can take."""
    forms = [(will.qos, will.retain), (0, will.retain), (will.qos, False), (0, False)]
    refusals: list[NotThisWill] = []
    for qos, retain in dict.fromkeys(forms):
        try:
            return await _open(settings, replace(will, qos=qos, retain=retain), protocol)
        except NotThisWill as refusal:
            refusals.append(refusal)
    raise refusals[0]


async def _open(settings: BrokerSettings, will: Message, protocol: str) -> "Connection":
    connection = Connection(settings, will, protocol)
    try:
        await connection.open()
    except BaseException:
        connection.drop()
        raise
    return connection


class Connection:
    """An open connection. `lost` gets the LinkError that ended it.

    Messages wait in `incoming`, unless there is a `listener`: then that one gets each as it comes.
    """

    def __init__(self, settings: BrokerSettings, will: Message, protocol: str) -> None:
        self.protocol = protocol
        self.will = will
        self.limits = BrokerLimits()
        self.after_silence = False
        self.accepted_after_s = 0.0
        self.largest_taken = 0
        self.silent = False
        self.incoming = Inbox()
        self.listener: Callable[[Incoming], None] | None = None
        self.dropped = 0
        self.oversized = 0
        self.oversized_topic = ""
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[LinkError] = loop.create_future()
        self.settings = settings
        self._accepted: asyncio.Future[None] = loop.create_future()
        self._publishing: dict[int, Waiting] = {}
        self._subscribing: dict[int, Waiting] = {}
        self._client = new_client(settings, will, protocol)
        self._driver = LoopDriver(self._client, self._broken)
        self._will_said = not will.retain
        self._last_word: asyncio.Future[None] | None = None
        self._client.on_connect = self._ours(self._on_connect)
        self._client.on_disconnect = self._ours(self._on_disconnect)
        self._client.on_message = self._ours(self._on_message)
        self._client.on_publish = self._ours(self._on_publish)
        self._client.on_subscribe = self._ours(self._on_subscribe)

    @property
    def heard_s(self) -> float:
        """When the broker last said anything, in monotonic seconds."""
        return self._driver.heard_s

    @property
    def writing(self) -> bool:
        """Something that we sent has not left us."""
        return bool(self._client.want_write())

    async def open(self) -> None:
        """Connect and wait until the broker accepts us."""
        place = self.settings.place
        try:
            async with asyncio.timeout(PATHS * self.settings.connect_timeout_s):
                await connect_in_thread(self._client, self.settings, self.protocol)
            self._driver.attach()
            await self._await_acceptance()
        except ssl.SSLCertVerificationError as error:
            sha256 = await fingerprint_of_rejected(error, self.settings)
            raise reasons.of_certificate(error, place, sha256) from None
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise reasons.of_exception(error, place) from None

    async def _await_acceptance(self) -> None:
        """Some old brokers misread a CONNECT of MQTT 5 and wait for more of it: do not wait long for them."""
        trial = self.settings.protocol == "auto" and self.protocol == MQTT_5
        started_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.settings.trial_s if trial else self.settings.connect_timeout_s):
                await self._accepted
        except TimeoutError:
            if not trial:
                raise
            raise Silent(f"the broker {self.settings.place} is silent") from None
        self.accepted_after_s = asyncio.get_running_loop().time() - started_s

    @property
    def ended_by_broker(self) -> bool:
        """The broker, or the network, has ended the connection, and not by silence or for another client."""
        if not self.lost.done() or self.silent:
            return False
        return not isinstance(self.lost.result(), TakenOver | ProtocolError)

    def needs_no_will(self) -> None:
        """The goodbye may discard the will, whatever the topic of it says: for who only looks."""
        self._will_said = True

    async def close(self) -> None:
        """Say goodbye, for a fifth of a second at most, and close.

        A goodbye discards the will. So none is said before the broker has taken in this session what the
        will says: after a bug `online` would stay. Nor is one said to a broker that owes acknowledgements.
        """
        try:
            if not self.lost.done() and not self._publishing and self._will_said:
                self._client.disconnect()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await asyncio.shield(self.lost)
        finally:
            self.drop()

    def drop(self) -> None:
        """Close without a word; the broker publishes the will."""
        self._driver.detach()
        self._client.close_raw()
        self._lose(SessionLost("the connection was closed"))
        if self._accepted.done() and not self._accepted.cancelled():
            self._accepted.exception()
        self._accepted.cancel()

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Subscribe. Raises Rejected where the broker forbids it, Unreachable where it does not answer."""
        if self.lost.done():
            raise SessionLost(self.lost.result().reason)
        filters = [(each.topic_filter, translate.options(each, self.protocol)) for each in subscriptions]
        code, mid = self._client.subscribe(filters)  # type: ignore[arg-type]  # paho's types know one form
        if code != paho.MQTT_ERR_SUCCESS or mid is None:
            raise SessionLost(f"the connection to the broker {self.settings.place} ended")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._subscribing[mid] = Waiting(tuple(each.topic_filter for each in subscriptions), future)
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                await future
        except TimeoutError:
            raise Unreachable(f"the broker {self.settings.place} answers no subscription") from None

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Stop listening; nobody waits for the answer."""
        self._client.unsubscribe(list(filters))

    def publish(self, message: Message) -> asyncio.Future[None]:
        """Send; the future is done when the broker has it, and fails with a LinkError if it will not.

        With QoS 0 it is done when the last byte is written: until then paho holds it, and it must count.
        A caller need not look at it: such a failure is no bug.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        if self.lost.done():
            future.set_exception(SessionLost(self.lost.result().reason))
            return future
        payload = encode(message)
        most, size = self.limits.maximum_packet_bytes, packet_size(message, payload)
        if most is not None and size > most:
            future.set_exception(ProtocolError(f"{message.topic}: larger than the broker's {most} bytes"))
            return future
        qos = min(message.qos, self.limits.maximum_qos)
        retain = message.retain and self.limits.retain_available
        properties = translate.publish_properties(message, self.protocol)
        self._note_last_word(message, future)
        info = self._client.publish(message.topic, payload, qos, retain, properties=properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            future.set_exception(SessionLost(f"the connection to the broker {self.settings.place} ended"))
        else:
            self._publishing[info.mid] = Waiting((message.topic,), future, size)
        return future

    def _note_last_word(self, message: Message, taken: asyncio.Future[None]) -> None:
        """Note whether the topic of the will says what the will says, or nothing."""
        if message.topic != self.will.topic:
            return
        self._will_said, self._last_word = False, taken
        if message.payload in (self.will.payload, None):
            taken.add_done_callback(self._note_taken)

    def _note_taken(self, taken: asyncio.Future[None]) -> None:
        if taken is self._last_word and not taken.cancelled():
            self._will_said = taken.exception() is None

    def _ours(self, callback: Callable[..., None]) -> Callable[..., None]:
        """Paho calls us from its reader. A bug of ours there must not pass for trouble with the broker."""

        def call(*arguments: object) -> None:
            try:
                callback(*arguments)
            except Exception as bug:  # noqa: BLE001  (reported: the event loop's exception handler knows whose it is)
                said = {"message": "a bug in a callback of paho", "exception": bug}
                asyncio.get_running_loop().call_exception_handler(said)
                self._lose(SessionLost("a bug in the bridge: see its log"))

        return call

    def _on_connect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, properties: Any
    ) -> None:
        if self._accepted.done():
            return
        if not code.is_failure:
            self.limits = translate.limits(properties, self.will, self.protocol)
            self._accepted.set_result(None)
        elif code.value in reasons.WILL_REFUSED:
            reason = f"the broker {self.settings.place} refuses the bridge's last will: {code}"
            self._accepted.set_exception(NotThisWill(reason))
        elif code.value == reasons.UNSUPPORTED_VERSION:
            self._accepted.set_exception(NotForThisBroker(f"the broker {self.settings.place}: {code}"))
        else:
            self._accepted.set_exception(reasons.of_connack(code, self.settings.place))

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        self.silent = code.value == reasons.KEEP_ALIVE_TIMEOUT
        self._end(reasons.of_disconnect(code, self.settings.place))

    def _broken(self, error: Exception) -> None:
        broke = SessionLost(
            f"the connection to the broker {self.settings.place} broke: {type(error).__name__}"
        )
        self._end(error if isinstance(error, LinkError) else broke)

    def _end(self, cause: LinkError) -> None:
        """Before CONNACK a cut may mean that the broker does not know MQTT 5; some say nothing else."""
        if not self._accepted.done():
            trial = self.settings.protocol == "auto" and self.protocol == MQTT_5
            wants = "a client certificate" if self.settings.tls else "TLS (mqtts)"
            reason = f"the broker {self.settings.place} closed the connection at once: does it want {wants}?"
            error: type[LinkError] = Unreachable if self._client.answered else NotThisWill
            if trial and not isinstance(cause, Rejected):
                error = NotForThisBroker
            self._accepted.set_exception(cause if isinstance(cause, ProtocolError) else error(reason))
        self._lose(cause)

    def _lose(self, cause: LinkError) -> None:
        if not self.lost.done():
            self.lost.set_result(cause)
        for waiting in (self._publishing, self._subscribing):
            for each in waiting.values():
                if not each.answer.done():
                    each.answer.set_exception(SessionLost(cause.reason))
                    each.answer.exception()
            waiting.clear()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if self._client.reads_too_much:
            self.oversized += 1
            self.oversized_topic = message.topic
        hear = self.listener or self.incoming.put_nowait
        try:
            hear(translate.incoming(message))
        except asyncio.QueueFull:
            self.dropped += 1
        except UnicodeDecodeError as error:
            self._broken(error)

    def _on_publish(
        self, _client: paho.Client, _data: object, mid: int, code: ReasonCode, _properties: object
    ) -> None:
        waiting = self._publishing.pop(mid, None)
        if waiting is not None and not code.is_failure:
            self.largest_taken = max(self.largest_taken, waiting.size)
        _answer(waiting, [code], "publish")

    def _on_subscribe(
        self, _client: paho.Client, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        _answer(self._subscribing.pop(mid, None), codes, "subscription")


def _seen(answer: asyncio.Future[None]) -> None:
    """Let asyncio not take an error that nobody asked for as a bug."""
    if not answer.cancelled():
        answer.exception()


def _answer(waiting: Waiting | None, codes: Sequence[ReasonCode], what: str) -> None:
    """Pass the broker's answer on."""
    if waiting is None or waiting.answer.done():
        return
    refusal = reasons.of_answers(codes, what, waiting.topics)
    if refusal is None:
        waiting.answer.set_result(None)
    else:
        waiting.answer.set_exception(refusal)
