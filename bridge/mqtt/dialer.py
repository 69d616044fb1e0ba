"""Opens connections to one broker, and remembers what it accepted last. Holds no connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Self

from bridge.core.backoff import Spread
from bridge.core.message import Incoming, Message
from bridge.core.topics import Topics
from bridge.core.value import evolve
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.probe import BridgeProbe, ProbeResult, until_offline
from bridge.mqtt.settings import BrokerSettings


class Dialer:
    """Starts each attempt with the protocol, the will and the timeouts that worked last time.

    `probe`: shared by the dialers of one link; `spread`: by those of all links.
    """

    def __init__(
        self, settings: BrokerSettings, probe: BridgeProbe | None = None, spread: Spread | None = None
    ) -> None:
        self._probe = probe or BridgeProbe(settings.client_id, settings.password or "")
        self._spread = spread or Spread()
        self._configured = settings
        self._settings = settings
        self._will: Message | None = None

    @asynccontextmanager
    async def open(self, will: Message, attempt: int = 0) -> AsyncIterator[Connection]:
        """Open a connection, see `connect`. The timeouts grow with each failed attempt."""
        await asyncio.sleep(self._spread.wait_s(asyncio.get_running_loop().time()))
        settings, lowered = self._settings.patient(attempt), self._will
        self._settings, self._will = self._configured, None
        if lowered is not None:
            will = evolve(will, qos=lowered.qos, retain=lowered.retain)
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

    @classmethod
    def all(cls, brokers: Sequence[BrokerSettings], spread: Spread) -> tuple[Self, ...]:
        """The dialers of one link to a broker and its standbys."""
        first = brokers[0]
        probe = BridgeProbe(first.client_id, first.password or "")
        return tuple(cls(settings, probe, spread) for settings in brokers)

    async def probe(self, topics: Topics) -> ProbeResult:
        """Ask whether another bridge serves this PBX. Raises what `connect` raises."""
        return await self._probe.find(self._settings, topics)

    async def until_offline(self, topics: Topics, within_s: float) -> None:
        """Wait until the other bridge may have ended. Raises what `connect` raises."""
        await until_offline(self._settings, topics, within_s)

    def answer_probe(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """Answer the question of another bridge; False for any other message."""
        return self._probe.answer(incoming, topics, send)
