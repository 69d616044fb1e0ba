"""How the other ends of calls are shown: the one place that turns a party into its payload. Pure.

Every output gets a `Presentation` in its View. Whoever shows a party or its number elsewhere uses it too.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.core import payloads
from bridge.core.model import Call, RemoteParty
from bridge.core.records import Party
from bridge.core.value import evolve

KEPT_AT_MOST = 128
"""Payloads of calls that are kept to be shown again: those of a reply of the PBX, and little memory."""


class TopicClass(enum.StrEnum):
    """Where parties are shown: kinds of topics, and the log. What a journal keeps of a user is `state`."""

    STATE = "state"
    EVENT = "event"
    RESPONSE = "response"
    LOG = "log"


Step = Callable[[RemoteParty, TopicClass], RemoteParty]
"""Changes what is shown of a party. Applied to its own result, it changes nothing: states are read back."""


def remote_party(party: Party) -> RemoteParty:
    """A party as the PBX names it, not known to be a user."""
    return RemoteParty(party.number, party.display_name or party.name, None, party.anonymous)


class Recent:
    """The payloads of calls that were shown a moment ago.

    A call is in its event, in the state of its user, and often in the next states: it is made once. Nobody
    may change a payload that was given to him.
    """

    def __init__(self) -> None:
        self._payloads: dict[object, tuple[Call, payloads.Call]] = {}

    def get(self, key: object, call: Call) -> payloads.Call | None:
        """The payload of exactly this value."""
        known = self._payloads.get(key)
        return known[1] if known is not None and known[0] is call else None

    def put(self, key: object, call: Call, payload: payloads.Call) -> payloads.Call:
        """Keep it for a while."""
        if len(self._payloads) >= KEPT_AT_MOST:
            self._payloads.clear()
        self._payloads[key] = call, payload
        return payload


@dataclass(frozen=True, slots=True)
class Presentation:
    """The steps by which a party becomes what is published: numbers and names first, masks last."""

    steps: tuple[Step, ...] = ()
    recent: Recent = field(default_factory=Recent, compare=False, repr=False)

    def published(self, party: RemoteParty, topic_class: TopicClass) -> RemoteParty:
        """The party as topics of this class show it. Published twice, it stays the same."""
        shown = evolve(party, internal=True) if party.user is not None else party
        for step in self.steps:
            shown = step(shown, topic_class)
        return shown

    def recognised(self, known: RemoteParty | None, party: Party | None) -> RemoteParty | None:
        """A party that was read back, as the PBX names it now, if both are published alike."""
        if known is None or party is None:
            return known
        heard = evolve(remote_party(party), user=known.user)
        alike = self.published(heard, TopicClass.STATE) == self.published(known, TopicClass.STATE)
        return heard if alike else known

    def shows_like(self, other: "Presentation", call: Call) -> bool:
        """Whether the other one publishes the same parties of this call."""
        parties = (party for party in call.parties if party is not None)
        return all(
            self.published(party, TopicClass.STATE) == other.published(party, TopicClass.STATE)
            for party in parties
        )

    def party(self, party: RemoteParty, topic_class: TopicClass) -> payloads.Party:
        """The payload of a party."""
        shown = self.published(party, topic_class)
        return {
            "number": shown.number,
            "name": shown.name,
            "user": shown.user,
            "anonymous": shown.anonymous,
            "internal": shown.internal,
        }

    def party_or_none(self, party: RemoteParty | None, topic_class: TopicClass) -> payloads.Party | None:
        """The same where there may be no party."""
        return None if party is None else self.party(party, topic_class)


PLAIN = Presentation()
"""Shows parties as the PBX names them."""
