"""The stage of the fuzzed histories: PBX, bridge, broker and consumer, and what all rules need of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from bridge.core.journal import Journal, MemoryJournal
from bridge.core.records import Party
from tests.fuzz.broker import Broker, Consumer
from tests.fuzz.disk import Disk, DiskJournal
from tests.fuzz.exchange import Exchange
from tests.fuzz.people import Leg, Person, View
from tests.fuzz.run import Clock, Run

ALL = 256
picks = st.integers(0, 7)
amounts = st.sampled_from((1, 2, 3, 5, 20, ALL))
aheads, behinds = st.integers(-3, 5), st.integers(0, 5)
LATER, POLLED, SETTLED, SENT = "later", "polled", "settled", "sent"
heards = st.sampled_from((LATER, POLLED, SETTLED, SENT))


class Stage(RuleBasedStateMachine):
    """Who and what there is. `disk` None: a new run of the bridge has nothing but the broker's memory."""

    def __init__(self) -> None:
        super().__init__()
        self.consumer = Consumer()
        self.broker = Broker(self.consumer.hear)
        self.clock = Clock()
        self.runs = 0
        self.view = View()
        self.exchange = Exchange(self.view)
        self.disk: Disk | None = None
        self.bridge = self.new_run()

    @property
    def connected(self) -> bool:
        """A connection to the broker is open. The bridge itself leaves a broker that acknowledges nothing."""
        return self.bridge.line is not None

    def new_run(self) -> Run:
        """A bridge that starts."""
        self.runs += 1
        journal: Journal = MemoryJournal() if self.disk is None else DiskJournal(self.disk)
        epoch = f"{self.clock.unix_ms:011x}{self.runs:08x}"
        return Run(self.view, epoch, self.clock, journal, self.broker, self.exchange)

    def person(self, pick: int) -> Person:
        """One of those who are there."""
        return list(self.exchange.people.values())[pick % len(self.exchange.people)]

    def leg(self, pick: int) -> Leg:
        """One of the legs that run."""
        return self.exchange.legs[pick % len(self.exchange.legs)]

    def new_leg(self, person: Person, conference: str, far: Party, *, inbound: bool) -> Leg:
        """A leg begins."""
        leg = Leg(person.guid, person.kind, conference, inbound, far)
        leg.unheard = self.exchange.session is None and self.view.monitors(person)
        self.exchange.tell(leg)
        return leg

    def take_poll(self, most: int, width: int) -> None:
        """A Poll comes back with so many records, read in slices of this width."""
        if self.bridge.pbx is not None and self.exchange.session is not None:
            for batch in self.exchange.session.take(most, width):
                self.bridge.report(batch)

    @contextmanager
    def heard(self, when: str) -> Iterator[None]:
        """What happens meanwhile reaches the bridge with a Poll that waits for it, or later.

        SETTLED: all is known before it happens. SENT: and it is on its way to the broker.
        """
        if when in {SETTLED, SENT}:
            self.catch_up()
        yield
        if when != LATER:
            self.take_poll(ALL, ALL)
        if when == SENT:
            self.leave_under_way(ALL, 0)

    def catch_up(self) -> None:
        """The bridge opens a session if need be, and comes to know all users and running calls."""
        if not self.bridge.remembers:
            return
        side = self.bridge.pbx or self.bridge.begin()
        while side.session.queue or side.wanted:
            self.take_poll(ALL, ALL)
            self.bridge.monitor(0)
        while side.settling:
            self.bridge.settle(0)
        self.reconcile_all()

    def reconcile_all(self) -> None:
        """The time for the ends of calls to be reported is over."""
        for _ in list(self.bridge.doubted):
            self.bridge.reconcile()

    def transmit(self, arrive: int, acknowledge: int) -> None:
        """Messages arrive and are acknowledged, or are still on their way."""
        if self.connected:
            self.bridge.carry(arrive, acknowledge)
            self.bridge.look()

    def leave_under_way(self, ahead: int, behind: int) -> None:
        """All states that are under way arrive and so many messages more, or less; but not the last ones."""
        if self.connected:
            states = sum(sent.message.retain for sent in self.bridge.wire)
            sent = min(len(self.bridge.wire), max(0, states + ahead))
            self.bridge.carry(max(0, sent - behind), 0)

    def disconnect(self) -> None:
        """The broker loses the bridge."""
        self.bridge.cut()

    def reconnect(self, window: int) -> None:
        """The broker accepts the bridge."""
        self.bridge.connect(window)

    def forget_unreported(self) -> None:
        """A call that was placed and never seen has another id in the next session, and no command."""
        known = {call.id for calls in self.bridge.mirror.state.calls.values() for call in calls}
        for leg in self.exchange.legs:
            if self.bridge.remembers and leg.told not in known:
                leg.told = leg.command_id = None
