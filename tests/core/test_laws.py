"""Laws that hold for any history, tried on many (style of property tests)."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import render
from bridge.core.draft import Scope
from bridge.core.model import Batch, CallState, EventType, LegRecord, Party, PbxState, UserRecord
from tests.core.builders import FOLLOWS, History

GUIDS = tuple(FOLLOWS.values())
names = st.sampled_from(("anna", "bert", "a/b", "Ü", ""))
users = st.builds(
    UserRecord,
    st.sampled_from(GUIDS),
    st.sampled_from(("One", "Two", "Three")),
    short_name=names,
    number=st.sampled_from(("", "21", "22")),
    type=st.sampled_from(("ep", "gw")),
    active=st.sampled_from((True, True, True, False)),
    channels=st.integers(0, 2),
)
states = st.sampled_from([state for state in CallState if state is not CallState.ENDED])
parties = st.builds(Party, st.sampled_from(("", "0123", "21")), short_name=names)
legs = st.builds(
    LegRecord,
    st.sampled_from((*FOLLOWS, 9)),
    st.integers(1, 3),
    states,
    ended=st.sampled_from((False, False, True)),
    to_user=st.booleans(),
    held=st.booleans(),
    remote=parties,
    conference=st.sampled_from(("", "c1", "c2")),
    cause=st.sampled_from((None, 16, 17, 26)),
)
batches = st.builds(
    Batch, st.lists(users, max_size=3).map(tuple), st.lists(legs, max_size=4).map(tuple), st.booleans()
)
steps = st.lists(st.one_of(batches, st.sampled_from(("begin", "settle"))), max_size=12)
SCOPES = st.sampled_from((Scope(), Scope(user_id="e164"), Scope(user_id="cn"), Scope(user_id="guid")))
many = settings(max_examples=60, deadline=None)


def play(history: History, story: list[Batch | str]) -> History:
    """Let a story happen."""
    for step in story:
        if isinstance(step, Batch):
            history.take(step)
        elif step == "begin":
            history.begin()
        else:
            history.settle()
    return history


def tree(state: PbxState) -> dict[str, object]:
    """All that must be retained for a state."""
    return {topic: render.user_state(state, "hq", guid) for guid, topic in state.topics.items()}


@many
@given(steps, batches, SCOPES)
def test_the_same_batch_twice_changes_nothing_the_second_time(
    story: list[Batch | str], batch: Batch, scope: Scope
) -> None:
    """Idempotent: one user and one leg at most, so that the batch does not contradict itself."""
    calm = Batch(batch.users[:1], tuple(leg for leg in batch.legs[:1] if not leg.ended), batch.list_complete)
    once = play(History(scope), story).take(calm).state
    again = play(History(scope), story).take(calm).take(calm)

    assert again.changes.events == ()
    assert (again.state.topics, set(again.state.users)) == (once.topics, set(once.users))


@many
@given(steps, batches, st.integers(0, 4))
def test_a_batch_may_come_in_two(story: list[Batch | str], batch: Batch, cut: int) -> None:
    """Splittable: users then legs, cut anywhere."""
    whole = play(History(), story).take(batch)
    parts = play(History(), story)
    events = len(parts.events)
    parts.take(Batch(users=batch.users[:cut])).take(Batch(users=batch.users[cut:]))
    parts.take(Batch(legs=batch.legs[:cut]))
    parts.take(Batch(legs=batch.legs[cut:], list_complete=batch.list_complete))

    told = [(event.type, event.user) for event in parts.events[events:]]
    assert told == [(event.type, event.user) for event in whole.events[events:]]
    assert (parts.state.topics, parts.state.unseen) == (whole.state.topics, whole.state.unseen)


@many
@given(steps, st.lists(users, max_size=4), SCOPES)
def test_a_full_list_is_the_truth(story: list[Batch | str], present: list[UserRecord], scope: Scope) -> None:
    """Whatever happened before, a new session's list alone decides who exists and under which topic."""
    everybody = Batch(users=tuple(present), list_complete=True)
    after = play(History(scope), story).begin().take(everybody).settle().state
    alone = History(scope).begin().take(everybody).settle().state

    assert {guid: user.record for guid, user in after.users.items()} == {
        guid: user.record for guid, user in alone.users.items()
    }
    assert after.topics == alone.topics
    assert after.calls == {}


@many
@given(steps, SCOPES)
def test_the_retained_tree_is_the_rendering_of_the_state(story: list[Batch | str], scope: Scope) -> None:
    """Publishing only what changed gives the same tree as publishing everything."""
    history, retained = History(scope), dict[str, object]()
    for step in story:
        play(history, [step])
        if step == "begin":
            continue
        for topic in history.changes.gone:
            retained.pop(topic, None)
        for guid in history.changes.users:
            topic = history.state.topics[guid]
            retained[topic] = render.user_state(history.state, "hq", guid)

    assert retained == tree(history.state)


@many
@given(steps)
def test_every_leg_has_one_beginning_and_at_most_one_end(story: list[Batch | str]) -> None:
    """And exactly one end when everything is over; events are numbered without a gap."""
    history = play(History(), story).start()
    ends = {EventType.ENDED, EventType.MISSED}
    ids = {event.call.id for event in history.events if event.call}
    for call_id in ids:
        kinds = [event.type for event in history.events if event.call and event.call.id == call_id]
        assert [kind for kind in kinds if kind in ends] == [kinds[-1]]
    assert [event.seq for event in history.events] == list(range(1, len(history.events) + 1))


@many
@given(steps)
def test_the_same_history_gives_the_same_state(story: list[Batch | str]) -> None:
    """Pure: nothing but the arguments counts."""
    assert play(History(), story).state == play(History(), story).state


def test_a_topic_id_belongs_to_one_user() -> None:
    """Two that want the same id go by their guids until one gives it up."""
    one, two = UserRecord("g-anna", "A", short_name="x"), UserRecord("g-bert", "B", short_name="x")
    history = History().start(one, two)
    assert set(history.state.topics.values()) == {"g-anna", "g-bert"}
    history.take(Batch(users=(replace(two, short_name="y"),)))

    assert history.state.topics == {"g-anna": "x", "g-bert": "y"}
    assert set(history.changes.gone) == {"g-anna", "g-bert"}
