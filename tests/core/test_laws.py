"""Laws that hold for any history, tried on many (style of property tests)."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import render
from bridge.core.calls import only_lets_go
from bridge.core.model import Changes, Event, EventType, Instant, Outcome, PbxState
from bridge.core.presentation import PLAIN
from bridge.core.records import Batch, CallState, LegRecord, Party, ReleasedBy, UserRecord
from bridge.core.rules import Rule, Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, GATE, History

GUIDS = (ANNA, BERT, GATE)
TERMINAL = frozenset({EventType.ENDED, EventType.MISSED})
FIRST = frozenset({EventType.INCOMING, EventType.OUTGOING, EventType.UPDATED})
names = st.sampled_from(("anna", "bert", "a/b", "Ü", ""))
users = st.builds(
    UserRecord,
    st.sampled_from(GUIDS),
    st.sampled_from(("One", "Two", "Three")),
    short_name=names,
    number=st.sampled_from(("", "21", "22")),
    type=st.sampled_from(("ep", "gw", "waiting")),
    active=st.sampled_from((True, True, True, False)),
    channels=st.integers(0, 2),
    is_switch=st.sampled_from((False, False, False, True)),
)
states = st.sampled_from([state for state in CallState if state is not CallState.ENDED])
parties = st.builds(Party, st.sampled_from(("", "0123", "21", "11")), short_name=names)
ends = st.none() | parties
legs = st.builds(
    LegRecord,
    st.sampled_from((*GUIDS, "g-nobody")),
    st.integers(1, 3),
    states,
    ended=st.sampled_from((False, False, True)),
    to_user=st.booleans(),
    held=st.booleans(),
    held_by_remote=st.booleans(),
    remote=parties,
    diverted_from=ends,
    transferred_by=ends,
    picked_up_from=ends,
    conference=st.sampled_from(("", "c1", "c2")),
    cause=st.sampled_from((None, 1, 16, 17, 26)),
    released_by=st.sampled_from((None, *ReleasedBy)),
)
batches = st.builds(
    Batch, st.lists(users, max_size=3).map(tuple), st.lists(legs, max_size=4).map(tuple), st.booleans()
)
calm = st.builds(
    Batch,
    st.lists(users, max_size=3, unique_by=lambda record: record.guid).map(tuple),
    st.lists(legs, max_size=3, unique_by=lambda record: (record.user, record.leg_handle)).map(
        lambda records: tuple(evolve(record, ended=False) for record in records)
    ),
)
placed = st.tuples(st.sampled_from(GUIDS), st.integers(1, 3))
steps = st.lists(st.one_of(batches, batches, placed, st.sampled_from(("begin", "settle"))), max_size=12)
Step = Batch | str | tuple[str, int]
SCOPES = st.sampled_from(
    (
        Scope(),
        Scope(user_id="e164"),
        Scope(user_id="cn"),
        Scope(user_id="guid"),
        Scope(users=(Rule(exclude=True, number="22"),)),
        Scope(calls=(Rule(number="2*"),)),
    )
)
many = settings(max_examples=40, deadline=None)


class Still(History):
    """A history without time, so that states can be compared whole."""

    @property
    def now(self) -> Instant:
        """Always the same moment."""
        return Instant(1_795_000_000_000, 1.0)


def play(history: History, story: list[Step]) -> History:
    """Let a story happen."""
    for step in story:
        history.changes = Changes()
        if isinstance(step, Batch):
            history.take(step)
        elif isinstance(step, tuple):
            history.place(*step, "c-1")
        elif step == "begin":
            history.begin()
        else:
            history.settle()
    return history


def tree(state: PbxState) -> dict[str, object]:
    """All that must be retained for a state."""
    return {topic: render.user_state(state, "hq", guid, PLAIN) for guid, topic in state.topics.items()}


@many
@given(steps, calm, SCOPES)
def test_the_same_batch_twice_changes_nothing_the_second_time(
    story: list[Step], batch: Batch, scope: Scope
) -> None:
    """Idempotent, for a batch that does not contradict itself."""
    history = play(Still(scope), story).take(batch)
    once = history.state
    history.take(batch)

    assert history.changes.events == ()
    assert (history.state.topics, history.state.users) == (once.topics, once.users)
    assert history.state.calls == once.calls


@many
@given(steps, batches, st.integers(0, 4), SCOPES)
def test_a_batch_may_come_in_parts(story: list[Step], batch: Batch, cut: int, scope: Scope) -> None:
    """Splittable: users then legs, cut anywhere; neither the state nor an event shows it.

    But for one: a disconnection whose end is cut off from it is told.
    """
    whole = play(Still(scope), story).take(batch)
    parts = play(Still(scope), story)
    parts.take(Batch(users=batch.users[:cut])).take(Batch(users=batch.users[cut:]))
    parts.take(Batch(legs=batch.legs[:cut]))
    parts.take(Batch(legs=batch.legs[cut:], list_complete=batch.list_complete))

    assert said(parts.events) == said(whole.events)
    assert replace(parts.state, seq=0) == replace(whole.state, seq=0)
    assert 0 <= parts.state.seq - whole.state.seq <= len(batch.legs)


def said(events: list[Event]) -> list[Event]:
    """The events without their numbers, and without disconnections that directly precede an end."""
    kept: list[Event] = []
    ended: set[str] = set()
    for event in reversed(events):
        call = event.call
        if call is not None and event.type is EventType.UPDATED and call.id in ended:
            disconnects = call.state is CallState.DISCONNECTING
            ended.discard(call.id)
            if disconnects and not event.resync:
                continue
        if call is not None:
            (ended.add if event.type in TERMINAL else ended.discard)(call.id)
        kept.append(evolve(event, seq=0))
    return kept[::-1]


@many
@given(steps, batches, SCOPES)
def test_no_disconnection_is_told_directly_before_its_end(
    story: list[Step], batch: Batch, scope: Scope
) -> None:
    """Within one batch, unless it says more; and then every leg still has what must be told."""
    history = play(Still(scope), story)
    calls = {call.id: call for running in history.state.calls.values() for call in running}
    history.take(batch)
    events = history.changes.events
    for one in events:
        if one.call is None or one.type is not EventType.UPDATED or one.call.id not in calls:
            continue
        later = [event for event in events if event.call and event.call.id == one.call.id]
        after = later[later.index(one) + 1 :]
        if after and after[0].type in TERMINAL and len(later) == 2 and after[0].call is not None:
            outcome_lost = after[0].call.outcome is Outcome.LOST
            assert outcome_lost or not only_lets_go(calls[one.call.id], one.call)


@many
@given(steps, st.lists(users, max_size=4), SCOPES)
def test_a_full_list_is_the_truth(story: list[Step], present: list[UserRecord], scope: Scope) -> None:
    """Whatever happened before, a new session's list alone decides who exists and under which topic."""
    everybody = Batch(users=tuple(present), list_complete=True)
    after = play(History(scope), story).begin().take(everybody).settle().state
    alone = History(scope).begin().take(everybody).settle().state

    assert {guid: user.record for guid, user in after.users.items()} == {
        guid: user.record for guid, user in alone.users.items()
    }
    assert after.topics == alone.topics
    assert not after.calls


@many
@given(steps, SCOPES)
def test_the_retained_tree_is_the_rendering_of_the_state(story: list[Step], scope: Scope) -> None:
    """Publishing only what changed gives the same tree as publishing everything."""
    history, retained = History(scope), dict[str, object]()
    for step in story:
        play(history, [step])
        for topic in history.changes.gone:
            retained.pop(topic, None)
        for guid in history.changes.users:
            topic = history.state.topics[guid]
            retained[topic] = render.user_state(history.state, "hq", guid, PLAIN)

    assert retained == tree(history.state)


@many
@given(steps)
def test_every_leg_has_one_beginning_and_at_most_one_end(story: list[Step]) -> None:
    """And exactly one end when everything is over; events are numbered without a gap."""
    history = play(History(), story).start()
    ids = {event.call.id for event in history.events if event.call}
    for call_id in ids:
        firsts = [event for event in history.events if event.call and event.call.id == call_id][:1]
        assert firsts[0].type in FIRST
        assert firsts[0].type is not EventType.UPDATED or firsts[0].resync
        kinds = [event.type for event in history.events if event.call and event.call.id == call_id]
        assert [kind for kind in kinds if kind in TERMINAL] == [kinds[-1]]
    assert [event.seq for event in history.events] == list(range(1, len(history.events) + 1))


@many
@given(steps, SCOPES)
def test_nobody_is_told_of_whom_the_configuration_leaves_out(story: list[Step], scope: Scope) -> None:
    """Neither a topic nor a call of theirs, at any moment."""
    history = History(scope)
    for step in story:
        state = play(history, [step]).state
        assert all(scope.publishes(user.record) and user.record.active for user in state.users.values())
        assert state.topics.keys() == state.users.keys()
        assert all(scope.monitors(state.users[guid].record) for guid in state.calls)


@many
@given(steps)
def test_the_same_history_gives_the_same_state(story: list[Step]) -> None:
    """Pure: nothing but the arguments counts."""
    assert play(History(), story).state == play(History(), story).state


def test_a_batch_knows_whether_it_says_anything() -> None:
    """An empty one need not be folded."""
    assert not Batch()
    assert Batch(list_complete=True)


def test_a_topic_id_belongs_to_one_user() -> None:
    """Two that want the same id go by their guids until one gives it up."""
    one, two = UserRecord("g-anna", "A", short_name="x"), UserRecord("g-bert", "B", short_name="x")
    history = History().start(one, two)
    assert set(history.state.topics.values()) == {"g-anna", "g-bert"}
    history.take(Batch(users=(evolve(two, short_name="y"),)))

    assert dict(history.state.topics) == {"g-anna": "x", "g-bert": "y"}
    assert set(history.changes.gone) == {"g-anna", "g-bert"}


def test_a_third_who_wants_the_same_topic_id_changes_nothing_for_the_others() -> None:
    """They go by their guids already."""
    records = [UserRecord(guid, guid, short_name="x") for guid in GUIDS]
    history = History().start(*records[:2]).take(Batch(users=(records[2],)))

    assert dict(history.state.topics) == {guid: guid for guid in GUIDS}
    assert history.changes.users == (GUIDS[2],)
