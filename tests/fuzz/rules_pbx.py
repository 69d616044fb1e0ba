"""Rules of the fuzzed histories: what people do, and what calls do."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from bridge.core.records import CallState, Party
from tests.fuzz.people import HIDDEN, SALES, Person
from tests.fuzz.stage import POLLED, Stage, heards, picks

GUIDS = ("g1", "g/2", "g3", "g4", "g5")
SHORT_NAMES = ("anna", "bert", "a/b", "Ü +#", "")
STATES = {
    "alert": CallState.RINGING,
    "connect": CallState.CONNECTED,
    "transfer": CallState.CONNECTED,
    "park": CallState.PARKED,
    "disconnect": CallState.DISCONNECTING,
}
names = {
    "short_name": st.sampled_from(SHORT_NAMES),
    "name": st.sampled_from(("One", "Two", "Three")),
    "number": st.sampled_from(("", "21", "22", "23")),
    "groups": st.sets(st.sampled_from((SALES, HIDDEN, "all"))).map(frozenset),
}
outsiders = st.sampled_from((Party("0123", display_name="ACME"), Party("21"), Party()))
causes = st.sampled_from((None, 16, 17, 21, 23, 26))
moves = st.sampled_from(("alert", "connect", "hold", "held", "park", "disconnect", "transfer"))


class AtThePbx(Stage):
    """People come, change and go; calls ring, go on and end."""

    @precondition(lambda self: len(self.exchange.people) < len(GUIDS))
    @rule(fields=st.fixed_dictionaries(names), early=st.booleans(), when=heards)
    def appear(self, fields: dict[str, Any], when: str, *, early: bool) -> None:
        """Somebody comes into view, before the first list has ended perhaps."""
        guid = next(guid for guid in GUIDS if guid not in self.exchange.people)
        kind = {GUIDS[-1]: "gw", GUIDS[-2]: "waiting"}.get(guid, "ep")
        with self.heard(when):
            self.exchange.changed(Person(guid=guid, kind=kind, **fields), before_end=early)

    @precondition(lambda self: self.exchange.people)
    @rule(pick=picks, fields=st.fixed_dictionaries({}, optional=names), early=st.booleans(), when=heards)
    def change(self, pick: int, fields: dict[str, Any], when: str, *, early: bool) -> None:
        """Somebody is renamed, or gets into other groups."""
        person = self.person(pick)
        if not self._has_placed(person.guid):
            with self.heard(when):
                self.exchange.changed(replace(person, **fields), before_end=early)

    @precondition(lambda self: self.exchange.people)
    @rule(pick=picks, early=st.booleans(), when=heards)
    def vanish(self, pick: int, when: str, *, early: bool) -> None:
        """Somebody leaves the view."""
        person = self.person(pick)
        if not self._has_placed(person.guid):
            with self.heard(when):
                self.exchange.vanish(person, before_end=early)

    @precondition(lambda self: self.exchange.people)
    @rule(pick=picks, inbound=st.booleans(), far=outsiders, when=heards)
    def ring(self, pick: int, far: Party, when: str, *, inbound: bool) -> None:
        """A call with somebody outside begins."""
        with self.heard(when):
            self.new_leg(self.person(pick), self.exchange.new_conference(), far, inbound=inbound)

    @precondition(lambda self: len(self.exchange.people) > 1)
    @rule(pick=picks, other=picks, when=heards)
    def ring_inside(self, pick: int, other: int, when: str) -> None:
        """One of ours calls another one: two legs in one conference."""
        caller, called = self.person(pick), self.person(other)
        if caller is not called:
            conference = self.exchange.new_conference()
            with self.heard(when):
                self.new_leg(caller, conference, called.party, inbound=False)
                self.new_leg(called, conference, caller.party, inbound=True)

    @precondition(lambda self: self.exchange.legs)
    @rule(pick=picks, move=moves, when=heards)
    def move(self, pick: int, move: str, when: str) -> None:
        """A call goes on; transferred, it goes on in another conference."""
        leg = self.leg(pick)
        leg.state = STATES.get(move, leg.state)
        leg.held ^= move == "hold"
        leg.held_by_remote ^= move == "held"
        if move == "transfer":
            leg.remote, leg.transferred_by = Party("0789"), leg.remote
            leg.conference, leg.told = self.exchange.new_conference(), None
        with self.heard(when):
            self.exchange.tell(leg)

    @precondition(lambda self: self.exchange.legs)
    @rule(pick=picks, cause=causes, when=heards)
    def end(self, pick: int, cause: int | None, when: str) -> None:
        """A call ends."""
        leg = self.leg(pick)
        leg.over, leg.cause = True, cause
        with self.heard(when):
            self.exchange.tell(leg)

    @precondition(lambda self: self.exchange.session is not None and not self.exchange.session.queue)
    @rule(pick=picks)
    def end_silently(self, pick: int) -> None:
        """Somebody's only call ends and the PBX forgets to say so, but counts one less."""
        lone = [leg for leg in self.exchange.legs if self.exchange.channels(leg.guid) == 1]
        if lone and lone[pick % len(lone)].state is not CallState.PARKED:
            leg = lone[pick % len(lone)]
            leg.over = True
            with self.heard(POLLED):
                self.exchange.tell(leg, silent=True)
            self.reconcile_all()

    def _has_placed(self, guid: str) -> bool:
        """A call of theirs that a command placed has not been reported yet."""
        return any(user == guid for user, _ in self.bridge.mirror.state.placed)
