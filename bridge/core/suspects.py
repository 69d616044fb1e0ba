"""Finds the message that makes a broker end our sessions. No clock and no I/O here.

An MQTT 3.1.1 broker that cannot accept a message closes the connection without a reason, and the same message
would end the next session too. Messages that were on their way when a session ended are suspects, and each is
sent alone next time. A message that was sent alone when several sessions ended is the culprit.
"""

from collections.abc import Hashable, Sequence

STATE_TIMES, EVENT_TIMES = 2, 3
"""How many sessions a message must end while it is sent alone. A broken network looks the same: a state that
is blamed wrongly is sent again with its next change, an event is lost."""


class Suspects:
    """Keys of messages that were on their way when a session ended, until the broker accepts them."""

    def __init__(self) -> None:
        self._alone: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._alone)

    def __contains__(self, key: object) -> bool:
        return key in self._alone

    def session_ended(
        self, on_their_way: Sequence[Hashable | None], times: int, *, proven: bool
    ) -> Hashable | None:
        """Note what was on its way (None: will not be sent again). Returns the culprit, once it is certain.

        A session is evidence only if the message was sent alone because it was a suspect, and if the broker
        had accepted another message before (`proven`): otherwise the network may break at each connect.
        `times`: how many such sessions make a culprit.
        """
        on_trial = proven and len(on_their_way) == 1 and on_their_way[0] in self
        for key in on_their_way:
            if key is not None:
                self._alone.setdefault(key, 0)
        if not on_trial:
            return None
        (key,) = on_their_way
        self._alone[key] += 1
        if self._alone[key] < times:
            return None
        del self._alone[key]
        return key

    def clear(self, key: Hashable | None) -> None:
        """The broker has accepted it, or it will not be sent."""
        if key is not None:
            self._alone.pop(key, None)
