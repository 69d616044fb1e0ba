"""Text messages that commands have sent: two events tell what became of each. Pure; they are no calls.

The PBX reports a message like a leg that has ended (docs/wire.md#messages). Nothing is told before that, so
a message whose end is lost with the PBX session leaves no event without its counterpart.
"""

from bridge.core import calls as legs
from bridge.core.model import Call, Direction, EventType, Outcome
from bridge.core.records import CallState, LegRecord
from bridge.core.transaction import Transaction
from bridge.core.value import evolve

KEPT = 256


def sent(tx: Transaction, guid: str, handle: int, command_id: str | None) -> str:
    """A command has sent a message for a user. Returns the id that its events will have as a call."""
    call = Call(
        id=tx.new_call_id(),
        user=guid,
        leg_handle=None,
        direction=Direction.OUTBOUND,
        state=CallState.SETUP,
        started_ms=tx.now.unix_ms,
        started_s=tx.now.monotonic_s,
        command_id=command_id,
    )
    tx.text_messages[guid, handle] = call
    for key in list(tx.text_messages)[:-KEPT]:
        del tx.text_messages[key]
    return call.id


def is_end(tx: Transaction, record: LegRecord) -> bool:
    """Whether a record is the end of a message, and then tell it. Messages of other programs are ignored."""
    key = record.user, record.leg_handle
    fails = record.ended and key in tx.text_messages and tx.running.by_leg_handle(*key) is None
    if not (record.text_delivered or fails):
        return False
    call = tx.text_messages.pop(key, None)
    if call is not None:
        outcome = Outcome.ANSWERED if record.text_delivered else Outcome.FAILED
        last = legs.ended(evolve(call, outcome=outcome, cause=record.cause), tx.now)
        tx.tell(EventType.OUTGOING, call.user, call, text_message=True)
        tx.tell(EventType.ENDED, call.user, last, text_message=True)
    return True
