"""Any history of a PBX, a broker and the bridge between them: the bus tells the truth when all is quiet.

FUZZ=long tries many more histories, and longer ones.
"""

import os
import sys

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test

from tests.fuzz.at_the_pbx import GUIDS, SHORT_NAMES, AtThePbx
from tests.fuzz.between import ToTheBroker, ToThePbx
from tests.fuzz.disk import Disk
from tests.fuzz.exchange import Exchange
from tests.fuzz.people import SALES, Person, View
from tests.fuzz.quiet import check
from tests.fuzz.run import LIMITS
from tests.fuzz.stage import ALL

LONG = os.environ.get("FUZZ") == "long"
EXAMPLES, STEPS = (3000, 120) if LONG else (100, 60)
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
        self.bridge = self.new_run()
        self.quiesce()

    @rule()
    def quiesce(self) -> None:
        """Everything that can arrive arrives: then the bus tells the truth."""
        if not self.connected:
            self.reconnect(ALL)
        if self.bridge.pbx is None:
            self.bridge.begin(self.exchange)
        assert self.bridge.pbx is not None
        while self.bridge.pbx.session.queue or self.bridge.pbx.wanted:
            self.take_poll(ALL, ALL)
            self.bridge.follow(self.exchange, 0)
        while self.bridge.pbx.settling:
            self.bridge.settle(0)
        self.reconcile_all()
        while not self.bridge.outbox.idle:
            self.transmit(ALL, ALL, ALL)
        check(self.bridge, self.broker, self.consumer, self.exchange, self.view)

    @invariant()
    def outbox_is_within_its_limits(self) -> None:
        """Never more under way than the window, and nothing forgotten or counted twice."""
        outbox = self.bridge.outbox
        assert outbox.in_flight == len(self.bridge.wire) + len(self.bridge.unacknowledged)
        assert outbox.in_flight <= self.bridge.window
        assert len(outbox._line) <= LIMITS.most
        assert not outbox.dropped

    def teardown(self) -> None:
        """Every history ends quietly, unless it has failed already."""
        if sys.exc_info()[0] is None:
            self.quiesce()


def test_the_bus_tells_the_truth_whatever_happens() -> None:
    """Users, calls and events, over sessions, brokers and runs that come and go."""
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
