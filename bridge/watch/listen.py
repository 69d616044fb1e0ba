"""Listens to one broker until it is cancelled, over as many connections as it takes. Decodes no payload."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from random import random

from bridge.core.backoff import delays
from bridge.core.message import Incoming, Message, Subscription
from bridge.core.status import Down
from bridge.core.topics import REPLY
from bridge.errors import LinkError
from bridge.link.supervise import Up, supervise
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings


class Listener:
    """One broker. `hear` gets each message; `lost` a sentence, and None when the connection works (again).

    `never_up` gets the error of each attempt until the first one that works.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        base: str,
        *,
        hear: Callable[[Incoming], None],
        lost: Callable[[str | None], None],
        never_up: Callable[[LinkError], None],
    ) -> None:
        self._settings = settings.with_client_id(f"{settings.client_id}-{secrets.token_hex(6)}")
        self._base = base
        self._hear = hear
        self._lost = lost
        self._never_up = never_up
        self._was_up = False

    async def run(self, filters: Sequence[str]) -> None:
        """Listen, and connect again whenever the connection is lost."""
        await supervise(
            partial(self._session, filters),
            delays=partial(delays, random),
            flapping=partial(delays, random),
            report=self._report,
        )

    async def _session(self, filters: Sequence[str], _attempt: int, up: Up) -> None:
        # The broker publishes the will when the connection breaks: on a topic that nobody reads.
        will = Message(f"{self._base}/{REPLY}/{self._settings.client_id}", None, qos=0)
        try:
            async with connect(self._settings, will) as connection:
                connection.needs_no_will()
                connection.listener = self._hear
                self._lost(None)
                # QoS 0: some brokers drop what a queue of unacknowledged messages cannot hold.
                await connection.subscribe([Subscription(each, qos=0) for each in filters])
                self._was_up = True
                up()
                raise await asyncio.shield(connection.lost)
        except LinkError as error:
            if not self._was_up:
                self._never_up(error)
            raise

    def _report(self, down: Down) -> None:
        self._lost(f"{down.cause.reason}; trying again")
