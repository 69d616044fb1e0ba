"""The judge of the drills, judged by histories that are made up."""

from pathlib import Path

import pytest

from tests.drills.checker import judge, late
from tests.drills.history import Entry, History, load


def event(seq: int, kind: str, call: str, number: str = "01") -> dict[str, object]:
    """An event as the bus carries it."""
    body = {"id": f"e-{seq}", "seq": seq, "epoch": "e", "event_type": kind}
    return {**body, "call": {"id": call, "remote": {"number": number}}}


def told(*events: dict[str, object]) -> History:
    """A history with these events on the bus."""
    history = History("made-up")
    for one in events:
        history.add("bus", topic="innovaphone/hq/user/p1/event", payload=one)
    return history


GOOD = (event(1, "incoming", "c"), event(2, "ended", "c"))


@pytest.mark.parametrize(
    ("history", "figures"),
    [
        (told(*GOOD), (2, 0, 0, 0, 0)),
        (told(*GOOD, GOOD[0]), (2, 0, 1, 0, 0)),
        (told(GOOD[0], event(3, "ended", "c")), (2, 1, 0, 0, 0)),
        (told(GOOD[1], GOOD[0]), (2, 0, 0, 1, 0)),
        (told(GOOD[0]), (1, 0, 0, 0, 1)),
        (told(*GOOD, event(3, "missed", "c")), (3, 0, 0, 0, 1)),
    ],
)
def test_the_checker_sees_what_is_wrong(history: History, figures: tuple[int, ...], tmp_path: Path) -> None:
    """Each kind of mistake, and the same again from a history that was kept."""
    row = judge(history)
    assert (row.events, row.lost, row.duplicated, row.disorder, row.ends) == figures
    assert judge(load(history.save(tmp_path))) == row


def test_the_checker_sees_what_pbx_and_commands_tell() -> None:
    """An end that the bridge got and did not tell; a command done twice; one done late."""
    history = told(*GOOD)
    history.add("leg", number="02", over=True, known=True)
    for number, expires in (("91", 1e12), ("92", 0.0)):
        history.add("asked", number=number, expires=expires)
    for number in ("91", "91", "92"):
        history.add("done", number=number)
    history.add("truth", seconds=3.0)
    row = judge(history)
    assert (row.lost, row.twice, row.commands, row.truth_s) == (1, 2, 2, 3.0)


def test_late_is_what_was_sent_late() -> None:
    """Not what a busy PBX came to late; a repetition counts, and one of which nobody saw the sending."""
    history = History("made-up")
    for number in ("in-time", "late", "again", "unseen"):
        history.entries.append(Entry(1.0, "asked", {"number": number, "expires": 6.0}))
    for number, at in (("in-time", 5.9), ("late", 8.0), ("again", 5.0), ("again", 8.5)):
        history.entries.append(Entry(at, "sent", {"number": number}))
    for number in ("in-time", "late", "again", "unseen"):
        history.entries.append(Entry(9.0, "done", {"number": number}))
    assert late(history) == ["late: 2.0 s late", "again: 2.5 s late", "unseen: 3.0 s late"]
    assert judge(history).twice == 3
