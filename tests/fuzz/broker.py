"""A broker's retained tree and one consumer of the events, for the fuzzed histories. No network."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TERMINAL = frozenset({"missed", "ended"})
NOT_MISSED = frozenset({"answered", "transferred", "answered_elsewhere", "forwarded", "lost"})
RESYNCS = (["updated"], ["incoming"], ["outgoing"], ["incoming", "ringing"], ["outgoing", "ringing"])
"""What a leg may have been told of that was first seen while running calls were still being told."""


class Broker:
    """Keeps what is retained and hands the rest to `heard`, each message once, in order."""

    def __init__(self, heard: Callable[[Any], None]) -> None:
        self.retained: dict[str, bytes] = {}
        self._heard = heard

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """A message of the bridge has arrived."""
        if not retain:
            self._heard(json.loads(payload))
        elif payload:
            self.retained[topic] = payload
        else:
            self.retained.pop(topic, None)

    def users(self, root: str) -> dict[str, Any]:
        """What is retained of users, by topic id."""
        start, end = f"{root}/user/", "/state"
        return {
            topic.removeprefix(start).removesuffix(end): json.loads(payload)
            for topic, payload in self.retained.items()
            if topic.startswith(start)
        }


@dataclass(slots=True)
class Consumer:
    """Hears all events and holds the bridge to what the contract says of their order.

    `seqs`: the last event of each epoch. `made`: how many were made in epochs that left them on a disk.
    `excused`: calls of which an event died with the process that made it. `late`: calls whose first event
    says that running calls were still being told.
    """

    events: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, list[str]] = field(default_factory=dict)
    excused: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    seqs: Counter[str] = field(default_factory=Counter)
    made: dict[str, int] = field(default_factory=dict)

    def hear(self, event: Any) -> None:
        """One event; a second one with the same id must say the same."""
        assert event["age_ms"] >= 0
        assert event["queued"] or not event["age_ms"]
        plain = {**event, "queued": False, "age_ms": 0}
        if plain["id"] in self.events:
            assert self.events[plain["id"]] == plain
            return
        self.events[plain["id"]] = plain
        self.seqs[plain["epoch"]] += 1
        assert plain["seq"] == self.seqs[plain["epoch"]], "a gap in seq, or an event out of order"
        self._hear_call(plain, plain["call"])

    def terminals(self, call_id: str) -> int:
        """How many terminal events a call has had."""
        return sum(kind in TERMINAL for kind in self.calls[call_id])

    def _hear_call(self, event: Any, call: Any) -> None:
        kind, kinds = event["event_type"], self.calls.setdefault(call["id"], [])
        if call["id"] not in self.excused:
            assert not TERMINAL & set(kinds), f"{call['id']}: {kind} after {kinds}"
            if not kinds:
                _check_first(event, call)
        if kind in TERMINAL:
            _check_terminal(kind, call)
        if event.get("reason") == "resync":
            assert [*kinds, kind] in RESYNCS, f"{kind} after {kinds} is no first event"
            self.late.add(call["id"])
        kinds.append(kind)


def _check_first(event: Any, call: Any) -> None:
    directions = {"incoming": "inbound", "outgoing": "outbound", "updated": call["direction"]}
    assert directions.get(event["event_type"]) == call["direction"], "not the first event of a leg"
    assert (event["event_type"] == "updated") <= (event.get("reason") == "resync")


def _check_terminal(kind: str, call: Any) -> None:
    unanswered = call["direction"] == "inbound" and call["answered_at"] is None
    assert (kind == "missed") == (unanswered and call["outcome"] not in NOT_MISSED)
    assert (call["state"], call["ended_at"] is None) == ("ended", False)
    assert call["ring_s"] >= 0
    assert (call["talk_s"] is None) == (call["answered_at"] is None)
