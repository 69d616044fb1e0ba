"""Names in topics: reversible, without the characters that mean something there, told apart from others."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import topics
from bridge.core.records import Batch, UserRecord
from bridge.core.rules import Scope
from bridge.core.topics import Topics
from bridge.core.value import evolve
from tests.core.builders import History

TOPICS = Topics("a/base", "hq")
PLAIN = set(string.ascii_letters + string.digits + "_.-~%")


@given(st.text(max_size=20))
def test_a_name_survives_the_way_into_a_topic_and_back(name: str) -> None:
    """Every name; what stands in the topic needs no escaping anywhere."""
    level = topics.encode(name)

    assert topics.decode(level) == name
    assert set(level) <= PLAIN


@pytest.mark.parametrize(
    ("user_id", "wanted"), [("h323", "s%2Fn"), ("e164", "2%231"), ("cn", "L%20N"), ("guid", "g%2B1")]
)
def test_the_configured_name_is_the_topic_id(user_id: str, wanted: str) -> None:
    """And the guid stands in for a name that is empty."""
    named = UserRecord("g+1", "L N", short_name="s/n", number="2#1")

    assert topics.topic_id(named, user_id) == wanted
    assert topics.topic_id(UserRecord("g+1", ""), user_id) == "g%2B1"


@given(st.lists(st.sampled_from(("command", "user", "state", "anna", "call", "")), max_size=6))
def test_a_topic_means_one_thing_at_most(levels: list[str]) -> None:
    """A command is no state; four shapes are ours and all others nobody's."""
    topic = "/".join((TOPICS.root, *levels))
    command, user = TOPICS.command_in(topic), TOPICS.user_in_state(topic)

    assert (command is not None) == (
        (len(levels) == 2 and levels[0] == "command")
        or (len(levels) == 4 and (levels[0], levels[2]) == ("user", "command"))
    )
    assert (user is not None) == (len(levels) == 3 and (levels[0], levels[2]) == ("user", "state"))


def test_what_is_built_is_read_back() -> None:
    """State topics and both forms of a command."""
    assert TOPICS.user_in_state(TOPICS.user_state("anna")) == "anna"
    assert TOPICS.user_in_event(TOPICS.user_event("anna")) == "anna"
    plain, of_user = TOPICS.commands
    assert TOPICS.command_in(plain.replace("+", "call")) == (None, "call")
    assert TOPICS.command_in(of_user.replace("+", "anna", 1).replace("+", "call")) == ("anna", "call")
    assert TOPICS.response("call") == "a/base/hq/response/call"


@pytest.mark.parametrize(
    "topic", ["", "hq/command/call", "a/base/hqx/command/call", "a/base/hq", "a/base/hq2"]
)
def test_topics_of_others_are_not_read(topic: str) -> None:
    """A PBX whose name begins like ours is another one."""
    assert TOPICS.command_in(topic) is None
    assert TOPICS.user_in_state(topic) is None
    assert TOPICS.user_in_event(topic) is None
    assert TOPICS.user_in_event("a/base/hqx/user/anna/event") is None


def test_a_renamed_user_leaves_its_old_topic() -> None:
    """The old one is cleared, the new one told, and lookups know only the new one."""
    history = History().start(UserRecord("g-anna", "A", short_name="anna"))
    history.take(Batch(users=(UserRecord("g-anna", "A", short_name="ann"),)))

    assert (history.changes.gone, history.changes.users) == (("anna",), ("g-anna",))
    assert history.state.user_of("anna") is None
    assert history.state.user_of("ann") is history.state.users["g-anna"]


def test_a_name_that_does_not_make_the_topic_clears_nothing() -> None:
    """The long name changes, the topic id is the short one."""
    history = History(Scope()).start(UserRecord("g-anna", "A", short_name="anna"))
    history.take(Batch(users=(UserRecord("g-anna", "Anna B", short_name="anna"),)))

    assert (history.changes.gone, history.changes.users) == ((), ("g-anna",))
    assert dict(history.state.topics) == {"g-anna": "anna"}


def test_two_users_exchange_their_names() -> None:
    """Each topic passes to the other user; neither is cleared, both are told."""
    history = History().start(
        UserRecord("g-a", "A", short_name="one"), UserRecord("g-b", "B", short_name="two")
    )
    history.take(
        Batch(users=(UserRecord("g-a", "A", short_name="two"), UserRecord("g-b", "B", short_name="one")))
    )

    assert dict(history.state.topics) == {"g-a": "two", "g-b": "one"}
    assert set(history.changes.users) == {"g-a", "g-b"}
    assert set(history.changes.gone) & {"one", "two"} == set()


def test_a_name_that_many_share_costs_each_of_them_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each goes by its guid; the others are not looked at again whenever one comes or goes."""
    encoded: list[str] = []
    encode = topics.encode

    def noted(name: str, *, dots: bool = False) -> str:
        encoded.append(name)
        return encode(name, dots=dots)

    monkeypatch.setattr(topics, "encode", noted)
    many = tuple(UserRecord(f"g{number}", f"n{number}", short_name="same") for number in range(300))
    history = History().start(*many)

    assert dict(history.state.topics) == {record.guid: record.guid for record in many}
    assert len(encoded) < 10 * len(many)
    history.take(Batch(users=tuple(evolve(record, active=False) for record in many[:-1])))
    assert dict(history.state.topics) == {"g299": "same"}
