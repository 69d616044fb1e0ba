"""Whether a connection may end with DISCONNECT, which makes the broker discard the will. Sends nothing."""

import asyncio

from bridge.core.message import Message


class LastWord:
    """Follows what we publish on the topic of the will.

    DISCONNECT is allowed once the broker has acknowledged there what the will says, or an erasure. Otherwise
    a bridge that ends after a bug would leave `online` behind; without DISCONNECT the broker publishes the
    will. A will that is not retained leaves nothing behind in either case.
    """

    def __init__(self, will: Message) -> None:
        self._will = will
        self._said = not will.retain
        self._needed = True
        self._latest: asyncio.Future[None] | None = None

    @property
    def is_said(self) -> bool:
        """DISCONNECT loses nothing."""
        return self._said or not self._needed

    def not_needed(self) -> None:
        """This connection only looks: its will may be discarded, whatever its topic says."""
        self._needed = False

    def published(self, message: Message, acknowledged: asyncio.Future[None]) -> None:
        """A message is on its way."""
        if message.topic != self._will.topic:
            return
        self._said, self._latest = False, acknowledged
        if message.payload in (self._will.payload, None):
            acknowledged.add_done_callback(self._note)

    def _note(self, acknowledged: asyncio.Future[None]) -> None:
        # Only the latest message counts: an `online` after it makes its acknowledgement worthless.
        if acknowledged is self._latest and not acknowledged.cancelled():
            self._said = acknowledged.exception() is None
