"""One connection to a broker over paho. Never reconnects; paho stays inside this folder.

Every publish is lowered to the QoS and retain that the broker announced: paho ignores what it announced.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.reasoncodes import ReasonCode

from bridge.core.message import BrokerLimits, Incoming, Message, Subscription
from bridge.errors import LinkError, ProtocolError, SessionLost, TakenOver, Unreachable
from bridge.mqtt import errors as reasons
from bridge.mqtt import framing, translate
from bridge.mqtt.acceptance import Acceptance
from bridge.mqtt.connecting import connect_in_thread, fingerprint_of_rejected
from bridge.mqtt.encode import encode, packet_size
from bridge.mqtt.inbox import Inbox
from bridge.mqtt.last_word import LastWord
from bridge.mqtt.loop import LoopDriver
from bridge.mqtt.paho_client import new_client
from bridge.mqtt.pending import Answered, Pending, Request
from bridge.mqtt.settings import BrokerSettings

DISCONNECT_S = 0.2
PATHS = 3
"""The addresses of a name, or name, TLS and WebSocket: each may take the time allowed."""


class Connection:
    """One connection, from CONNECT to its end. `lost` gets the LinkError that ended it.

    Received messages wait in `incoming`; if there is a `listener`, it gets each of them at once instead.
    """

    def __init__(self, settings: BrokerSettings, will: Message, protocol: str) -> None:
        self.protocol = protocol
        self.will = will
        self.limits = BrokerLimits()
        self.after_silence = False
        self.largest_taken = 0
        self.silent = False
        self.incoming = Inbox()
        self.listener: Callable[[Incoming], None] | None = None
        self.dropped = 0
        self.oversized = 0
        self.oversized_topic = ""
        self.lost: asyncio.Future[LinkError] = asyncio.get_running_loop().create_future()
        self.settings = settings
        self._left = False
        self._acceptance = Acceptance(settings, protocol)
        self._publishing = Pending("publish")
        self._subscribing = Pending("subscription")
        self._client = new_client(settings, will, protocol)
        self._driver = LoopDriver(self._client, self._broken)
        self._last_word = LastWord(will)
        self._client.on_connect = self._guarded(self._on_connect)
        self._client.on_disconnect = self._guarded(self._on_disconnect)
        self._client.on_publish = self._guarded(self._on_written)
        self._client.received = self._guarded(self._on_message)
        self._client.acknowledged = self._guarded(self._on_acknowledged)
        self._client.on_subscribe = self._guarded(self._on_subscribe)

    @property
    def heard_s(self) -> float:
        """When the broker last sent anything, in monotonic seconds."""
        return self._driver.heard_s

    @property
    def writing(self) -> bool:
        """Something waits to be written to the socket."""
        return bool(self._client.want_write())

    async def open(self) -> None:
        """Connect and wait for CONNACK. Raises a LinkError."""
        place = self.settings.place
        try:
            async with asyncio.timeout(PATHS * self.settings.connect_timeout_s):
                await connect_in_thread(self._client, self.settings, self.protocol)
            self._driver.attach()
            await self._acceptance.wait()
        except ssl.SSLCertVerificationError as error:
            sha256 = await fingerprint_of_rejected(error, self.settings)
            raise reasons.of_certificate(error, place, sha256) from None
        except (OSError, ValueError, paho.WebsocketConnectionError) as error:
            raise reasons.of_exception(error, place) from None

    @property
    def accepted_after_s(self) -> float:
        """How long the broker took to accept the connection."""
        return self._acceptance.after_s

    @property
    def ended_by_broker(self) -> bool:
        """The broker or the network closed the connection, neither for its silence nor for a takeover."""
        if not self.lost.done() or self.silent or self._left:
            return False
        return not isinstance(self.lost.result(), TakenOver | ProtocolError)

    @property
    def gathering(self) -> AbstractContextManager[None]:
        """Within this context nothing is awaited; what is sent leaves at its end."""
        return self._driver

    def needs_no_will(self) -> None:
        """Let DISCONNECT discard the will: this connection only looks."""
        self._last_word.not_needed()

    async def close(self) -> None:
        """Send DISCONNECT where that is right, wait briefly until it has left, and close.

        DISCONNECT makes the broker discard the will: LastWord knows when that is right. It is not sent while
        PUBACKs are outstanding: a broker that does not acknowledge hardly reads DISCONNECT either, its will
        says the same, and waiting would make the exit of the process longer than two seconds.
        """
        self._left = self._left or not self.lost.done()
        try:
            if not self.lost.done() and not self._publishing and self._last_word.is_said:
                self._client.disconnect()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DISCONNECT_S):
                        await asyncio.shield(self.lost)
        finally:
            self.drop()

    def drop(self) -> None:
        """Close without DISCONNECT: the broker publishes the will."""
        self._driver.detach()
        self._client.close_raw()
        self._lose(SessionLost("the connection was closed"))
        self._acceptance.drop()

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        """Subscribe. Raises Rejected where the broker forbids it, Unreachable where it does not answer."""
        if self.lost.done():
            raise SessionLost(self.lost.result().reason)
        filters = [(each.topic_filter, translate.options(each, self.protocol)) for each in subscriptions]
        code, mid = self._client.subscribe(filters)  # type: ignore[arg-type]  # paho's types know one form
        if code != paho.MQTT_ERR_SUCCESS or mid is None:
            raise SessionLost(f"the connection to the broker {self.settings.place} ended")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        topics = tuple(each.topic_filter for each in subscriptions)
        self._subscribing.add(mid, Request(topics, partial(_settle, future)))
        try:
            async with asyncio.timeout(self.settings.connect_timeout_s):
                await future
        except TimeoutError:
            raise Unreachable(
                f"the broker {self.settings.place} did not answer a subscription in time"
            ) from None

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe, without waiting for the answer."""
        self._client.unsubscribe(list(filters))

    def publish(self, message: Message) -> asyncio.Future[None]:
        """Send; the future is done when the broker has the message (see `send`), or fails with a LinkError.

        A caller may ignore the future.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self.send(message, partial(_settle, future))
        return future

    def send(self, message: Message, answered: Answered) -> None:
        """Send; `answered` is called once, when the broker has acknowledged the message or never will.

        That may be before this returns. With QoS 0 it is called when the last byte is written: until then the
        message is in our memory, and the window of the session must count it.
        """
        if self.lost.done():
            answered(SessionLost(self.lost.result().reason))
            return
        payload = encode(message)
        most, size = self.limits.maximum_packet_bytes, packet_size(message, payload)
        if most is not None and size > most:
            answered(ProtocolError(f"{message.topic}: larger than the broker's {most} bytes"))
            return
        qos = min(message.qos, self.limits.maximum_qos)
        retain = message.retain and self.limits.retain_available
        mid = self._free_mid()
        packet = framing.publish(message, payload, mid, qos=qos, retain=retain, protocol=self.protocol)
        answered = self._last_word.follow(message, answered)
        # The packet is queued here and written later, so no answer comes before it is noted as pending.
        if self._client.send_publish(packet, mid, asks=qos > 0):
            self._publishing.add(mid, Request((message.topic,), answered, size))
        else:
            answered(SessionLost(f"the connection to the broker {self.settings.place} ended"))

    def _free_mid(self) -> int:
        """A packet identifier that no unanswered publish has: a broker may leave one out for ever."""
        while (mid := self._client.next_mid()) in self._publishing:
            pass
        return mid

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """A callback for paho that reports our own bugs; from paho they would look like a broken socket."""

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
        if self._acceptance.is_known:
            return
        if not code.is_failure:
            self.limits = translate.limits(properties, self.will, self.protocol)
        self._acceptance.answered(code)

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, code: ReasonCode, _properties: object
    ) -> None:
        self.silent = code.value == reasons.KEEP_ALIVE_TIMEOUT
        self._end(reasons.of_disconnect(code, self.settings.place))

    def _broken(self, error: Exception) -> None:
        reason = f"the connection to the broker {self.settings.place} broke: {type(error).__name__}"
        self._end(error if isinstance(error, LinkError) else SessionLost(reason))

    def _end(self, cause: LinkError) -> None:
        self._acceptance.ended(cause, after_bytes=self._client.answered)
        self._lose(cause)

    def _lose(self, cause: LinkError) -> None:
        if not self.lost.done():
            self.lost.set_result(cause)
        self._publishing.fail(cause)
        self._subscribing.fail(cause)

    def _on_message(self, incoming: Incoming, oversized: bool) -> None:  # noqa: FBT001  (a callback)
        if self.lost.done():
            return
        if oversized:
            self.oversized += 1
            self.oversized_topic = incoming.topic
        hear = self.listener or self.incoming.put_nowait
        try:
            hear(incoming)
        except asyncio.QueueFull:
            self.dropped += 1

    def _on_acknowledged(self, mid: int, code: int) -> None:
        accepted = self._publishing.acknowledged(mid, code)
        self.largest_taken = max(self.largest_taken, accepted)

    def _on_written(
        self, _client: paho.Client, _data: object, mid: int, _code: ReasonCode, _properties: object
    ) -> None:
        self._on_acknowledged(mid, 0)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        self._subscribing.answer(mid, codes)


def _settle(answer: asyncio.Future[None], error: LinkError | None) -> None:
    """Who waited may have been cancelled."""
    if answer.done():
        return
    if error is None:
        answer.set_result(None)
    else:
        answer.set_exception(error)


def _seen(answer: asyncio.Future[None]) -> None:
    """Mark an error as seen: asyncio reports one that nobody looks at as a bug."""
    if not answer.cancelled():
        answer.exception()
