"""Whom a batch asks to be monitored, and what becomes of the answers."""

from bridge.core.model import Changes, Monitor
from bridge.core.monitoring import Monitoring
from bridge.core.records import Batch, CallState, LegRecord
from bridge.core.rules import Rule, Scope
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, History, leg

ANNA_RECORD, BERT_RECORD, _ = PEOPLE
WANTED = Changes(monitor=(Monitor(ANNA, "Anna Ex", urgent=False), Monitor(BERT, "Bert", urgent=False)))


def asked(changes: Changes) -> list[tuple[str, bool]]:
    """Guid and urgency of the users whose calls are to be reported."""
    return [(user.guid, user.urgent) for user in changes.monitor]


def test_the_users_of_the_rules_are_monitored() -> None:
    """Who is published without calls is given up, as is who is not published."""
    scope = Scope(users=(Rule(type="ep"),), calls=(Rule(number="21"),))
    history = History(scope).take(Batch(users=PEOPLE, list_complete=True))
    assert history.changes.monitor == (Monitor(ANNA, "Anna Ex", urgent=False),)
    assert set(history.changes.unmonitor) == {record.guid for record in PEOPLE[1:]}


def test_calls_in_doubt_are_asked_for_first() -> None:
    """A call of the session before has not been confirmed by this one."""
    history = History().start().see(leg()).begin().take(Batch(users=PEOPLE[:2]))
    assert asked(history.changes) == [(ANNA, True), (BERT, False)]
    assert asked(history.take(Batch(users=PEOPLE[:1], legs=(leg(),))).changes) == [(ANNA, False)]


def test_a_user_that_the_list_does_not_name_is_given_up() -> None:
    """Also where its record may be one that could not be read, so that the user stays."""
    history = History().start().begin().take(Batch(users=(ANNA_RECORD,), list_complete=True))
    assert BERT in history.changes.unmonitor
    torn = (
        History().start().begin().take(Batch(users=(ANNA_RECORD,), unreadable=("torn",), list_complete=True))
    )
    assert BERT in torn.changes.unmonitor
    assert BERT in torn.state.users


def test_a_user_made_again_is_given_up_and_asked_for() -> None:
    """Within one batch: what the PBX reports of the deleted one is over."""
    gone = evolve(ANNA_RECORD, active=False)
    history = History().start().take(Batch(users=(gone, ANNA_RECORD)))
    assert (history.changes.unmonitor, asked(history.changes)) == ((ANNA,), [(ANNA, False)])
    assert asked(history.take(Batch(users=(ANNA_RECORD, gone))).changes) == []


def test_a_leg_alone_changes_nothing_about_it() -> None:
    """Only records of users do."""
    record: LegRecord = leg(state=CallState.RINGING)
    changes = History().start().see(record).changes
    assert (changes.monitor, changes.unmonitor, changes.quiet) == ((), (), {})


def test_answers_are_kept_until_the_session_ends() -> None:
    """Who is wanted still is, then: the next session has not answered yet."""
    monitoring = Monitoring()
    monitoring.apply(WANTED)
    assert monitoring.pending
    monitoring.accept(ANNA)
    assert not monitoring.refuse(BERT)
    assert (set(monitoring.monitored), set(monitoring.refused), monitoring.pending) == ({ANNA}, {BERT}, False)
    monitoring.forget_answers()
    assert (set(monitoring.monitored), set(monitoring.refused), monitoring.pending) == (set(), set(), True)


def test_the_second_refusal_is_the_one_to_act_on() -> None:
    """Once each time that the PBX has granted it meanwhile."""
    monitoring = Monitoring()
    monitoring.apply(WANTED)
    assert [monitoring.refuse(ANNA) for _ in range(3)] == [False, True, False]
    monitoring.accept(ANNA)
    assert [monitoring.refuse(ANNA) for _ in range(2)] == [False, True]


def test_an_answer_that_comes_too_late_counts_nobody() -> None:
    """The user was removed while the PBX was asked."""
    monitoring = Monitoring()
    monitoring.apply(WANTED)
    monitoring.apply(Changes(unmonitor=(ANNA,)))
    monitoring.accept(ANNA)
    assert set(monitoring.monitored) == set()
    assert monitoring.pending
