"""Whether a connection may end with DISCONNECT, which makes the broker discard the will. Sends nothing."""

from bridge.core.message import Message
from bridge.errors import LinkError
from bridge.mqtt.pending import Answered


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
        self._latest = 0

    @property
    def is_said(self) -> bool:
        """DISCONNECT loses nothing."""
        return self._said or not self._needed

    def not_needed(self) -> None:
        """This connection only looks: its will may be discarded, whatever its topic says."""
        self._needed = False

    def follow(self, message: Message, answered: Answered) -> Answered:
        """A message is on its way: who has to hear what became of it."""
        if message.topic != self._will.topic:
            return answered
        self._said = False
        self._latest += 1
        if message.payload not in (self._will.payload, None):
            return answered
        mine = self._latest

        def note(error: LinkError | None) -> None:
            # Only the latest message counts: an `online` after it makes its acknowledgement worthless.
            if mine == self._latest:
                self._said = error is None
            answered(error)

        return note
