"""Judges the history of a drill: what was lost, doubled, out of order or done twice. Runs nothing."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.drills.history import Entry, History

TERMINAL = {"ended", "missed"}
LATE_S = 1.0
"""The bridge looks at its clock, then sends: a machine with much to do may let it wait in between."""


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one drill; `truth_s` is the longest time until bus and PBX agreed again.

    `broken`: promises of this drill alone that were not kept; `more`: figures of this drill alone.
    """

    name: str
    events: int
    lost: int
    duplicated: int
    disorder: int
    ends: int
    commands: int
    twice: int
    truth_s: float
    peak_mib: float
    secrets: int
    broken: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


def judge(history: History) -> Row:
    """The row of a history."""
    events = [entry.what["payload"] for entry in _events(history)]
    done = Counter(entry.what["number"] for entry in history.of("done"))
    asked = {entry.what["number"] for entry in history.of("asked")}
    return Row(
        history.name,
        len({event["id"] for event in events}),
        len(lost(history)),
        len(events) - len({event["id"] for event in events}),
        _disorder(events),
        len(wrong_ends(history)),
        len(asked),
        sum(count - 1 for count in done.values()) + len(late(history)),
        max((entry.what["seconds"] for entry in history.of("truth")), default=0.0),
        max(_figures(history, "MiB"), default=0.0),
        int(sum(_figures(history, "secrets"))),
        tuple(entry.what["promise"] for entry in history.of("broken")),
        tuple(entry.what["text"] for entry in history.of("shown")),
    )


def lost(history: History) -> list[str]:
    """Gaps in `seq`, and legs whose end the bridge has received while the bus never saw one."""
    return [*_gaps(history), *_untold(history)]


def late(history: History) -> list[str]:
    """The commands that the bridge sent to the PBX after their time.

    When the PBX carried one out does not tell: what was sent in time may lie in the network, or before a PBX
    that has much to do. It is taken where it is not known when a command was sent.
    """
    expires = {entry.what["number"]: entry.what["expires"] for entry in history.of("asked")}
    sent: dict[str, float] = {}
    for entry in (*history.of("done"), *history.of("sent")):
        sent[entry.what["number"]] = entry.at
    over = {number: at - expires[number] for number, at in sent.items() if number in expires}
    return [f"{number}: {seconds:.1f} s late" for number, seconds in over.items() if seconds > LATE_S]


def wrong_ends(history: History) -> list[str]:
    """Calls that were announced and have not exactly one end."""
    ends: dict[str, set[str]] = defaultdict(set)
    for entry in _events(history):
        event = entry.what["payload"]
        if event["call"] is not None:
            ends[event["call"]["id"]] |= {event["id"]} if event["event_type"] in TERMINAL else set()
    return [f"{call}: {len(ids)} ends" for call, ids in ends.items() if len(ids) != 1]


def _figures(history: History, name: str) -> list[float]:
    return [entry.what["value"] for entry in history.of("figure") if entry.what["name"] == name]


def _events(history: History) -> list[Entry]:
    return [entry for entry in history.of("bus") if entry.what["topic"].endswith("/event")]


def _gaps(history: History) -> list[str]:
    seen: dict[str, set[int]] = defaultdict(set)
    for entry in _events(history):
        seen[entry.what["payload"]["epoch"]].add(entry.what["payload"]["seq"])
    return [
        f"{epoch}: seq {missing}"
        for epoch, numbers in seen.items()
        for missing in sorted(set(range(1, max(numbers) + 1)) - numbers)
    ]


def _untold(history: History) -> list[str]:
    told = {
        entry.what["payload"]["call"]["remote"]["number"]
        for entry in _events(history)
        if entry.what["payload"]["event_type"] in TERMINAL
    }
    ended = {
        entry.what["number"] for entry in history.of("leg") if entry.what["over"] and entry.what["known"]
    }
    return [f"the end of {number}" for number in sorted(ended - told)]


def _disorder(events: list[dict[str, object]]) -> int:
    """How often an event came, for the first time, after one with a higher `seq` of its epoch."""
    highest: dict[str, int] = defaultdict(int)
    seen: set[str] = set()
    wrong = 0
    for event in events:
        epoch, seq, name = str(event["epoch"]), event["seq"], str(event["id"])
        assert isinstance(seq, int)
        if name not in seen:
            wrong += seq < highest[epoch]
            highest[epoch] = max(highest[epoch], seq)
            seen.add(name)
    return wrong
