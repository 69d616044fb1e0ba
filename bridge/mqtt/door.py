"""The way to one broker: remembers which protocol it took. Holds no connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from bridge.core.message import Message
from bridge.core.topics import Topics
from bridge.mqtt.client import Connection, connect
from bridge.mqtt.rival import rival_answers
from bridge.mqtt.settings import BrokerSettings


class Door:
    """Opens connections to one broker and remembers which protocol it took, so that none is tried in vain."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._protocol = settings.protocol

    @asynccontextmanager
    async def open(self, will: Message) -> AsyncIterator[Connection]:
        """See `connect`."""
        settings = replace(self._settings, protocol=self._protocol)
        self._protocol = self._settings.protocol
        async with connect(settings, will) as connection:
            self._protocol = connection.protocol
            yield connection

    async def rival_answers(self, topics: Topics) -> bool:
        """See rival.py."""
        return await rival_answers(replace(self._settings, protocol=self._protocol), topics)
