"""Whose an id is, and for how long: memory of requests, bounded."""

from dataclasses import replace

import pytest

from bridge.core.commands.answer import Address
from bridge.core.commands.dedup import (
    REFUSED_AT_MOST,
    REMEMBERED_AT_MOST,
    REMEMBERED_S,
    WAITING_PER_ID,
    SeenCommands,
    fingerprint,
)
from bridge.core.commands.request import Request
from bridge.core.topics import TopicId

REQUEST = Request(Address("r", "call", "c-1", correlation=b"1"), {"user": "anna", "number": "1"}, 5)


def test_it_remembers_ten_minutes() -> None:
    """A duplicate finds the reply; those that came before it are told when it is there."""
    seen, address = SeenCommands(), Address("r", "call")
    assert seen.find("a", 0) is None
    seen.open("a", "mark", 0)
    entry = seen.find("a", 1)
    assert entry is not None
    assert entry.fingerprint == "mark"
    assert entry.wait(address)

    assert seen.close("a", {"x": 1}) == (address,)
    assert seen.close("a", {"x": 1}) == ()
    assert seen.close("never", {}) == ()
    assert entry.reply == {"x": 1}
    assert seen.find("a", REMEMBERED_S - 1) is entry
    assert seen.find("a", REMEMBERED_S) is None


def test_it_is_bounded() -> None:
    """The oldest is forgotten first; asking for it is not what makes it forgotten."""
    seen = SeenCommands()
    for number in range(REMEMBERED_AT_MOST):
        seen.open(str(number), "", 0)
    assert seen.find("0", 0) is not None
    seen.put_back("one more", "", 0, {})

    assert seen.find("0", 0) is None
    assert seen.find("1", 0) is not None


def test_refusals_push_out_no_command() -> None:
    """They have a ring of their own, for the same ten minutes."""
    seen = SeenCommands()
    seen.open("done", "mark", 0)
    seen.close("done", {"status": "ok"})
    for number in range(REMEMBERED_AT_MOST + 1):
        seen.refuse(str(number), "", {"code": "not_permitted"}, 1)
    done, oldest = seen.find("done", 1), seen.find(str(REMEMBERED_AT_MOST - REFUSED_AT_MOST + 1), 1)

    assert done is not None
    assert done.reply == {"status": "ok"}
    assert oldest is not None
    assert oldest.reply == {"code": "not_permitted"}
    assert seen.find(str(REMEMBERED_AT_MOST - REFUSED_AT_MOST), 1) is None
    assert seen.find(str(REMEMBERED_AT_MOST), 1 + REMEMBERED_S) is None


def test_what_was_let_through_and_then_refused_is_a_refusal() -> None:
    """The PBX was not asked: many of them push out no command either. A retryable one is forgotten."""
    seen = SeenCommands()
    seen.open("done", "mark", 0)
    for number in range(REMEMBERED_AT_MOST + 1):
        seen.open(str(number), "mark", 0)
        assert seen.close_refused(str(number), {"code": "unknown_user"}) == ()
    seen.open("later", "mark", 0)
    seen.close_refused("later", {"code": "pbx_offline", "retryable": True})

    assert seen.find("done", 0) is not None
    last = seen.find(str(REMEMBERED_AT_MOST), 0)
    assert last is not None
    assert (last.fingerprint, last.reply) == ("mark", {"code": "unknown_user"})
    assert seen.find("later", 0) is None


def test_few_duplicates_wait() -> None:
    """Beyond them none is kept: each could bring correlation data."""
    seen = SeenCommands()
    seen.open("a", "", 0)
    entry = seen.find("a", 0)
    assert entry is not None
    waits = [entry.wait(Address("r", "call")) for _ in range(WAITING_PER_ID + 1)]

    assert waits == [True] * WAITING_PER_ID + [False]
    assert len(seen.close("a", {})) == WAITING_PER_ID


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, address=Address("r", "clear")),
        replace(REQUEST, address=Address("evil/r", "call")),
        replace(REQUEST, fields={"user": "bert", "number": "1"}),
        replace(REQUEST, fields={"user": "anna", "number": "12"}),
        replace(REQUEST, fields={"user": "anna", "number": "1", "anonymous": True}),
        replace(REQUEST, fields={"user": "anna", "number": "1", "anonymous": False}),
        replace(REQUEST, fields={"user": "anna", "number": "1", "facility": 1}),
        replace(REQUEST, fields={"user": "anna", "numbe": "r1"}),
        replace(REQUEST, fields={"user": TopicId("anna"), "number": "1"}),
        replace(REQUEST, fields={}),
    ],
)
def test_another_request_has_another_fingerprint(other: Request) -> None:
    """Verb, each field and the topic of the reply count."""
    assert fingerprint(other) != fingerprint(REQUEST)


def test_a_repetition_has_the_same_fingerprint() -> None:
    """Its fields may come in another order, it may expire later and have other correlation data."""
    address = Address("r", "call", "c-1", correlation=b"2", user="anna")
    again = Request(address, {"number": "1", "user": "anna"}, 99)
    assert fingerprint(again) == fingerprint(REQUEST)
