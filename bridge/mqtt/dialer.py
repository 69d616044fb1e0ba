"""Opens connections to one broker, and remembers what it accepted last. Holds no connection."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from bridge.core.message import Incoming, Message
from bridge.core.topics import Topics
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.probe import BridgeProbe, ProbeResult
from bridge.mqtt.settings import BrokerSettings


class Dialer:
    """Starts each attempt with the protocol, the will and the timeouts that worked last time."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._probe = BridgeProbe(settings.client_id, settings.password or "")
        self._configured = settings
        self._settings = settings
        self._will: Message | None = None

    @asynccontextmanager
    async def open(self, will: Message, attempt: int = 0) -> AsyncIterator[Connection]:
        """Open a connection, see `connect`. The timeouts grow with each failed attempt."""
        settings, lowered = self._settings.patient(attempt), self._will
        self._settings, self._will = self._configured, None
        if lowered is not None:
            will = replace(will, qos=lowered.qos, retain=lowered.retain)
        async with connect(settings, will) as connection:
            self._settings, self._will = self._learned(connection), connection.will
            yield connection

    def _learned(self, connection: Connection) -> BrokerSettings:
        """The protocol that was accepted; longer timeouts for MQTT 5 if the broker was only slow."""
        configured, taken_s = self._configured, connection.accepted_after_s
        if not connection.after_silence:
            return replace(configured, protocol=connection.protocol)
        slow = taken_s > configured.trial_s / 2
        longest_s = connection.settings.connect_timeout_s
        return replace(configured, connect_timeout_s=longest_s, trial_s=longest_s) if slow else configured

    async def probe(self, topics: Topics) -> ProbeResult:
        """Ask whether another bridge serves this PBX. Raises what `connect` raises."""
        return await self._probe.find(self._settings, topics)

    def answer_probe(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """Answer the question of another bridge; False for any other message."""
        return self._probe.answer(incoming, topics, send)
