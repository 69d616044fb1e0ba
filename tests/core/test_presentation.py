"""What is shown of a party: the steps in their order, for each class of topics, in every payload."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from bridge.core import render
from bridge.core.model import Call, RemoteParty
from bridge.core.presentation import PLAIN, Presentation, TopicClass
from bridge.core.records import CallState
from tests.core.builders import ANNA, History, leg

SECRET = "0301234567"
PARTIES = [field.name for field in fields(Call) if "RemoteParty" in str(field.type)]


def starred(party: RemoteParty, topic_class: TopicClass) -> RemoteParty:
    """A step that hides numbers outside of events."""
    return party if topic_class is TopicClass.EVENT else replace(party, number="*" * len(party.number))


def named(party: RemoteParty, _topic_class: TopicClass) -> RemoteParty:
    """A step that names one number."""
    return replace(party, name="ACME") if party.number == SECRET else party


def test_a_known_user_is_internal() -> None:
    """Nobody else is, unless that was read back."""
    shown = [
        PLAIN.party(party, TopicClass.STATE)["internal"]
        for party in (RemoteParty("21", user="anna"), RemoteParty("21"), RemoteParty(internal=True))
    ]

    assert shown == [True, False, True]


def test_steps_are_taken_in_their_order() -> None:
    """A name is looked up by the number that a later step hides."""
    shown = Presentation((named, starred)).published(RemoteParty(SECRET), TopicClass.STATE)
    other = Presentation((starred, named)).published(RemoteParty(SECRET), TopicClass.STATE)

    assert (shown.name, shown.number) == ("ACME", "**********")
    assert other.name == ""


@pytest.mark.parametrize("place", PARTIES)
def test_every_party_of_a_call_is_presented(place: str) -> None:
    """In the running calls and in the last one; a new party of a call is one of these fields."""
    history = History().start().see(leg(state=CallState.RINGING))
    secret: Any = {place: RemoteParty(SECRET)}
    call = replace(history.state.calls[ANNA][0], **secret)
    last = replace(history.state.users[ANNA], last_call=call)
    state = replace(history.state, calls={ANNA: (call,)}, users={**history.state.users, ANNA: last})
    event = replace(history.events[-1], call=call)
    stars = Presentation((starred,))
    told: Any = render.event(event, "e", "hq", stars)

    assert SECRET not in json.dumps(render.user_state(state, "hq", ANNA, stars))
    assert SECRET not in json.dumps(render.call(call, stars, TopicClass.RESPONSE))
    assert told["call"][place]["number"] == SECRET
