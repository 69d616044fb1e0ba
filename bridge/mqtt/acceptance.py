"""The broker's answer to CONNECT: waits for it, and says what its absence means. Sends nothing."""

import asyncio

from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, ProtocolError, Rejected, Unreachable
from bridge.mqtt import errors as reasons
from bridge.mqtt.settings import MQTT_5, BrokerSettings


class Acceptance:
    """Whether the broker accepts one CONNECT. `after_s`: how long it took.

    With protocol auto, MQTT 5 is a trial: a broker that does not know it may close, or stay silent.
    """

    def __init__(self, settings: BrokerSettings, protocol: str) -> None:
        self.after_s = 0.0
        self._settings = settings
        self._is_trial = settings.protocol == "auto" and protocol == MQTT_5
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_known(self) -> bool:
        """CONNACK has come, or never will."""
        return self._answer.done()

    async def wait(self) -> None:
        """Wait for CONNACK; only briefly on trial. Raises a LinkError or TimeoutError.

        Some old brokers misread a CONNECT of MQTT 5 and wait for more of it.
        """
        loop, settings = asyncio.get_running_loop(), self._settings
        started_s = loop.time()
        try:
            async with asyncio.timeout(settings.trial_s if self._is_trial else settings.connect_timeout_s):
                await self._answer
        except TimeoutError:
            if not self._is_trial:
                raise
            raise reasons.Silent(f"the broker {settings.place} is silent") from None
        self.after_s = loop.time() - started_s

    def answered(self, code: ReasonCode) -> None:
        """CONNACK has come."""
        if code.is_failure:
            self._answer.set_exception(reasons.of_connack(code, self._settings.place))
        else:
            self._answer.set_result(None)

    def ended(self, cause: LinkError, *, after_bytes: bool) -> None:
        """The connection has ended before CONNACK. `after_bytes`: the broker had sent something.

        Closing is all that a broker of MQTT 3.1.1 does with another protocol, or with a will that it does not
        support.
        """
        if self.is_known:
            return
        wants = "a client certificate" if self._settings.tls else "TLS (mqtts)"
        place = self._settings.place
        reason = f"the broker {place} closed the connection at once: does it require {wants}?"
        error: type[LinkError] = Unreachable if after_bytes else reasons.NotThisWill
        if self._is_trial and not isinstance(cause, Rejected):
            error = reasons.NotForThisBroker
        self._answer.set_exception(cause if isinstance(cause, ProtocolError) else error(reason))

    def drop(self) -> None:
        """Nobody waits any longer."""
        if self._answer.done() and not self._answer.cancelled():
            self._answer.exception()  # asyncio reports an exception that nobody looks at as a bug
        self._answer.cancel()
