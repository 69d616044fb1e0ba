"""Guards our state topic, which others can write too: corrects what is not true. Publishes nothing itself."""

import asyncio
from collections.abc import Callable

from bridge.link.mirror import Mirror

CORRECTION_S = 0.5


class StateGuard:
    """Compares what is on our state topic with the mirror. `contradicted` reports a correction."""

    def __init__(self, mirror: Mirror, contradicted: Callable[[], None]) -> None:
        self._mirror = mirror
        self._contradicted = contradicted
        self._heard = b""
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, payload: bytes) -> None:
        """Another client, or a delayed Last Will, may overwrite our state topic; republish the correct value.

        Only after a moment: an MQTT 3.1.1 broker also sends us our own messages, and older ones come first.
        """
        self._heard = payload
        if self._timer is None and not self._mirror.says(payload):
            self._timer = asyncio.get_running_loop().call_later(CORRECTION_S, self._correct)

    def cancel(self) -> None:
        """The session has ended: the next one publishes the state anyway."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _correct(self) -> None:
        self._timer = None
        if not self._mirror.says(self._heard):
            self._mirror.contested()
            self._contradicted()
