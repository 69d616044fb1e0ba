"""Which message makes a broker end our sessions. No clock and no I/O here.

With MQTT 3.1.1 a broker that cannot take a message closes the connection without a word, and the same
message would end the next session too. What was on its way when a session ended is suspected, and goes
alone next time; what was sent alone when several sessions ended is the culprit.
"""

from collections.abc import Hashable, Sequence

STATE_TIMES, EVENT_TIMES = 2, 3
"""How many sessions a message must end on trial. A network that breaks looks the same: a state is told again
with the next change, an event that is blamed for nothing is lost."""


class Suspects:
    """Keys of messages that were on their way when a session ended, until the broker takes them."""

    def __init__(self) -> None:
        self._alone: dict[Hashable, int] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._alone

    def session_ended(
        self, on_their_way: Sequence[Hashable | None], times: int, *, proven: bool
    ) -> Hashable | None:
        """Note what was on its way (None: will not be sent again); the culprit, if that is clear now.

        A session says something about a message only if the message was sent alone because it was suspected,
        and if the broker took another one before (`proven`): else the network may break at once each time.
        `times`: in how many such sessions a message is convicted.
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
        """The broker took it, or it will not be sent."""
        if key is not None:
            self._alone.pop(key, None)
