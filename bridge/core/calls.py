"""The life of one leg: opened by its first record, advanced by others, ended by the last. Pure."""

from collections.abc import Callable
from typing import Protocol

from bridge.core.model import Call, Direction, EventType, Instant, RemoteParty
from bridge.core.records import CallState, LegRecord, Party, ReleasedBy
from bridge.core.value import evolve

GATEWAY = "gw"
QUEUE = "waiting"
YOUNG = frozenset({CallState.SETUP, CallState.RINGING})
_OTHER = {ReleasedBy.USER: ReleasedBy.REMOTE, ReleasedBy.REMOTE: ReleasedBy.USER, None: None}


class Parties(Protocol):
    """Turns parties of a record into parties as published, with the topic id of a known user."""

    def inside(self, party: Party) -> RemoteParty:
        """A party that acted at the PBX, such as by a transfer: recognised by short name or number."""
        ...

    def claimed(self, party: Party) -> RemoteParty:
        """A party that an outside caller may have forged: recognised by short name only."""
        ...

    def far_end(self, party: Party, leg: Call) -> RemoteParty:
        """The remote party of `leg`, which is still as it was before this record."""
        ...


def opened(call_id: str, user: str, user_type: str, record: LegRecord, now: Instant) -> Call:
    """A new call with its identity only; `advanced` then adds the content of the record."""
    return Call(
        id=call_id,
        user=user,
        leg_handle=record.leg_handle,
        direction=direction(user_type, record),
        state=CallState.SETUP,
        started_ms=now.unix_ms,
        started_s=now.monotonic_s,
    )


def direction(user_type: str, record: LegRecord) -> Direction:
    """The direction as the person at the phone sees it.

    `to_user` means an inbound call at an extension, but an outbound one at a trunk (docs/wire.md#leg-state).
    """
    return Direction.INBOUND if record.to_user != (user_type == GATEWAY) else Direction.OUTBOUND


def as_seen(user_type: str, record: LegRecord) -> LegRecord:
    """The record as seen from inside the company.

    The endpoint of a trunk's leg is the outside world, so its hold and its release are the remote party's.
    """
    if user_type != GATEWAY:
        return record
    return evolve(
        record,
        released_by=_OTHER[record.released_by],
        held=record.held_by_remote,
        held_by_remote=record.held,
    )


def advanced(call: Call, user_type: str, record: LegRecord, parties: Parties, now: Instant) -> Call:
    """The call after one more record. Values that the record leaves out stay.

    A connected leg of a queue is not answered: the queue connects it to play an announcement.
    """
    record = as_seen(user_type, record)
    state = CallState.ENDED if record.ended else record.state
    connected = state is CallState.CONNECTED and user_type != QUEUE
    answered = call.answered_ms is None and connected
    after = evolve(
        _with_parties(call, record, parties, state),
        leg_handle=record.leg_handle,
        state=state,
        conference=record.conference or call.conference,
        held=record.held,
        held_by_remote=record.held_by_remote,
        rang=call.rang or state is CallState.RINGING,
        answered_ms=now.unix_ms if answered else call.answered_ms,
        answered_s=now.monotonic_s if answered else call.answered_s,
        ring_s=_since(call.started_s, now.monotonic_s) if answered else call.ring_s,
        cause=record.cause if record.cause is not None else call.cause,
        uui=record.uui if record.uui is not None else call.uui,
        released_by=call.released_by or record.released_by,
    )
    return timed(after, now) if after != evolve(call, leg_handle=record.leg_handle) else after


def recognised(
    call: Call, record: LegRecord, party: Callable[[RemoteParty | None, Party | None], RemoteParty | None]
) -> Call:
    """The call that this record goes on with, its parties as `party` recognises them in the record."""
    return evolve(
        call,
        remote=party(call.remote, record.remote) or call.remote,
        diverted_from=party(call.diverted_from, record.diverted_from),
        first_diverted_from=party(call.first_diverted_from, record.first_diverted_from),
        transferred_by=party(call.transferred_by, record.transferred_by),
        transferred_to=party(call.transferred_to, record.transferred_to),
        parked_at=party(call.parked_at, record.parked_at),
        picked_up_from=party(call.picked_up_from, record.picked_up_from),
    )


def ended(call: Call, now: Instant) -> Call:
    """The call after its end, whatever state it was in."""
    return timed(evolve(call, state=CallState.ENDED, ended_ms=now.unix_ms, leg_handle=None), now)


def timed(call: Call, now: Instant) -> Call:
    """The call with its durations as of now: `ring_s` until it is answered, then `talk_s`.

    `ring_s` of an answered call is final: after a restart its start is only an estimate.
    """
    if call.answered_s is None:
        return evolve(call, ring_s=_since(call.started_s, now.monotonic_s))
    return evolve(call, talk_s=_since(call.answered_s, now.monotonic_s))


def events_between(before: Call | None, after: Call, *, resync: bool) -> tuple[EventType, ...]:
    """The events between two states of a call, in order, without the terminal one.

    `before` is None for a new leg. `resync`: the PBX is still reporting calls that were already running. A
    leg that is set up or rings gets its usual first events even then.
    """
    if before is None:
        return _beginning(after, resync=resync)
    # A new session gives the same leg another handle, which is no news for a consumer.
    if evolve(before, leg_handle=None) == evolve(after, leg_handle=None):
        return ()
    return _steps(before, after) or (EventType.UPDATED,)


def _beginning(call: Call, *, resync: bool) -> tuple[EventType, ...]:
    if resync and call.state not in YOUNG:
        return (EventType.UPDATED,)
    steps = _steps(None, call)
    known_late = tuple(step for step in steps if step is EventType.RINGING)
    return (_first_event(call), *(known_late if resync else steps))


def only_lets_go(before: Call, after: Call) -> bool:
    """Whether the only change is that the leg is being disconnected: that is no event of its own."""
    gone = evolve(
        before,
        state=CallState.DISCONNECTING,
        cause=after.cause,
        released_by=after.released_by,
        leg_handle=after.leg_handle,
        ring_s=after.ring_s,
        talk_s=after.talk_s,
    )
    return after == gone


def _first_event(call: Call) -> EventType:
    return EventType.INCOMING if call.direction is Direction.INBOUND else EventType.OUTGOING


def _steps(before: Call | None, after: Call) -> tuple[EventType, ...]:
    rang = before is not None and before.rang
    was_answered = before is not None and before.answered_ms is not None
    steps = (
        (EventType.RINGING, after.rang and not rang),
        (EventType.ANSWERED, after.answered_ms is not None and not was_answered),
        (EventType.TRANSFERRED, _transfers(after) != (_transfers(before) if before else (None, None))),
        (EventType.RETRIEVED, before is not None and _held_more(after, before)),
        (EventType.HELD, _held_more(before, after)),
    )
    return tuple(event for event, happened in steps if happened)


def _transfers(call: Call) -> tuple[RemoteParty | None, RemoteParty | None]:
    return call.transferred_by, call.transferred_to


def _held_more(before: Call | None, after: Call) -> bool:
    was, was_by_remote = (before.held, before.held_by_remote) if before else (False, False)
    return (after.held and not was) or (after.held_by_remote and not was_by_remote)


def _with_parties(call: Call, record: LegRecord, parties: Parties, state: CallState) -> Call:
    def end(party: Party | None, known: RemoteParty | None) -> RemoteParty | None:
        return known if party is None else parties.inside(party)

    def claim(party: Party | None, known: RemoteParty | None) -> RemoteParty | None:
        return known if party is None else parties.claimed(party)

    # A record without any remote party does not make a known one anonymous: the PBX just left it out.
    unknown_now = record.remote.anonymous and not call.remote.anonymous and call.remote != RemoteParty()
    leg = evolve(call, state=state, conference=record.conference or call.conference)
    return evolve(
        call,
        remote=call.remote if unknown_now else parties.far_end(record.remote, leg),
        diverted_from=claim(record.diverted_from, call.diverted_from),
        first_diverted_from=claim(record.first_diverted_from, call.first_diverted_from),
        transferred_by=end(record.transferred_by, call.transferred_by),
        transferred_to=end(record.transferred_to, call.transferred_to),
        parked_at=end(record.parked_at, call.parked_at),
        picked_up_from=end(record.picked_up_from, call.picked_up_from),
    )


def _since(start_s: float, end_s: float) -> float:
    return round(max(0.0, end_s - start_s), 3)
