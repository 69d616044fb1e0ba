"""How the other ends of calls are shown: the one place that turns a party into its payload. Pure.

Every output gets a `Presentation` in its View. Whoever shows a party or its number elsewhere uses it too.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.core import payloads
from bridge.core.model import Call, RemoteParty
from bridge.core.records import Party


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


@dataclass(frozen=True, slots=True)
class Presentation:
    """The steps by which a party becomes what is published: numbers and names first, masks last."""

    steps: tuple[Step, ...] = ()

    def published(self, party: RemoteParty, topic_class: TopicClass) -> RemoteParty:
        """The party as topics of this class show it. Published twice, it stays the same."""
        shown = replace(party, internal=True) if party.user is not None else party
        for step in self.steps:
            shown = step(shown, topic_class)
        return shown

    def recognised(self, known: RemoteParty | None, party: Party | None) -> RemoteParty | None:
        """A party that was read back, as the PBX names it now, if both are published alike."""
        if known is None or party is None:
            return known
        heard = replace(remote_party(party), user=known.user)
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
