"""One more output is one file and its registration: it is refreshed, erased and read back like the others."""

import json

import pytest

from bridge.core.message import Message
from bridge.core.model import Instant
from bridge.core.presentation import Presentation
from bridge.core.records import Batch
from bridge.core.restore import remembered
from bridge.core.rules import Scope
from bridge.core.status import About, LinkState
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, leg
from tests.link.stage import TOPICS, Bus

ROOT = TOPICS.root
ANNA_STATE, ANNA_EVENT = TOPICS.user_state("anna"), TOPICS.user_event("anna")
ANNA_MISSED, ANNA_CONFIG = f"{ROOT}/missed/anna", "elsewhere/hq-anna/config"


@pytest.fixture
def bus() -> Bus:
    """With two users, told."""
    return Bus().start()


def test_its_topics_are_told_at_the_connect(bus: Bus) -> None:
    """The state of the link first, the topics of the outputs in their order behind it."""
    topics = [message.topic for message in bus.mirror.tree()]
    assert topics[:2] == [TOPICS.state, TOPICS.info]
    assert {*topics[2:4]} == {ANNA_STATE, TOPICS.user_state("bert")}, "users are in no order"
    assert topics[topics.index(ANNA_MISSED) + 1] == ANNA_CONFIG
    assert bus.retained.keys() == set(topics)


def test_its_news_is_told(bus: Bus) -> None:
    """A missed call: the number is retained; the bell is an event, kept until the broker has it."""
    bus.mirror.reported(Batch(legs=(leg(),)))
    bus.said()
    bus.mirror.reported(Batch(legs=(evolve(leg(), ended=True),)))
    kept = [event.message.topic for event in bus.journal.kept().events]
    said = {message.topic: message for message in bus.said()}
    assert (said[ANNA_MISSED].payload, said[ANNA_MISSED].retain) == ("1", True)
    assert said[f"{ROOT}/bell"] == Message(f"{ROOT}/bell", {"user": "anna"})
    assert kept == [f"{ROOT}/bell", ANNA_EVENT]
    assert bus.journal.kept().events == ()


def test_its_topics_of_a_user_who_is_renamed_or_deleted_are_erased(bus: Bus) -> None:
    """The user's state goes last: as long as it is retained, a later run knows what is left to erase."""
    bus.mirror.reported(Batch(users=(evolve(PEOPLE[0], short_name="anne"),)))
    erased = [message.topic for message in bus.said() if message.payload is None]
    assert erased == [ANNA_MISSED, ANNA_CONFIG, ANNA_STATE]
    assert f"{ROOT}/missed/anne" in bus.retained
    bus.mirror.reported(Batch(users=(evolve(PEOPLE[0], active=False),)))
    bus.said()
    assert not [topic for topic in bus.retained if "ann" in topic]


def test_what_a_stranger_deletes_is_said_again(bus: Bus) -> None:
    """One topic or all; what belongs on no topic is erased."""
    bus.mirror.say_again({ANNA_CONFIG, "elsewhere/hq-nobody/config"})
    said = {message.topic: message.payload for message in bus.said()}
    assert said == {ANNA_CONFIG: "{}", "elsewhere/hq-nobody/config": None}
    bus.mirror.republish()
    assert {message.topic for message in bus.said()} == bus.retained.keys()


def test_nothing_is_left_of_a_pbx_that_is_served_no_more(bus: Bus) -> None:
    """Users first, `state` last: until then the bus says that they are offline."""
    bus.mirror.set_status(LinkState.STOPPED, "the bridge was stopped")
    bus.said()
    bus.mirror.erase_tree()
    said = bus.said()
    assert bus.retained == {}
    assert [message.topic for message in said[-2:]] == [TOPICS.info, TOPICS.state]
    assert len({message.topic for message in said}) == len(said)


def test_its_topics_are_erased_for_users_who_left_while_the_bridge_was_down(bus: Bus) -> None:
    """The user's retained state names them."""
    payload = bus.mirror.states()["anna"]
    again = Bus()
    now = Instant(1_796_000_000_000, 1.0)
    again.mirror.restore({"anna": remembered("anna", payload, Scope(), now), "zoe": None})
    again.mirror.refresh()
    again.said()
    assert ANNA_MISSED in again.retained
    again.mirror.began(About())
    again.mirror.reported(Batch(users=PEOPLE[1:2], list_complete=True))
    erased = {message.topic for message in again.said() if message.payload is None}
    assert {ANNA_MISSED, ANNA_CONFIG, ANNA_STATE} <= erased
    assert ANNA not in again.mirror.state.users


def test_what_a_session_that_broke_left_unsaid_is_erased_all_the_same(bus: Bus) -> None:
    """The broker has it of an earlier session, although a change of it waits when the user goes."""
    bus.mirror.refresh()
    bus.outbox.take(0.0)
    bus.outbox.disconnected(0.0)
    bus.mirror.reported(Batch(legs=(leg(),)))
    bus.mirror.reported(Batch(users=(evolve(PEOPLE[0], active=False),)))
    bus.mirror.refresh()
    bus.said()
    assert not [topic for topic in bus.retained if "ann" in topic]
    assert bus.retained.keys() == {message.topic for message in bus.mirror.tree()}


def test_counts_are_told_when_they_have_changed(bus: Bus) -> None:
    """While the PBX is asked for one user after another, only the last answer is news."""
    bus.mirror.monitored(PEOPLE[0].guid)
    assert bus.said() == []
    bus.mirror.monitored(PEOPLE[1].guid)
    assert [message.topic for message in bus.said()] == [TOPICS.info]
    bus.mirror.monitored(PEOPLE[1].guid)
    assert bus.said() == []
    bus.mirror.contested()
    assert [message.topic for message in bus.said()] == [TOPICS.state, TOPICS.info]


def test_parties_who_look_different_are_told_again(bus: Bus) -> None:
    """Of running calls and of last ones, and nothing of users whose calls look as before."""
    bus.mirror.reported(Batch(legs=(leg(), leg(8, user=BERT), evolve(leg(8, user=BERT), ended=True))))
    bus.said()
    bus.mirror.present(Presentation((lambda party, _: evolve(party, name="Somebody"),)))
    said = {message.topic: json.dumps(message.payload) for message in bus.said() if "/user/" in message.topic}
    assert sorted(said) == [ANNA_STATE, TOPICS.user_state("bert")]
    assert all('"Somebody"' in payload and "ACME" not in payload for payload in said.values())
    bus.mirror.present(Presentation((lambda party, _: evolve(party, name="Some" + "body"),)))
    assert bus.said() == []
