"""How much of what is retained is taken, and what of it is believed."""

from typing import Any

import pytest

from bridge.core.model import Instant
from bridge.core.render import rfc3339
from bridge.core.restore import Memory, Remembered, remembered
from bridge.core.retained import LEAST_BYTES, MARGIN, MISSED_AT_MOST, Retained, Verdict, bytes_at_most
from bridge.core.rules import Scope, SizeLimits

NOW = Instant(1_795_000_100_000, 2000.0)
SINCE, LATELY = "2026-01-01T00:00:00.000Z", "2026-11-17T00:00:00.000Z"
SOON, NEXT_YEAR = rfc3339(NOW.unix_ms + 23 * 3_600_000), "2027-01-01T00:00:00.000Z"
EPOCH = f"{NOW.unix_ms - 3_600_000:011x}0000abcd"
LATER_EPOCH = f"{NOW.unix_ms + 9 * 24 * 3_600_000:011x}0000abcd"
CALL = {"id": f"{EPOCH}-7", "started_at": LATELY, "direction": "inbound", "state": "connected"}
ODD: tuple[object, ...] = (None, [], {"guid": "g"})
ENDED = {**CALL, "id": f"{EPOCH}-6", "state": "ended", "ended_at": LATELY}


def payload(guid: str = "g", **more: Any) -> dict[str, object]:
    """A user's state with a running call, an ended one and some missed."""
    return {
        "guid": guid,
        "since": SINCE,
        "time": LATELY,
        "missed": 3,
        "number": "21",
        "calls": [CALL],
        "last_call": ENDED,
        "switch": {"mode": "manual", "on": True},
        **more,
    }


def retained(memory: Memory | None = None, most: SizeLimits | None = None) -> Retained:
    """A start."""
    return Retained(memory or Memory(), Scope(limits=most or SizeLimits()), lambda: NOW)


def taken(payload: object, memory: Memory | None = None) -> Remembered:
    """What is believed of one state."""
    start = retained(memory)
    assert start.judge("g", 500) is Verdict.READ
    assert start.take("g", 500, payload) is Verdict.READ
    found = start.users["g"]
    assert found is not None
    return found


def test_without_a_memory_what_could_be_ours_is_believed() -> None:
    """Calls with ids of our making, in times that have been."""
    found = taken(payload())

    assert [call.id for call in found.calls] == [CALL["id"]]
    assert found.user.last_call is not None
    assert (found.user.missed, found.user.record.number) == (3, "21")


@pytest.mark.parametrize(
    "odd",
    [
        *({"id": name} for name in ("forged-1", "1", f"{EPOCH}-0", f"{EPOCH}-", f"{EPOCH.upper()}-7")),
        *({"id": f"{EPOCH}-7\n"}, {"id": f"{LATER_EPOCH}-1"}),
        *({key: NEXT_YEAR} for key in ("started_at", "answered_at", "ended_at")),
    ],
)
def test_calls_that_cannot_be_ours_are_not_believed(odd: dict[str, str]) -> None:
    """Neither as running nor as the last one."""
    found = taken(payload(calls=[CALL | odd], last_call=ENDED | odd))

    assert (found.calls, found.user.last_call) == ((), None)


def test_a_clock_that_is_behind_by_hours_forgets_no_call() -> None:
    """A small computer starts with the time of its last stop."""
    found = taken(payload(calls=[CALL | {"started_at": SOON}], since=SOON, time=NEXT_YEAR))

    assert len(found.calls) == 1
    assert (found.user.since_ms, found.user.changed_ms) == (NOW.unix_ms, NOW.unix_ms)


def test_missed_calls_are_bounded() -> None:
    """A number that somebody made up does not stay for ever."""
    assert taken(payload(missed=2**53)).user.missed == MISSED_AT_MOST


def test_a_memory_of_our_own_counts_alone() -> None:
    """Whatever is retained of users that it knows, and of others, however late it says it is."""
    known = remembered("anna", payload("a"), Scope(), NOW)
    start = retained(Memory({"anna": known, "gone": None}, whole=True))

    assert [start.judge(topic, 500) for topic in ("anna", "gone", "x")] == [
        *(Verdict.KNOWN, Verdict.KNOWN, Verdict.FOREIGN)
    ]
    assert start.users == {"anna": known, "gone": None}
    assert start.left_out == {}


def test_a_memory_that_is_new_changes_nothing() -> None:
    """A state directory that was lost: what could be ours goes on, or its calls would get no end."""
    assert taken(payload(), Memory(whole=True)) == taken(payload())


def test_what_is_no_state_is_foreign() -> None:
    """Its topic is cleared."""
    start = retained()
    assert [start.take("x", 9, odd) for odd in ODD] == [Verdict.FOREIGN] * 3
    assert start.users == {}


def test_so_many_states_and_no_more() -> None:
    """As many as users may be, and some that were deleted meanwhile."""
    start = retained(most=SizeLimits(users=5))
    verdicts = [start.judge(str(n), 100) for n in range(5 + MARGIN + 3) if taken_as(start, str(n))]

    assert len(start.users) == 5 + MARGIN
    assert start.judge("more", 100) is Verdict.FOREIGN
    assert start.judge("1", 100) is Verdict.KNOWN
    assert (start.left_out["retained"], len(verdicts)) == (4, 5 + MARGIN)


def taken_as(start: Retained, topic_id: str) -> bool:
    """Whether a small state is taken."""
    if start.judge(topic_id, 100) is not Verdict.READ:
        return False
    return start.take(topic_id, 100, {"guid": topic_id, "since": SINCE}) is Verdict.READ


@pytest.mark.slow
def test_so_many_bytes_and_no_more() -> None:
    """What a state costs is more than its text: many small things in it count as such."""
    start = retained(most=SizeLimits(users=10))
    assert start.judge("a", LEAST_BYTES + 1) is Verdict.FOREIGN
    assert start.take("a", LEAST_BYTES - 100, payload()) is Verdict.FOREIGN
    assert start.take("b", LEAST_BYTES - 100, payload(calls=[])) is Verdict.READ
    assert start.judge("c", 101) is Verdict.FOREIGN
    assert start.left_out == {"retained": 3}
    many = [{"name": ""}] * (bytes_at_most(SizeLimits()) // 100)
    assert retained().take("g", 10, payload(groups=many)) is Verdict.FOREIGN


def test_large_installations_have_room() -> None:
    """20,000 users with ten groups, an address and a last call each."""
    assert bytes_at_most(SizeLimits()) >= 20_000 * (1500 + 11 * 90)
