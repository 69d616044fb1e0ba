"""For the core's tests: short ways to make records, and a folder of histories."""

from collections.abc import Mapping
from typing import Any

from bridge.core import fold
from bridge.core.model import Changes, Event, Instant, PbxState
from bridge.core.records import Batch, CallState, LegRecord, Party, UserRecord
from bridge.core.restore import remembered, restore
from bridge.core.rules import Scope
from bridge.core.value import evolve

SCOPE = Scope()
ANNA, BERT, GATE = "g-anna", "g-bert", "g-gate"
PEOPLE = (
    UserRecord(ANNA, "Anna Ex", short_name="anna", number="21", type="ep", registered=True),
    UserRecord(BERT, "Bert Ypsilon", short_name="bert", number="22", type="ep"),
    UserRecord(GATE, "Trunk", short_name="trunk", type="gw"),
)
OUTSIDE = Party(number="0123", display_name="ACME")


def user(guid: str, name: str, **more: Any) -> UserRecord:
    """A user record."""
    return UserRecord(guid, name, **{"short_name": name.lower(), **more})


def leg(number: int = 7, state: CallState = CallState.SETUP, user: str = ANNA, **more: Any) -> LegRecord:
    """A leg record of an inbound call from outside, unless said otherwise."""
    defaults: dict[str, Any] = {"to_user": True, "remote": OUTSIDE, "conference": "c1"}
    return LegRecord(user, number, state, **{**defaults, **more})


def restored(
    epoch: str, payloads: Mapping[str, object], scope: Scope, now: Instant
) -> tuple[PbxState, tuple[str, ...]]:
    """The state behind these payloads, and the topic ids that are not of it."""
    found = {topic: remembered(topic, payload, scope, now) for topic, payload in payloads.items()}
    return restore(epoch, found, scope, now)


class History:
    """A state that goes through transitions, one tick of the clock each; keeps the events."""

    def __init__(self, scope: Scope = SCOPE, epoch: str = "e") -> None:
        self.scope = scope
        self.state = PbxState(epoch)
        self.events: list[Event] = []
        self.changes = Changes()
        self._ticks = 0

    @property
    def now(self) -> Instant:
        """The present moment; each look at it is one second later."""
        self._ticks += 1
        return Instant(1_795_000_000_000 + self._ticks * 1000, float(self._ticks))

    def start(self, *records: UserRecord) -> "History":
        """A session whose list is complete and whose users are settled."""
        self.state = fold.begin(self.state)
        self.take(Batch(users=records or PEOPLE, list_complete=True))
        return self.settle()

    def begin(self) -> "History":
        """A new session."""
        self.state = fold.begin(self.state)
        return self

    def take(self, batch: Batch) -> "History":
        """Fold one batch."""
        self.apply(fold.fold(self.state, batch, self.scope, self.now))
        return self

    def see(self, *records: LegRecord) -> "History":
        """Fold leg records, one batch each."""
        for record in records:
            self.take(Batch(legs=(record,)))
        return self

    def end(self, record: LegRecord) -> "History":
        """The last record of a leg."""
        return self.see(evolve(record, ended=True))

    def settle(self) -> "History":
        """All users are settled."""
        self.apply(fold.settle(self.state, tuple(self.state.users), self.scope, self.now))
        return self

    def place(self, guid: str, leg_handle: int, command_id: str | None) -> str:
        """A command placed a call."""
        state, changes, call_id = fold.place(self.state, guid, leg_handle, command_id, self.scope, self.now)
        self.apply((state, changes))
        return call_id

    def send(self, guid: str, handle: int, command_id: str | None) -> str:
        """A command sent a text message."""
        state, changes, call_id = fold.send(self.state, guid, handle, command_id, self.scope, self.now)
        self.apply((state, changes))
        return call_id

    def types(self, guid: str = ANNA) -> list[str]:
        """The event types of a user so far."""
        return [event.type.value for event in self.events if event.user == guid]

    def outcome(self, guid: str = ANNA) -> str | None:
        """The outcome of the user's last call."""
        last = self.state.users[guid].last_call
        return last.outcome.value if last and last.outcome else None

    def apply(self, transition: tuple[PbxState, Changes]) -> None:
        """Take over what a transition gives."""
        self.state, self.changes = transition
        self.events.extend(self.changes.events)
