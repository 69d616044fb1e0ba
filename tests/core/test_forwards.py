"""Forwards of users in the state: when they must be read, how they are shown, and after a restart."""

from bridge.core import render
from bridge.core.model import RemoteParty
from bridge.core.presentation import PLAIN, Presentation, TopicClass
from bridge.core.records import Batch, Forwards
from bridge.core.rules import Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, History, restored, user

WITH = Scope(forwards=True)
MOBILE = Forwards(no_answer="0171234")
SWITCH = user("g-switch", "Night", is_switch=True)


def test_they_are_read_when_they_may_have_changed() -> None:
    """Of everybody once in a session, and again of whose configuration changes; not of switches."""
    history = History(WITH).begin().take(Batch(users=(*PEOPLE, SWITCH), list_complete=True))
    assert history.changes.reconfigured == {each.guid: each.name for each in PEOPLE}
    history.take(Batch(users=(evolve(PEOPLE[0], registered=False),)))
    assert history.changes.reconfigured == {}
    history.take(Batch(users=(evolve(PEOPLE[0], reconfigured=True),)))
    assert history.changes.reconfigured == {ANNA: "Anna Ex"}
    history.begin().take(Batch(users=PEOPLE[:2]))
    assert set(history.changes.reconfigured) == {ANNA, BERT}

    assert History().begin().take(Batch(users=PEOPLE)).changes.reconfigured == {}, "only where wanted"


def test_a_change_is_published_once() -> None:
    """Nobody who is unknown, nothing that is known."""
    history = History(WITH).start().take(Batch(forwards=((ANNA, MOBILE), ("g-nobody", MOBILE))))
    assert history.changes.users == (ANNA,)
    payload = render.user_state(history.state, "hq", ANNA, PLAIN)
    assert payload["forwards"] == {"always": None, "busy": None, "no_answer": "0171234"}
    assert "forwards" not in render.user_state(history.state, "hq", BERT, PLAIN)
    assert history.take(Batch(forwards=((ANNA, MOBILE),))).changes.users == ()


def test_a_new_configuration_is_no_new_state() -> None:
    """Only what it changes is."""
    history = History(WITH).start().take(Batch(users=(evolve(PEOPLE[0], reconfigured=True),)))
    assert history.changes.users == ()


def test_numbers_are_shown_as_those_of_parties() -> None:
    """Those of known users are theirs."""

    def mask(party: RemoteParty, _class: TopicClass) -> RemoteParty:
        return party if party.internal else evolve(party, number="***")

    history = History(WITH).start()
    history.take(Batch(forwards=((ANNA, Forwards("bert", "22", "0171")),)))
    payload = render.user_state(history.state, "hq", ANNA, Presentation((mask,)))
    assert payload["forwards"] == {"always": "bert", "busy": "22", "no_answer": "***"}


def test_they_survive_a_restart() -> None:
    """Where they are still wanted."""
    history = History(WITH).start().take(Batch(forwards=((ANNA, MOBILE),)))
    payload = render.user_state(history.state, "hq", ANNA, PLAIN)
    for scope, kept in ((WITH, MOBILE), (Scope(), None)):
        state, _ = restored("f", {"anna": payload}, scope, history.now)
        assert state.users[ANNA].forwards == kept
