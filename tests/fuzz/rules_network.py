"""Rules of the fuzzed histories: what happens between the bridge and its two peers, and to the bridge."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from bridge.core.records import Party
from tests.fuzz.run import TOPICS
from tests.fuzz.stage import ALL, Stage, aheads, amounts, behinds, picks


class ToThePbx(Stage):
    """Sessions, Polls, users who are monitored, calls that are placed."""

    @precondition(lambda self: self.bridge.remembers and self.bridge.pbx is None)
    @rule()
    def open_session(self) -> None:
        """The bridge opens a PBX session."""
        self.bridge.begin()

    @precondition(lambda self: self.exchange.session is not None and self.exchange.session.queue)
    @rule(most=amounts, width=st.sampled_from((1, 2, ALL)))
    def poll(self, most: int, width: int) -> None:
        """A Poll comes back."""
        self.take_poll(most, width)

    @precondition(lambda self: self.bridge.pbx is not None and self.bridge.pbx.wanted)
    @rule(pick=picks, many=amounts)
    def monitor(self, pick: int, many: int) -> None:
        """The PBX is asked to report somebody's calls."""
        for _ in range(min(many, ALL)):
            self.bridge.monitor(pick)

    @precondition(lambda self: self.bridge.pbx is not None and self.bridge.pbx.settling)
    @rule(pick=picks, hasty=st.integers(0, 3))
    def settle(self, pick: int, hasty: int) -> None:
        """The time for running calls to be reported is over, sometimes before they were."""
        assert self.bridge.pbx is not None
        number = pick % len(self.bridge.pbx.settling)
        guid, until = self.bridge.pbx.settling[number]
        if self.bridge.pbx.session.taken < until:
            if hasty:
                return
            self.exchange.excuse(guid)
        self.bridge.settle(number)

    @precondition(lambda self: self.bridge.doubted)
    @rule()
    def reconcile(self) -> None:
        """The time for the end of a call to be reported is over."""
        self.bridge.reconcile()

    @precondition(lambda self: self.bridge.mirror.online and not self.exchange.session.queue)
    @rule(pick=picks, late=st.booleans())
    def place(self, pick: int, *, late: bool) -> None:
        """A command of ours starts a call; its answer may come after the leg's first report."""
        assert self.bridge.pbx is not None
        assert self.exchange.session is not None
        monitored = [guid for guid in self.bridge.pbx.by_handle.values() if guid in self.exchange.people]
        if not monitored:
            return
        person = self.exchange.people[monitored[pick % len(monitored)]]
        leg = self.new_leg(person, self.exchange.new_conference(), Party("0123"), inbound=False)
        handle = self.exchange.session.legs[leg]
        if late:
            self.take_poll(ALL, ALL)
        leg.command = leg.command_id = f"c-{leg.conference}"
        leg.told = self.bridge.placed(person.guid, handle, leg.command_id)

    @precondition(lambda self: self.bridge.pbx is not None)
    @rule(reboot=st.booleans(), silent=st.sets(picks, max_size=3))
    def lose_session(self, silent: set[int], *, reboot: bool) -> None:
        """The PBX session is gone; some calls end, or all of them with the PBX, and nobody is told."""
        self.forget_unreported()
        self.exchange.session = None
        ended = range(len(self.exchange.legs)) if reboot else silent
        self.exchange.legs = [leg for number, leg in enumerate(self.exchange.legs) if number not in ended]
        self.bridge.lose()


class ToTheBroker(Stage):
    """Messages on their way, connections lost and made again, the bridge killed."""

    @precondition(lambda self: not self.connected)
    @rule(window=st.sampled_from((1, 3, 50, 65535)), junk=st.booleans())
    def connect(self, window: int, *, junk: bool) -> None:
        """The broker comes back, perhaps with something strange below our topics."""
        if junk and not self.bridge.remembers:
            self.broker.publish(TOPICS.user_state("old"), b'{"guid": 5}', retain=True)
        self.reconnect(window)

    @precondition(lambda self: self.connected and not self.bridge.outbox.idle)
    @rule(arrive=amounts, acknowledge=amounts)
    def send(self, arrive: int, acknowledge: int) -> None:
        """Messages go out."""
        self.transmit(arrive, acknowledge)

    @precondition(lambda self: self.connected)
    @rule(ahead=aheads, behind=behinds)
    def cut(self, ahead: int, behind: int) -> None:
        """The connection to the broker is lost, with messages and acknowledgements on their way."""
        self.leave_under_way(ahead, behind)
        self.disconnect()

    @precondition(lambda self: self.bridge.remembers)
    @rule(ahead=aheads, behind=behinds)
    def kill(self, ahead: int, behind: int) -> None:
        """The bridge is killed and started again."""
        self.leave_under_way(ahead, behind)
        if self.disk is None:
            self._excuse_what_dies()
        else:
            self.consumer.made[self.bridge.epoch] = self.bridge.mirror.state.seq
        self.bridge.kill()
        self.forget_unreported()
        self.exchange.session = None
        self.bridge = self.new_run()

    @rule(seconds=st.integers(0, 100))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.clock.unix_ms += seconds * 1000
        self.clock.monotonic_s += seconds

    def _excuse_what_dies(self) -> None:
        """Without a disk, events that the broker has not got die with the process."""
        lost = [event for event in self.bridge.waiting_events() if event["id"] not in self.consumer.events]
        self.consumer.excused |= {event["call"]["id"] for event in lost}
        users = self.broker.users(TOPICS.root).values()
        state, told = self.bridge.mirror.state, {user["guid"] for user in users}
        cleared = [calls for guid, calls in state.calls.items() if guid not in told]
        self.consumer.excused |= {call.id for calls in cleared for call in calls}
        retained = {call["id"]: call["command_id"] for user in users for call in user.get("calls", ())}
        for leg in self.exchange.legs:
            leg.command_id = retained.get(leg.told)  # the state that has it may not have left the process
            if leg.told not in retained:
                leg.told = None
