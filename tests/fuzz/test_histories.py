"""Any history of a PBX, a broker and the bridge between them: the bus tells the truth when all is quiet.

FUZZ=long tries many more histories, and longer ones.

Not tried: a user who is back in the very answer in which it left the view (Session in exchange.py; one
such history is in test_end_to_end.py); one who leaves before a call that a command placed for it was
reported (AtThePbx); the calls of a user whose old topic is cleared while the new one is not told yet when
a run without a disk is killed (ToTheBroker); the count of monitored users where rules choose them (quiet.py).
"""

import logging
import os
import sys

import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox
from tests.fuzz.disk import Disk
from tests.fuzz.exchange import Exchange
from tests.fuzz.people import SALES, Person, View
from tests.fuzz.quiet import check
from tests.fuzz.rules_network import ToTheBroker, ToThePbx
from tests.fuzz.rules_pbx import GUIDS, SHORT_NAMES, AtThePbx
from tests.fuzz.run import LIMITS
from tests.fuzz.stage import ALL

LONG = os.environ.get("FUZZ") == "long"
EXAMPLES, STEPS = (3000, 120) if LONG else (200, 60)
views = st.sampled_from(
    (
        View(),
        View("e164"),
        View("cn"),
        View("guid"),
        View(hides=True),
        View(sales_only=True),
        View(hides=True, sales_only=True),
    )
)


class Histories(AtThePbx, ToThePbx, ToTheBroker):
    """What may happen, in any order, and what must hold whatever happens."""

    @initialize(view=views, on_disk=st.booleans(), people=st.integers(0, 3))
    def start(self, view: View, people: int, *, on_disk: bool) -> None:
        """A PBX with some people, and a bridge that has come up."""
        self.view, self.exchange = view, Exchange(view)
        self.disk = Disk() if on_disk else None
        for guid, name in zip(GUIDS[:people], SHORT_NAMES, strict=False):
            self.exchange.changed(Person(guid, name, name, "", "ep", frozenset({SALES})))
        self.bridge.kill()
        self.bridge = self.new_run()
        self.quiesce()

    @rule()
    def quiesce(self) -> None:
        """Everything that can arrive arrives: then the bus tells the truth."""
        if not self.connected:
            self.reconnect(ALL)
        self.catch_up()
        for _ in range(ALL):
            self.transmit(ALL, ALL)
            if self.bridge.outbox.idle:
                break
        assert self.bridge.outbox.idle
        check(self.bridge, self.broker, self.consumer, self.exchange, self.view)

    @invariant()
    def outbox_is_within_its_limits(self) -> None:
        """Never more under way than the window, and nothing forgotten or counted twice."""
        outbox = self.bridge.outbox
        assert outbox.in_flight == len(self.bridge.wire) + len(self.bridge.unacknowledged)
        assert outbox.in_flight <= self.bridge.window
        assert len(outbox._events) <= LIMITS.most
        assert not outbox.dropped

    def teardown(self) -> None:
        """Every history ends quietly, unless it has failed already."""
        if sys.exc_info()[0] is None:
            self.quiesce()
        self.bridge.kill()


def test_the_bus_tells_the_truth_whatever_happens() -> None:
    """Users, calls and events, over sessions, brokers and runs that come and go."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@settings(max_examples=EXAMPLES)
@given(st.lists(st.sampled_from(("put", "put", "put", "take", "take", "done", "cut"))))
def test_an_outbox_that_is_too_small_counts_what_it_drops(story: list[str]) -> None:
    """Each event is sent or counted as dropped, and done once; cut off, a window more may wait."""
    most, window, done, under_way, sent = 3, 2, list[int](), list[int](), set[int]()
    outbox = Outbox(Limits(most), done.append)
    for step in [*story, *("take", "done") * (most + window)]:
        if step == "put":
            outbox.put_event(Message("event", None), 0.0)
        elif step == "take" and outbox.in_flight < window and (item := outbox.take(0.0)) is not None:
            under_way.append(item[0])
            sent.add(outbox._flying[item[0]].number or 0)
        elif step == "done" and under_way:
            outbox.done(under_way.pop(0))
        elif step == "cut":
            outbox.disconnected(0.0)
            under_way.clear()
        assert len(outbox._events) <= most + window
        assert outbox.in_flight == len(under_way)

    made = set(range(1, story.count("put") + 1))
    assert outbox.idle
    assert sorted(done) == sorted(made)
    assert len(made - sent) <= outbox.dropped["overflow"]
