"""The queue of received messages, limited in number and in bytes. Reads no socket."""

import asyncio

from bridge.core.message import Incoming

MESSAGES_AT_MOST, BYTES_AT_MOST = 2000, 4_194_304
OVERHEAD_BYTES = 256


class Inbox(asyncio.Queue[Incoming]):
    """A queue that is full at MESSAGES_AT_MOST messages or BYTES_AT_MOST bytes."""

    def __init__(self) -> None:
        self._bytes = 0
        super().__init__(MESSAGES_AT_MOST)

    def full(self) -> bool:
        """Whether there is no room for another message."""
        return super().full() or self._bytes >= BYTES_AT_MOST

    def _put(self, item: Incoming) -> None:
        self._bytes += _size(item)
        super()._put(item)

    def _get(self) -> Incoming:
        item: Incoming = super()._get()
        self._bytes -= _size(item)
        return item


def _size(incoming: Incoming) -> int:
    texts = len(incoming.topic) + len(incoming.response_topic or "")
    return texts + len(incoming.payload) + len(incoming.correlation or b"") + OVERHEAD_BYTES
