"""The board of `watch`: what it shows of messages, of a real bridge and of anybody else."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from bridge.core.message import Incoming
from bridge.watch.board import PBXS_AT_MOST, USERS_AT_MOST, Board, Pbx, Person, Place
from bridge.watch.view import Filter, Wall, event_line

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
HQ = Place("broker", "hq")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
KEYS = (
    *(
        "name",
        "display_name",
        "number",
        "call_state",
        "calls",
        "presence",
        "time",
        "missed",
        "user",
        "remote",
    ),
    *("event_type", "call", "direction", "state", "started_at", "answered_at", "talk_s", "outcome", "switch"),
    *("link", "reason", "users", "mode", "on", "note", "activity", "anonymous", "held"),
)
PAYLOADS = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8).map(
    lambda value: json.dumps(value).encode()
)
LEVELS = st.sampled_from(["", "hq", "user", "state", "event", "info", "anna", "response", "a/b", "é\x1b"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=5).map(lambda levels: "/".join(["innovaphone", *levels]))


def say(board: Board, topic: str, payload: object) -> None:
    """One message of the broker."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    board.hear("broker", Incoming(f"innovaphone/{topic}", body))


def state(name: str, word: str = "idle", **more: object) -> dict[str, object]:
    """The state of a user."""
    return {"name": name, "call_state": word, "time": "2026-01-01T11:00:00.000Z", **more}


def leg(state_word: str, **more: object) -> dict[str, object]:
    """A call of a user with ACME."""
    started = {"started_at": "2026-01-01T11:58:55.000Z", "answered_at": None, "held": False}
    remote = {"name": "ACME", "number": "0711"}
    return {"state": state_word, "direction": "inbound", "remote": remote, **started, **more}


def drawn(
    board: Board, chosen: Filter | None = None, *, trouble: tuple[str, ...] = (), height: int = 40
) -> str:
    """The board as text."""
    screen = StringIO()
    wall = Wall(board, chosen or Filter(), NOW, trouble)
    Console(file=screen, width=100, height=height, force_terminal=False).print(wall)
    return screen.getvalue()


def test_ringing_users_come_first() -> None:
    """Then those who talk, hold and dial; the others by their last change. Durations and the far end."""
    board = Board("innovaphone")
    say(board, "hq/state", b"online")
    say(board, "hq/info", {"link": "online", "calls": 3, "users": 5})
    say(board, "hq/user/idle/state", state("Ida", missed=2))
    say(board, "hq/user/late/state", state("Lara", time="2026-01-01T11:30:00.000Z"))
    say(board, "hq/user/dials/state", state("Dora", "dialing", calls=[leg("setup", direction="outbound")]))
    say(
        board,
        "hq/user/talks/state",
        state("Tim", "connected", calls=[leg("connected", answered_at="2026-01-01T10:59:00Z")]),
    )
    say(
        board,
        "hq/user/rings/state",
        state("Rosa", "ringing", calls=[leg("connected"), leg("ringing", remote={"anonymous": True})]),
    )

    people = [person.name for _, person in board.by_attention()]
    assert people == ["Rosa", "Tim", "Dora", "Lara", "Ida"]
    lines = {line.split()[0]: line for line in drawn(board).splitlines() if line}
    assert "rings" in lines["Rosa"]
    assert "somebody anonymous" in lines["Rosa"]
    assert "1:05" in lines["Rosa"]
    assert "1:01:00" in lines["Tim"]
    assert "ACME 0711" in lines["Dora"]
    assert "1 of 1 PBXs online · 5 users · 3 calls · 1 ringing" in lines["innovaphone"]


def test_what_is_erased_vanishes() -> None:
    """A user, a PBX; and all that a broker has said, when its connection is new."""
    board = Board("innovaphone")
    for name in ("hq", "branch"):
        say(board, f"{name}/state", b"online")
        say(board, f"{name}/user/anna/state", state("Anna"))
    say(board, "hq/user/anna/state", b"")
    say(board, "branch/state", b"")
    assert (list(board.pbxs), [place.pbx for place, _ in board.people]) == ([HQ], ["branch"])

    board.forget("another")
    assert board.pbxs
    board.forget("broker")
    assert (board.pbxs, board.people) == ({}, {})


def test_problems_are_named() -> None:
    """A PBX that is offline with its reason, a broker that is not reached; the users of the PBX stay."""
    board = Board("innovaphone")
    say(board, "hq/state", b"offline")
    say(board, "hq/info", {"link": "rejected", "reason": "wrong password"})
    say(board, "hq/user/anna/state", state("Anna"))
    screen = drawn(board, trouble=("the broker does not answer; trying again",))

    assert "hq is offline (rejected: wrong password)" in screen
    assert "the broker does not answer; trying again" in screen
    assert "Anna" in screen


def test_filters() -> None:
    """By PBX, by name or topic id in any case, and by calls; events too."""
    board = Board("innovaphone")
    for pbx in ("hq", "branch"):
        say(board, f"{pbx}/state", b"online")
        say(board, f"{pbx}/user/anna/state", state("Ännchen", "connected"))
        say(board, f"{pbx}/user/bert/state", state("Bert"))
        say(board, f"{pbx}/user/bert/event", {"user": "bert", "event_type": "incoming", "call": leg("setup")})

    def shown(**chosen: object) -> tuple[int, int, int]:
        screen = drawn(board, Filter(**chosen))  # type: ignore[arg-type]  # by name
        return screen.count("Ännchen"), screen.count("Bert"), screen.count("is called by")

    assert shown() == (2, 2, 2)
    assert shown(pbxs=("hq",)) == (1, 1, 1)
    assert shown(users=("ÄNN*",)) == (2, 0, 0)
    assert shown(users=("Bert",)) == (0, 2, 2)
    assert shown(users=("b?rt", "anna")) == (2, 2, 2)
    assert shown(busy=True) == (2, 0, 2)


def test_it_fits_the_terminal() -> None:
    """However many users, PBXs and events there are; what is cut off is counted."""
    board = Board("innovaphone")
    for number in range(300):
        say(board, f"p{number}/state", b"offline")
        say(board, f"hq/user/{number}/state", state(f"User {number}"))
        say(
            board,
            f"hq/user/{number}/event",
            {"user": str(number), "event_type": "ended", "call": leg("ended")},
        )
    for height in (5, 24, 50):
        lines = drawn(board, height=height).rstrip("\n").split("\n")
        assert len(lines) <= max(height, 15)
    assert "more" in drawn(board, height=24)


def test_what_is_beyond_the_limits_is_counted() -> None:
    """Whoever may publish below the base topic can name users and PBXs without end."""
    board = Board("innovaphone")
    some = Person("u", "", "", "", "", "", None, None, "", "", 0)
    board.pbxs = {Place("broker", str(number)): Pbx() for number in range(PBXS_AT_MOST)}
    board.people = {(HQ, str(number)): some for number in range(USERS_AT_MOST)}
    say(board, "hq/state", b"online")
    say(board, "hq/user/new/state", state("New"))
    say(board, "hq/user/1/state", state("Known"))

    assert (len(board.pbxs), len(board.people), board.left_out) == (PBXS_AT_MOST, USERS_AT_MOST, 2)
    assert board.people[HQ, "1"].name == "Known"
    assert "2 left out" in drawn(board)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"event_type": "ringing", "call": leg("ringing")}, "rings (ACME 0711)"),
        (
            {"event_type": "ringing", "call": leg("ringing", direction="outbound")},
            "hears it ring at ACME 0711",
        ),
        ({"event_type": "ended", "call": leg("ended", outcome="answered", talk_s=4)}, "answered, 4.0 s"),
        ({"event_type": "switched", "switch": {"on": True, "mode": "manual"}}, "is switched on (manual)"),
    ],
)
def test_events_in_words(event: dict[str, object], said: str) -> None:
    """The caller hears a ringing that is not on its own telephone."""
    line = event_line(HQ, {"user": "anna", "time": "2026-01-01T11:00:00Z", **event})

    assert line is not None
    assert line.startswith(f"{datetime(2026, 1, 1, 11, tzinfo=UTC).astimezone():%H:%M:%S}  hq")
    assert line.endswith(said)
    assert event_line(HQ, {"user": "anna", "event_type": "updated"}) is None


@settings(max_examples=30)
@given(st.lists(st.tuples(TOPICS, PAYLOADS | st.binary(max_size=20)), max_size=20))
def test_nothing_that_is_published_breaks_it(messages: list[tuple[str, bytes]]) -> None:
    """Any topic, any payload; and nothing that a terminal would obey is printed."""
    board = Board("innovaphone")
    for topic, payload in messages:
        board.hear("broker", Incoming(topic, payload))
    screen = drawn(board)

    assert all(each.isprintable() or each == "\n" for each in screen)


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01"])
def test_a_time_that_cannot_be_shown_is_none(when: str) -> None:
    """And so is a duration beyond all numbers: one strange message must not end the program."""
    call = leg("connected", answered_at=when, talk_s=10**400, outcome="answered")
    board = Board("innovaphone")
    say(board, "hq/user/anna/state", state("Anna", "connected", time=when, calls=[call]))
    say(board, "hq/user/anna/event", {"event_type": "ended", "user": "anna", "time": when, "call": call})

    assert "no talk" in drawn(board)


def test_clocks_of_two_machines_differ() -> None:
    """A call that begins in our future lasts no negative time."""
    board = Board("innovaphone")
    began = (NOW + timedelta(minutes=3)).isoformat()
    say(board, "hq/user/anna/state", state("Anna", "ringing", calls=[leg("ringing", started_at=began)]))

    assert " 0:00" in drawn(board)
