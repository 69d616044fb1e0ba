"""Decides the outcome of a call that has ended, from its last state and from related calls. Pure."""

from collections.abc import Iterable, Mapping

from bridge.core import causes
from bridge.core.calls import QUEUE
from bridge.core.model import Call, Direction, EventType, Outcome, RemoteParty
from bridge.core.records import ReleasedBy

_NOT_MISSED = frozenset({Outcome.ANSWERED_ELSEWHERE, Outcome.FORWARDED, Outcome.TRANSFERRED, Outcome.LOST})
_QUIET_CAUSES = frozenset({causes.NORMAL_CLEARING, causes.TAKEN_ELSEWHERE, causes.NORMAL_UNSPECIFIED})


def judge(call: Call, user_type: str, others: Iterable[Call], topics: Mapping[str, str]) -> Outcome:
    """The outcome of an ended call.

    `others`: running calls that share its conference or remote party, or belong to its remote party.
    `topics`: the topic ids of all users, by guid.
    """
    topic = topics.get(call.user, "")
    rest = list(others)
    inbound = call.direction is Direction.INBOUND
    if user_type == QUEUE and inbound:
        return _of_queued(call, topic, rest)
    if call.answered_ms is not None:
        return _of_answered(call, topic, [other for other in rest if _joined(call, other, topics)])
    if inbound:
        return _of_unanswered(call, topic, [other for other in rest if _same_conversation(call, other)])
    return _of_attempt(call)


def terminal_event(call: Call) -> EventType:
    """`missed` for an inbound call that neither this user nor anybody else took, else `ended`."""
    unanswered = call.direction is Direction.INBOUND and call.answered_ms is None
    return EventType.MISSED if unanswered and call.outcome not in _NOT_MISSED else EventType.ENDED


def _same_conversation(call: Call, other: Call) -> bool:
    return bool(call.conference) and call.conference == other.conference


def _joined(call: Call, other: Call, topics: Mapping[str, str]) -> bool:
    """Whether the other leg belongs to, or now talks to, this call's remote party, as after a transfer."""
    if _same_conversation(call, other) or call.remote.user == topics.get(other.user, ""):
        return True
    return bool(call.remote.number) and call.remote.number == other.remote.number


def _of_answered(call: Call, topic: str, joined: list[Call]) -> Outcome:
    by_this_user = _names(topic, (other.transferred_by for other in joined))
    return Outcome.TRANSFERRED if call.transferred_to or by_this_user else Outcome.ANSWERED


def _of_queued(call: Call, topic: str, others: list[Call]) -> Outcome:
    """The outcome for a queue: an agent has the call now, or the caller left before that."""
    if call.transferred_to:
        return Outcome.TRANSFERRED
    if any(_took(other, call, topic) for other in others):
        return Outcome.ANSWERED_ELSEWHERE
    outcome = _of_unanswered(call, topic, [])
    return Outcome.ABANDONED if outcome is Outcome.MISSED else outcome


def _took(other: Call, call: Call, topic: str) -> bool:
    """Whether the other leg is the same caller, answered by an agent of the queue.

    One caller may have two calls: if the conferences differ, the leg must come from this queue.
    """
    if other.answered_ms is None or other.direction is not Direction.INBOUND or other.user == call.user:
        return False
    if _same_conversation(call, other):
        return True
    known = call.remote.number or call.remote.user
    if not known or (other.remote.number or other.remote.user) != known:
        return False
    ends = (other.diverted_from, other.first_diverted_from, other.transferred_by, other.picked_up_from)
    return _names(topic, ends) or not (call.conference and other.conference)


def _of_unanswered(call: Call, topic: str, related: list[Call]) -> Outcome:
    # The cause of a call that a command ended was chosen by that command: it says nothing of the called user.
    if call.hung_up:
        return Outcome.DECLINED
    if call.cause == causes.TAKEN_ELSEWHERE or _names(topic, (other.picked_up_from for other in related)):
        return Outcome.ANSWERED_ELSEWHERE
    diverted = (end for other in related for end in (other.diverted_from, other.first_diverted_from))
    if call.cause == causes.REDIRECTED or _names(topic, diverted):
        return Outcome.FORWARDED
    if call.cause == causes.USER_BUSY:
        return Outcome.BUSY
    by_user = call.released_by is ReleasedBy.USER
    if call.cause == causes.CALL_REJECTED or (by_user and call.cause in {None, *_QUIET_CAUSES}):
        return Outcome.DECLINED
    return Outcome.FAILED if by_user else Outcome.MISSED


def _of_attempt(call: Call) -> Outcome:
    if call.hung_up:
        return Outcome.CANCELLED
    if call.cause == causes.USER_BUSY:
        return Outcome.BUSY
    if call.cause == causes.CALL_REJECTED:
        return Outcome.DECLINED
    if call.released_by is ReleasedBy.USER or (
        call.released_by is None and call.cause in {None, *_QUIET_CAUSES}
    ):
        return Outcome.CANCELLED
    return Outcome.FAILED


def _names(topic: str, ends: Iterable[RemoteParty | None]) -> bool:
    return any(end is not None and end.user == topic for end in ends)
