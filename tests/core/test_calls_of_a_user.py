"""A leg's records and the events they give: the sequences of docs/wire.md#sequences."""

import pytest

from bridge.core import fold
from bridge.core.model import Direction
from bridge.core.records import Batch, CallState, LegRecord, Party, ReleasedBy, UserRecord
from bridge.core.rules import Rule, Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, GATE, OUTSIDE, PEOPLE, History, leg

S = CallState
RINGING, CONNECTED = leg(state=S.RINGING), leg(state=S.CONNECTED)
OUT = leg(to_user=False)
PARTY_ANNA = Party("21", "Anna Ex", "", "anna")
PARTY_BERT = Party("22", "Bert Ypsilon", "", "bert")


def over(record: LegRecord, cause: int | None = 16, by: ReleasedBy | None = ReleasedBy.REMOTE) -> LegRecord:
    """The record that ends a leg."""
    return evolve(record, state=S.DISCONNECTING, cause=cause, released_by=by, ended=True)


def test_incoming_answered_and_ended() -> None:
    """Each step one event, one terminal; durations from the clock."""
    history = History().start().see(leg(), RINGING, CONNECTED, over(CONNECTED))

    assert history.types() == ["incoming", "ringing", "answered", "ended"]
    last = history.state.users[ANNA].last_call
    assert last is not None
    assert (last.ring_s, last.talk_s, last.outcome) == (2.0, 1.0, "answered")
    assert not history.state.calls


@pytest.mark.parametrize(
    ("record", "cause", "by", "terminal", "outcome"),
    [
        (RINGING, 16, ReleasedBy.REMOTE, "missed", "missed"),
        (RINGING, 17, ReleasedBy.REMOTE, "missed", "busy"),
        (RINGING, 21, ReleasedBy.REMOTE, "missed", "declined"),
        (RINGING, 16, ReleasedBy.USER, "missed", "declined"),
        (RINGING, 88, ReleasedBy.USER, "missed", "failed"),
        (RINGING, 26, ReleasedBy.REMOTE, "ended", "answered_elsewhere"),
        (RINGING, 23, ReleasedBy.REMOTE, "ended", "forwarded"),
        (OUT, 17, ReleasedBy.REMOTE, "ended", "busy"),
        (OUT, 21, ReleasedBy.REMOTE, "ended", "declined"),
        (OUT, 16, ReleasedBy.USER, "ended", "cancelled"),
        (OUT, None, None, "ended", "cancelled"),
        (OUT, 1, ReleasedBy.REMOTE, "ended", "failed"),
        (OUT, 1, None, "ended", "failed"),
        (CONNECTED, 16, ReleasedBy.REMOTE, "ended", "answered"),
    ],
)
def test_the_outcome_of_a_leg(
    record: LegRecord, cause: int | None, by: ReleasedBy | None, terminal: str, outcome: str
) -> None:
    """One terminal event; missed only if nobody took the call."""
    history = History().start().see(record, over(record, cause, by))

    assert (history.types()[-1], history.outcome()) == (terminal, outcome)
    assert history.state.users[ANNA].missed == (terminal == "missed")


def test_who_let_go_first_counts() -> None:
    """The far end disconnects with a cause, then the user hangs up: the call failed, not cancelled."""
    tone = evolve(OUT, state=S.DISCONNECTING, cause=1, released_by=ReleasedBy.REMOTE)
    history = History().start().see(OUT, tone, over(OUT, 16, ReleasedBy.USER))

    assert history.types() == ["outgoing", "updated", "ended"]
    assert history.outcome() == "failed"


def test_a_leg_seen_first_when_connected_gives_all_steps() -> None:
    """Trunk legs may never show alert."""
    assert History().start().see(CONNECTED).types() == ["incoming", "answered"]


def test_a_gateway_is_not_flipped() -> None:
    """The outbound bit of a gateway means towards the trunk (docs/wire.md#leg-state)."""
    history = History().start().see(leg(user=GATE))

    assert history.types(GATE) == ["outgoing"]
    assert history.state.calls[GATE][0].direction is Direction.OUTBOUND


def test_hold_and_retrieve_by_both_sides() -> None:
    """Each change of a hold bit is an event."""
    held, by_remote = evolve(CONNECTED, held=True), evolve(CONNECTED, held_by_remote=True)
    history = History().start().see(CONNECTED, held, by_remote, CONNECTED)

    assert history.types() == ["incoming", "answered", "held", "retrieved", "held", "retrieved"]


def test_a_consultation_transfer() -> None:
    """Who transferred ends with `transferred`, who stays gets `transferred`."""
    anna = evolve(CONNECTED, remote=PARTY_BERT)
    bert = evolve(CONNECTED, user=BERT, leg_handle=8, remote=PARTY_ANNA)
    joined = evolve(bert, remote=OUTSIDE, transferred_by=PARTY_ANNA)
    history = History().start().see(anna, bert, joined, over(anna))

    assert history.types(BERT)[-1] == "transferred"
    assert history.outcome() == "transferred"
    assert history.state.calls[BERT][0].transferred_by is not None


def test_a_call_beside_another_one_was_simply_answered() -> None:
    """An unrelated call that was transferred by the same user does not count."""
    old = leg(9, S.CONNECTED, BERT, conference="c9", remote=Party("999"), transferred_by=PARTY_ANNA)
    history = History().start().see(old, CONNECTED, over(CONNECTED))

    assert history.outcome() == "answered"


def test_a_transfer_that_is_reported_on() -> None:
    """With transfers followed, the leg says where it went."""
    moved = evolve(CONNECTED, transferred_to=PARTY_BERT)
    history = History().start().see(CONNECTED, moved, over(moved))

    assert history.types() == ["incoming", "answered", "transferred", "ended"]
    assert history.outcome() == "transferred"


def test_a_diversion_takes_the_call() -> None:
    """The leg at the target names the first one: that one was forwarded, not missed."""
    target = leg(8, user=BERT, diverted_from=PARTY_ANNA)
    history = History().start().see(RINGING, target, over(RINGING, None))

    assert (history.types()[-1], history.outcome()) == ("ended", "forwarded")


def test_a_pickup_takes_the_call() -> None:
    """Somebody else picked the call up: answered elsewhere."""
    taker = leg(8, user=BERT, picked_up_from=PARTY_ANNA)
    history = History().start().see(RINGING, taker, over(RINGING, 16))

    assert (history.types()[-1], history.outcome()) == ("ended", "answered_elsewhere")


def test_park_and_a_missing_far_end_keep_what_was_known() -> None:
    """What a record leaves out stays."""
    parked = evolve(CONNECTED, state=S.PARKED, parked_at=PARTY_BERT, remote=Party(), conference="")
    history = History().start().see(CONNECTED, parked)
    call = history.state.calls[ANNA][0]

    assert history.types()[-1] == "updated"
    assert (call.remote.number, call.conference) == ("0123", "c1")
    assert call.parked_at is not None
    assert call.parked_at.user == "bert"


def test_a_call_that_a_command_cleared() -> None:
    """Cause 26 of our own clear is not somebody else's answer."""
    inbound, outbound = History().start().see(RINGING), History().start().see(OUT)
    for history, record in ((inbound, RINGING), (outbound, OUT)):
        call = history.state.calls[ANNA][0]
        history.state = fold.mark_hung_up(history.state, call, hung_up=True)
        history.see(over(record, 26))

    assert (inbound.outcome(), outbound.outcome()) == ("declined", "cancelled")
    last = outbound.state.users[ANNA].last_call
    assert last is not None
    assert fold.mark_hung_up(outbound.state, last, hung_up=True) is outbound.state


@pytest.mark.parametrize("answer_first", [True, False])
def test_a_placed_call_has_one_id_and_the_command(answer_first: bool) -> None:  # noqa: FBT001  (a case)
    """Whether the answer to the command or the first event comes first."""
    history = History().start()
    if answer_first:
        call_id = history.place(ANNA, 7, "c-1")
        history.see(OUT)
    else:
        history.see(OUT)
        call_id = history.place(ANNA, 7, "c-1")
    history.see(evolve(OUT, state=S.RINGING))

    assert history.events[-1].call is not None
    assert (history.events[-1].call.id, history.events[-1].call.command_id) == (call_id, "c-1")


def test_placed_calls_that_never_come_are_forgotten() -> None:
    """The memory of placed calls is bounded."""
    history = History().start()
    for handle in range(fold.PLACED_KEPT + 10):
        history.place(ANNA, handle, None)

    assert len(history.state.placed) == fold.PLACED_KEPT


@pytest.mark.parametrize(
    ("record", "kinds"),
    [
        (leg(), "incoming"),
        (RINGING, "incoming ringing"),
        (OUT, "outgoing"),
        (evolve(OUT, state=S.RINGING), "outgoing ringing"),
        (evolve(RINGING, held=True, transferred_by=PARTY_BERT), "incoming ringing"),
        (CONNECTED, "updated"),
        (evolve(CONNECTED, held=True), "updated"),
        (evolve(CONNECTED, state=S.PARKED), "updated"),
        (evolve(CONNECTED, state=S.DISCONNECTING), "updated"),
    ],
)
def test_a_running_call_found_at_the_start_is_a_resync(record: LegRecord, kinds: str) -> None:
    """What is set up or rings is news, what is further on gives one `updated`; each says why."""
    history = History().begin().take(Batch(users=PEOPLE, list_complete=True)).see(record)

    assert history.types() == kinds.split()
    assert all(event.resync for event in history.events)


def test_what_happens_after_the_first_events_is_no_resync() -> None:
    """The door bell that rang at the start is answered: that is news as ever."""
    history = History().begin().take(Batch(users=PEOPLE, list_complete=True)).see(RINGING, CONNECTED)

    assert history.types() == ["incoming", "ringing", "answered"]
    assert [event.resync for event in history.events] == [True, True, False]


def in_one_reply(*records: LegRecord) -> History:
    """Anna talks; then these records come at once."""
    return History().start().see(CONNECTED).take(Batch(legs=records))


GONE = evolve(CONNECTED, state=S.DISCONNECTING, cause=16, released_by=ReleasedBy.REMOTE)


@pytest.mark.parametrize(
    ("records", "kinds"),
    [
        ((GONE, evolve(GONE, ended=True)), "ended"),
        ((GONE, evolve(GONE, released_by=ReleasedBy.USER), evolve(GONE, ended=True)), "updated ended"),
        ((GONE, leg(8, user=BERT), evolve(GONE, ended=True)), "ended"),
        ((evolve(GONE, parked_at=PARTY_BERT), evolve(GONE, ended=True)), "updated ended"),
        ((evolve(GONE, transferred_to=PARTY_BERT), evolve(GONE, ended=True)), "transferred ended"),
        ((evolve(CONNECTED, remote=PARTY_BERT), evolve(GONE, ended=True)), "updated ended"),
        ((GONE,), "updated"),
        ((GONE, evolve(GONE, leg_handle=8, ended=True)), "updated"),
    ],
)
def test_disconnecting_is_not_told_where_the_end_comes_with_it(
    records: tuple[LegRecord, ...], kinds: str
) -> None:
    """Only the disconnection directly before the end, only in one reply, and only if nothing else changed."""
    history = in_one_reply(*records)

    assert history.types() == ["incoming", "answered", *kinds.split()]


def test_what_a_disconnection_said_is_in_the_end() -> None:
    """Though it had no event of its own: who released first, and why."""
    tone = evolve(OUT, state=S.DISCONNECTING, cause=1, released_by=ReleasedBy.REMOTE)
    history = History().start().see(OUT).take(Batch(legs=(tone, over(OUT, None, ReleasedBy.USER))))

    assert history.types() == ["outgoing", "ended"]
    assert history.outcome() == "failed"


@pytest.mark.parametrize("conference", ["c1", ""])
def test_a_call_that_outlives_the_session_keeps_its_id(conference: str) -> None:
    """Recognised by its conference, or without one by its far end."""
    history = History().start().see(evolve(CONNECTED, conference=conference))
    before = history.state.calls[ANNA][0].id
    history.begin().take(Batch(users=PEOPLE, list_complete=True))
    history.see(evolve(CONNECTED, leg_handle=99, conference=conference)).settle()

    assert [call.id for call in history.state.calls[ANNA]] == [before]
    assert history.types() == ["incoming", "answered"]


def test_a_call_that_the_new_session_does_not_name_is_lost() -> None:
    """At settling, once."""
    history = History().start().see(CONNECTED).start()

    assert history.types()[-1] == "ended"
    assert history.outcome() == "lost"
    assert history.settle().types().count("ended") == 1


def test_a_user_that_leaves_takes_its_calls_along() -> None:
    """Gone from the list, or reported inactive: topic cleared, calls lost."""
    history = History().start().see(CONNECTED)
    history.take(Batch(users=(evolve(PEOPLE[0], active=False),)))
    assert (history.changes.gone, history.types()[-1]) == (("anna",), "ended")

    history.begin().take(Batch(users=(PEOPLE[2],), list_complete=True))
    assert history.changes.gone == ("bert",)


def test_a_user_that_is_no_longer_followed_loses_its_calls() -> None:
    """A rule of the configuration may depend on what changes."""
    scope = Scope(calls=(Rule(number="2*"),))
    history = History(scope).start().see(CONNECTED)
    history.take(Batch(users=(evolve(PEOPLE[0], number="9"),)))

    assert history.outcome() == "lost"


def test_a_handle_used_again_is_a_new_call() -> None:
    """The end of the old one was missed: lost, then the new one begins (docs/wire.md#robustness)."""
    history = History().start().see(CONNECTED, leg(conference="c2"))

    assert history.types() == ["incoming", "answered", "ended", "incoming"]
    assert history.outcome() == "lost"


def test_records_of_nobody_and_ends_of_nothing_are_ignored() -> None:
    """Unknown handle, unknown user, a second end."""
    history = History().start().see(leg(user="g-nobody"), over(leg(5)), leg(user=BERT))
    history.take(Batch(users=(UserRecord("g-x", "X", active=False),)))

    assert history.types() == []
    assert history.types(BERT) == ["incoming"]


def test_a_switch_is_told_when_it_changes() -> None:
    """Two digits as a number; the leg itself is never a call (docs/wire.md#switches)."""
    night = UserRecord(ANNA, "Night", short_name="night", is_switch=True)
    history = History().begin().take(Batch(users=(night,), list_complete=True))
    history.see(leg(remote=Party("00"))).settle()
    assert history.types() == []
    history.see(leg(remote=Party("11")), leg(remote=Party("11")), leg(remote=OUTSIDE))
    history.see(leg(remote=Party(), local=Party("10")), leg(remote=Party("01"), ended=True))

    assert history.types() == ["switched", "switched"]
    assert not history.state.calls


def test_a_person_who_calls_a_switch_is_no_value() -> None:
    """A number may look like one: the PBX names the caller, and the value only by the object itself."""
    night = UserRecord("g-night", "Night", short_name="night", is_switch=True)
    ten = UserRecord("g-ten", "Ten", short_name="ten", number="10")
    history = History().start(night, ten).see(leg(user="g-night", remote=Party("01")))
    history.see(leg(8, user="g-night", remote=Party("10", "Ten", "Ten", "ten")))
    assert history.types("g-night") == ["switched"]
    history.see(leg(8, user="g-night", remote=Party("10", "Night", "Night", "night")))
    assert history.types("g-night") == ["switched"] * 2


def test_names_of_the_far_end() -> None:
    """The topic id where exactly one user fits by the short name, which only the PBX gives."""
    history = History().start().see(leg(1, remote=Party("", "", "", "bert")), leg(2, remote=Party("22", "B")))
    history.see(leg(3, remote=Party()), leg(4, remote=Party("22", short_name="zoe")))

    far = [call.remote for call in history.state.calls[ANNA]]
    assert [one.user for one in far] == ["bert", None, None, None]
    assert far[2].anonymous


BERT_BY_NUMBER = Party("22")
GATE_IN = leg(9, user=GATE, to_user=False, remote=BERT_BY_NUMBER)
FORGED = [
    [],
    [GATE_IN],
    [leg(9, user=BERT, remote=BERT_BY_NUMBER)],
    [leg(9, user=BERT, remote=OUTSIDE, to_user=False, conference="c2")],
    [leg(9, user=BERT, remote=OUTSIDE, to_user=False, conference="")],
]
"""What is seen besides: nothing, the trunk's leg, that Bert is rung too, that Bert talks to somebody else."""


@pytest.mark.parametrize("others", FORGED)
@pytest.mark.parametrize("state", list(CallState))
@pytest.mark.parametrize("conference", ["c1", ""])
def test_a_caller_cannot_claim_to_be_a_user(
    others: list[LegRecord], state: CallState, conference: str
) -> None:
    """The number of an extension from outside is a number: neither the caller nor who diverted is Bert."""
    claim = leg(remote=BERT_BY_NUMBER, diverted_from=BERT_BY_NUMBER, conference=conference)
    history = History().start().see(*others, evolve(claim, first_diverted_from=BERT_BY_NUMBER))
    history.see(evolve(claim, state=state), *others, evolve(claim, held=True))
    history.begin().take(Batch(users=PEOPLE, list_complete=True)).see(*others, claim)

    (call,) = history.state.calls[ANNA]
    users = {far.user for far in (call.remote, call.diverted_from, call.first_diverted_from) if far}
    assert users == {None}
    assert call.remote.number == "22"
    for other in history.state.calls.get("g-gate", ()):
        assert other.remote.user is None


def test_a_user_is_known_by_the_number_inside() -> None:
    """Bert's own leg of the conversation says so, while there is one and afterwards; or Anna dialled it."""
    mine, berts = leg(remote=BERT_BY_NUMBER), leg(9, user=BERT, to_user=False, remote=Party("21"))
    inside = History().start().see(berts, mine, evolve(mine, state=CallState.CONNECTED))
    inside.end(berts).see(evolve(mine, held=True, state=CallState.CONNECTED))
    assert inside.state.calls[ANNA][0].remote.user == "bert"

    out = evolve(mine, to_user=False)
    dialled = History().start().see(out, evolve(out, state=CallState.CONNECTED))
    assert dialled.state.calls[ANNA][0].remote.user == "bert"

    connected = leg(remote=OUTSIDE, to_user=False)
    answered = History().start().see(connected)
    answered.see(evolve(connected, state=CallState.CONNECTED, remote=BERT_BY_NUMBER))
    assert answered.state.calls[ANNA][0].remote.user is None, "whoever answers may claim any number too"


def test_calls_of_a_user_whom_the_pbx_does_not_follow_any_more() -> None:
    """Nobody will tell how they ended: lost; what is reported once it follows again ran all the time."""
    history = History().start().see(CONNECTED)
    history.begin().take(Batch(users=PEOPLE, list_complete=True))
    history.apply(fold.give_up(history.state, ANNA, history.scope, history.now))
    assert (history.types()[-1], history.outcome()) == ("ended", "lost")
    history.see(evolve(CONNECTED, leg_handle=99)).settle()

    assert (history.types()[-1], history.events[-1].resync) == ("updated", True)
    assert len(history.state.calls[ANNA]) == 1
