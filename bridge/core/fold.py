"""The transitions of the state of a PBX: state and input in, new state and changes out. Pure."""

import re
from dataclasses import replace

from bridge.core import calls as legs
from bridge.core import text_messages
from bridge.core.model import Call, Changes, EventType, Instant, Outcome, PbxState, Switch, User
from bridge.core.outcome import judge, terminal_event
from bridge.core.persistent import Table
from bridge.core.records import Batch, CallState, LegRecord, UserRecord
from bridge.core.rules import Scope
from bridge.core.running import Running
from bridge.core.transaction import Transaction
from bridge.core.value import evolve

PLACED_KEPT = 256
OVERDUE_S = 3600.0
"""When a user has too many calls, one that is older than this many seconds is given up as lost."""
_SWITCH = re.compile(r"[01]{2}")


def begin(state: PbxState) -> PbxState:
    """A new PBX session: leg handles are void and nothing is confirmed. Published states still stand."""
    running = Running(state)
    for call in state.running.values():
        running.put(evolve(call, leg_handle=None))
    return replace(
        _with(state, running),
        placed={},
        text_messages={},
        unseen=state.users,
        torn=False,
        settled=Table(),
    )


def fold(state: PbxState, batch: Batch, scope: Scope, now: Instant) -> tuple[PbxState, Changes]:
    """Apply one batch of records."""
    tx = Transaction(state, scope, now)
    tx.torn = tx.torn or bool(batch.unreadable)
    for record in batch.users:
        _see_user(tx, record)
    for guid, forwards in batch.forwards:
        if guid in tx.users and tx.users[guid].forwards != forwards:
            tx.put_user(evolve(tx.users[guid], forwards=forwards))
    for leg, ends_next in _with_ends(batch.legs):
        if leg.user not in tx.users or text_messages.is_end(tx, leg):
            continue
        if scope.monitors(tx.users[leg.user].record):
            _see_leg(tx, leg.user, leg, ends_next=ends_next)
    if batch.list_complete:
        _complete(tx)
    _note_quiet(tx)
    return tx.finish()


def settle(state: PbxState, guids: tuple[str, ...], scope: Scope, now: Instant) -> tuple[PbxState, Changes]:
    """The PBX has reported all running calls of these users. Calls that it did not name are lost."""
    tx = Transaction(state, scope, now)
    for guid in guids:
        tx.settle(guid)
        _lose_unconfirmed(tx, guid)
    return tx.finish()


def give_up(state: PbxState, guid: str, scope: Scope, now: Instant) -> tuple[PbxState, Changes]:
    """The PBX does not report the calls of this user. Those of an earlier session are lost."""
    tx = Transaction(state, scope, now)
    _lose_unconfirmed(tx, guid)
    return tx.finish()


def reconcile(
    state: PbxState, guid: str, ids: frozenset[str], scope: Scope, now: Instant
) -> tuple[PbxState, Changes]:
    """Close calls whose end was never reported, if the PBX still counts none (docs/wire.md#robustness)."""
    tx = Transaction(state, scope, now)
    if guid in tx.users and tx.users[guid].record.channels == 0:
        for call in tx.running.of(guid):
            if call.id in ids and _needs_its_user(call):
                _close(tx, call, Outcome.LOST)
    return tx.finish()


def place(
    state: PbxState, guid: str, leg_handle: int, command_id: str | None, scope: Scope, now: Instant
) -> tuple[PbxState, Changes, str]:
    """A command started a leg: give its call an id. The PBX may report the leg before or after that."""
    tx = Transaction(state, scope, now)
    known = tx.running.by_leg_handle(guid, leg_handle)
    if known is not None:
        tx.running.put(evolve(known, command_id=command_id))
        tx.put_user(tx.users[guid])
        return *tx.finish(), known.id
    call_id = tx.new_call_id()
    tx.placed[guid, leg_handle] = call_id, command_id
    for key in list(tx.placed)[:-PLACED_KEPT]:
        del tx.placed[key]
    return *tx.finish(), call_id


def send(
    state: PbxState, guid: str, handle: int, command_id: str | None, scope: Scope, now: Instant
) -> tuple[PbxState, Changes, str]:
    """A command sent a text message: give it an id, which its events will have as the id of a call."""
    tx = Transaction(state, scope, now)
    message_id = text_messages.sent(tx, guid, handle, command_id)
    return *tx.finish(), message_id


def mark_hung_up(state: PbxState, call: Call, *, hung_up: bool) -> PbxState:
    """Note that a command hangs up this call, or that the PBX refused to."""
    known = state.call(call.id)
    return state if known is None else _marked(state, evolve(known, hung_up=hung_up))


def mark_added(state: PbxState, call: Call, digits: str) -> PbxState:
    """Note that a command adds digits to what this call dials: the PBX reports them later."""
    known = state.call(call.id)
    return state if known is None else _marked(state, evolve(known, awaited=known.remote.number + digits))


def _marked(state: PbxState, call: Call) -> PbxState:
    running = Running(state)
    running.put(call)
    return _with(state, running)


def _with(state: PbxState, running: Running) -> PbxState:
    """The state with these calls."""
    return replace(
        state,
        calls=running.finished(),
        running=running.by_id,
        joints=running.joints,
        confirmed=running.confirmed,
    )


def _see_user(tx: Transaction, record: UserRecord) -> None:
    known = tx.users.get(record.guid)
    unread = known is None or record.reconfigured or record.guid in (tx.unseen or ())
    if record.reconfigured:
        record = evolve(record, reconfigured=False)
    tx.see(record.guid)
    if not record.active or not tx.scope.publishes(record):
        _remove_user(tx, record.guid)
    elif known is None and tx.is_full:
        tx.leave_out("users")
    elif known is None:
        now = tx.now.unix_ms
        tx.put_user(User(record, since_ms=now, changed_ms=now))
    elif known.record != record:
        tx.put_user(evolve(known, record=record))
    if known is not None and known.record.channels > 0 and record.channels == 0:
        tx.quiet[record.guid] = frozenset()
    present = record.guid in tx.users
    if unread and tx.scope.forwards and present and not record.is_switch:
        tx.reconfigured[record.guid] = record.name
    if present and tx.scope.monitors(record):
        tx.monitor(record.guid)
    else:
        tx.unmonitor(record.guid)
        tx.settle(record.guid)
        _lose_calls(tx, record.guid)


def _remove_user(tx: Transaction, guid: str) -> None:
    if guid in tx.users:
        _lose_calls(tx, guid)
        tx.drop_user(guid)


def _lose_calls(tx: Transaction, guid: str) -> None:
    for call in tx.running.of(guid):
        _close(tx, call, Outcome.LOST)


def _lose_unconfirmed(tx: Transaction, guid: str) -> None:
    for call in tx.running.of(guid):
        if call.leg_handle is None:
            _close(tx, call, Outcome.LOST)


def _complete(tx: Transaction) -> None:
    """Remove users that the list did not name. If one record was unreadable, it may be theirs: keep them."""
    for guid in sorted(tx.unseen or ()):
        tx.unmonitor(guid)
        if tx.torn:
            tx.settle(guid)
            _lose_unconfirmed(tx, guid)
        else:
            _remove_user(tx, guid)
    tx.unseen = None


def _note_quiet(tx: Transaction) -> None:
    """For users whose count of calls went to zero: note the calls that the state still has of them.

    Their ends may be on the way, so the caller waits a moment before it calls `reconcile`. Calls that go on
    without the user (transferred, parked) are left out.
    """
    for guid in tuple(tx.quiet):
        running = (call for call in tx.running.of(guid) if call.leg_handle is not None)
        tx.quiet[guid] = frozenset(call.id for call in running if _needs_its_user(call))
        if not tx.quiet[guid]:
            del tx.quiet[guid]


def _with_ends(records: tuple[LegRecord, ...]) -> list[tuple[LegRecord, bool]]:
    """Each record, and whether the next record of the same leg ends it."""
    ends: dict[tuple[str, int], bool] = {}
    backwards = []
    for record in reversed(records):
        key = record.user, record.leg_handle
        backwards.append((record, ends.get(key, False)))
        ends[key] = record.ended
    return backwards[::-1]


def _see_leg(tx: Transaction, guid: str, record: LegRecord, *, ends_next: bool) -> None:
    if tx.users[guid].record.is_switch:
        _see_switch(tx, guid, record)
        return
    known = _known_call(tx, guid, record)
    if known is not None and _another_call(tx, known, record):
        _close(tx, known, Outcome.LOST)
        known = None
    if known is not None:
        _advance(tx, known, record, ends_next=ends_next)
    elif not record.ended:
        _open(tx, guid, record)


def _open(tx: Transaction, guid: str, record: LegRecord) -> None:
    if not _has_room(tx, guid):
        return
    placed = tx.placed.pop((guid, record.leg_handle), None)
    call_id, command_id = placed or (tx.new_call_id(), None)
    kind_of_user = tx.users[guid].record.type
    fresh = legs.opened(call_id, guid, kind_of_user, record, tx.now)
    call = evolve(legs.advanced(fresh, kind_of_user, record, tx, tx.now), command_id=command_id)
    resync = guid not in tx.settled and placed is None
    tx.running.put(call)
    for kind in legs.events_between(None, call, resync=resync):
        tx.tell(kind, guid, call, resync=resync)
    tx.put_user(tx.users[guid])


def _has_room(tx: Transaction, guid: str) -> bool:
    """Tell whether one more call fits. At the limit, an overdue call is closed to make room.

    A PBX that loses ends must not hide new calls for ever, and one that names endless legs must not cause
    endless events.
    """
    most, limit = tx.scope.limits, ""
    if tx.running.count_of(guid) >= most.calls_per_user:
        limit = "calls_per_user"
    elif tx.running.confirmed >= most.calls:
        limit = "calls"
    oldest = tx.running.oldest(guid) if limit else None
    if oldest is not None and tx.now.monotonic_s - oldest.started_s > OVERDUE_S:
        _close(tx, oldest, Outcome.LOST)
    elif limit:
        tx.leave_out(limit)
        return False
    return True


def _advance(tx: Transaction, known: Call, record: LegRecord, *, ends_next: bool) -> None:
    call = legs.advanced(known, tx.users[known.user].record.type, record, tx, tx.now)
    if record.ended:
        _close(tx, call, None)
        return
    kinds = legs.events_between(known, call, resync=False)
    if ends_next and legs.only_lets_go(known, call):
        tx.running.put(call)
        return
    if kinds or call.leg_handle != known.leg_handle:
        tx.running.put(call)
    for kind in kinds:
        tx.tell(kind, call.user, call)
    if kinds:
        tx.put_user(tx.users[call.user])


def _close(tx: Transaction, call: Call, outcome: Outcome | None) -> None:
    """End a call with its one terminal event. Without an outcome, the history of the call decides it."""
    kind_of_user = tx.users[call.user].record.type
    judged = judge(call, kind_of_user, tx.related(call), tx.topics) if outcome is None else outcome
    last = legs.ended(evolve(call, outcome=judged), tx.now)
    kind = terminal_event(last)
    tx.running.drop(call)
    user = tx.users[call.user]
    missed = user.missed + (kind is EventType.MISSED)
    tx.put_user(evolve(user, last_call=last, missed=missed))
    tx.tell(kind, call.user, last)


def _known_call(tx: Transaction, guid: str, record: LegRecord) -> Call | None:
    """The call with this leg handle; after a reconnect, the unconfirmed call that is most like the record."""
    return tx.running.by_leg_handle(guid, record.leg_handle) or tx.unconfirmed(guid, record)


def _needs_its_user(call: Call) -> bool:
    return call.transferred_to is None and call.state is not CallState.PARKED


def _another_call(tx: Transaction, known: Call, record: LegRecord) -> bool:
    """The PBX reused the handle of a leg, and the end of that leg was missed (docs/wire.md#robustness).

    A transfer changes the conference of a leg too, but never its direction, nor does it set a leg up.
    """
    if not record.conference or not known.conference or record.conference == known.conference:
        return False
    if legs.direction(tx.users[known.user].record.type, record) is not known.direction:
        return True
    afresh = known.state is not CallState.SETUP or record.remote.number != known.remote.number
    return record.state is CallState.SETUP and afresh


def _see_switch(tx: Transaction, guid: str, record: LegRecord) -> None:
    """A Boolean object's "call" carries two digits: manual or not, on or off (docs/wire.md#switches).

    People call it to change it, and one of them may have such a number.
    """
    ends = (end for end in (record.remote, record.local) if not tx.is_other(guid, end))
    digits = next((end.number for end in ends if _SWITCH.fullmatch(end.number)), None)
    if digits is None or record.ended:
        return
    switch = Switch(manual=digits[0] == "1", on=digits[1] == "1")
    user = tx.users[guid]
    if user.switch != switch:
        tx.put_user(evolve(user, switch=switch))
        if user.switch is not None or guid in tx.settled:
            tx.tell(EventType.SWITCHED, guid, None)
