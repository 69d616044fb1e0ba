"""What is shown of a party: the steps in their order, for each class of topics, in every payload."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import render
from bridge.core.dial_plan import DialPlan
from bridge.core.model import Call, Direction, RemoteParty
from bridge.core.phonebook import phonebook
from bridge.core.presentation import KEPT_AT_MOST, PLAIN, Presentation, TopicClass
from bridge.core.privacy import Privacy, PrivacyRule, Shown
from bridge.core.records import Batch, CallState, LegRecord, Party
from bridge.core.rules import Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, History, leg, restored

SECRET = "0301234567"
PARTIES = [name for name, kind in Call.__annotations__.items() if "RemoteParty" in kind]


def starred(party: RemoteParty, topic_class: TopicClass) -> RemoteParty:
    """A step that hides numbers outside of events."""
    return party if topic_class is TopicClass.EVENT else evolve(party, number="*" * len(party.number))


def named(party: RemoteParty, _topic_class: TopicClass) -> RemoteParty:
    """A step that names one number."""
    return evolve(party, name="ACME") if party.number == SECRET else party


def test_a_known_user_is_internal() -> None:
    """Nobody else is, unless that was read back."""
    shown = [
        PLAIN.party(party, TopicClass.STATE)["internal"]
        for party in (RemoteParty("21", user="anna"), RemoteParty("21"), RemoteParty(internal=True))
    ]

    assert shown == [True, False, True]


def test_a_call_is_made_once() -> None:
    """For its event and its state; not where these show it differently, nor when it has changed."""
    call = Call("e-1", "g", 7, Direction.INBOUND, CallState.SETUP, 0, 0.0, remote=RemoteParty(SECRET))
    for shown, once in ((Presentation(), True), (Presentation((starred,)), False)):
        made = [render.call(call, shown, each) for each in (TopicClass.EVENT, TopicClass.STATE)]
        assert (made[0] is made[1]) == once
        assert render.call(call, shown, TopicClass.STATE) is made[1]
        assert render.call(evolve(call, held=True), shown, TopicClass.STATE)["held"] is True


def test_few_calls_are_kept() -> None:
    """One that was shown long ago is made again, and looks the same."""
    call = Call("e-1", "g", 7, Direction.INBOUND, CallState.SETUP, 0, 0.0)
    shown = Presentation()
    first = render.call(call, shown, TopicClass.STATE)
    for number in range(KEPT_AT_MOST):
        render.call(evolve(call, id=f"o-{number}"), shown, TopicClass.STATE)
    again = render.call(call, shown, TopicClass.STATE)
    assert again is not first
    assert again == first


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
    call = evolve(history.state.calls[ANNA][0], **secret)
    last = evolve(history.state.users[ANNA], last_call=call)
    state = history.state
    state = replace(state, calls=state.calls.insert(ANNA, (call,)), users=state.users.insert(ANNA, last))
    event = evolve(history.events[-1], call=call)
    stars = Presentation((starred,))
    told: Any = render.event(event, "e", "hq", stars)

    assert SECRET not in json.dumps(render.user_state(state, "hq", ANNA, stars))
    assert SECRET not in json.dumps(render.call(call, stars, TopicClass.RESPONSE))
    assert told["call"][place]["number"] == SECRET


@pytest.mark.parametrize("place", PARTIES)
def test_a_call_looks_different_by_any_of_its_parties(place: str) -> None:
    """Else a user would keep an old name on the bus."""
    secret: Any = {place: RemoteParty(SECRET)}
    call = evolve(History().start().see(leg()).state.calls[ANNA][0], **secret)

    assert len(call.parties) == len(PARTIES)
    assert Presentation((named,)).shows_like(Presentation((named, named)), call)
    assert not Presentation((named,)).shows_like(PLAIN, call)


HIDDEN = Scope(presentation=Presentation((named, starred)))
ELSEWHERE = Party("0307654321", display_name="Other")
GOES_ON = {
    "a conference": leg(state=CallState.CONNECTED, remote=Party(SECRET), diverted_from=ELSEWHERE),
    "no conference": leg(state=CallState.CONNECTED, remote=Party(SECRET), conference=""),
    "a colleague": leg(state=CallState.CONNECTED, remote=Party("22", display_name="Bert"), to_user=False),
    "a nameless one": leg(state=CallState.CONNECTED, remote=Party(display_name="Anybody")),
}


def read_back(old: History) -> History:
    """A new run, with the first list, after one that published parties in another form."""
    payloads = {
        topic: json.loads(json.dumps(render.user_state(old.state, "hq", guid, HIDDEN.presentation)))
        for guid, topic in old.state.topics.items()
    }
    new = History(HIDDEN, epoch="new")
    new.state, strange = restored("new", payloads, HIDDEN, new.now)
    assert strange == ()
    assert SECRET not in json.dumps(payloads)
    return new.begin().take(Batch(users=PEOPLE, list_complete=True))


@pytest.mark.parametrize("record", GOES_ON.values(), ids=GOES_ON)
def test_a_call_that_was_published_in_another_form_goes_on(record: LegRecord) -> None:
    """After a restart nothing is told of it, and nothing that was not published stays forgotten."""
    old = History(HIDDEN, epoch="old").start().see(evolve(record, state=CallState.SETUP), record)
    new = read_back(old).see(evolve(record, leg_handle=99)).settle()
    (before,), (after,) = old.state.calls[ANNA], new.state.calls[ANNA]

    assert [event.type for event in new.events] == []
    assert (after.id, after.remote, after.diverted_from) == (before.id, before.remote, before.diverted_from)


def test_two_calls_are_told_apart_by_what_was_published() -> None:
    """Each goes on under its own id, though neither number is known any more."""
    short, long = Party("030"), Party("030123456")
    old = History(HIDDEN, epoch="old").start()
    old.see(leg(1, conference="", remote=short), leg(2, conference="", remote=long))
    ids = {call.remote.number: call.id for call in old.state.calls[ANNA]}
    new = read_back(old).see(leg(8, conference="", remote=long), leg(9, conference="", remote=short)).settle()

    assert {call.remote.number: call.id for call in new.state.calls[ANNA]} == ids


def test_what_changed_meanwhile_is_news() -> None:
    """Another name at the other end: one event."""
    old = History(HIDDEN, epoch="old").start().see(leg(remote=Party("030", display_name="One")))
    new = read_back(old).see(leg(remote=Party("030", display_name="Two"))).settle()

    assert [(event.type.value, event.user) for event in new.events] == [("updated", ANNA)]
    assert new.state.calls.get(BERT) is None


STEPS = st.tuples(
    st.sampled_from([DialPlan(), DialPlan(49, "711", "0", ("2?",)), DialPlan(1)]),
    st.sampled_from([b"", b"0711 123456,ACME\n21,Door\n"]),
    st.builds(
        Privacy,
        st.sampled_from(Shown),
        st.lists(st.builds(PrivacyRule, st.sampled_from(Shown), st.sampled_from([None, "2?", "0049*"]))).map(
            tuple
        ),
        st.just(b"key"),
    ),
)
NUMBERS = st.sampled_from(["0123456", "00711123456", "21", "", "112", "xxx456", "*21#", "+49711123456"])


@given(STEPS, NUMBERS, st.sampled_from(["", "Bob", "B…"]), st.sampled_from([None, "anna"]))
def test_all_steps_together_change_what_they_published_no_more(
    steps: tuple[DialPlan, bytes, Privacy], number: str, name: str, user: str | None
) -> None:
    """Numbers, names and masks: a state that is read back and published again is the same state."""
    plan, names, privacy = steps
    shown = Presentation((plan.show, phonebook(names, plan.written).show, privacy.show))
    once = shown.published(RemoteParty(number, name, user), TopicClass.STATE)

    assert shown.published(once, TopicClass.STATE) == once
