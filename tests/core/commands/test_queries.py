"""What becomes of the answers to queries: only what was asked for, and never too much."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.commands.found import LONGEST_RESULT, with_room
from bridge.core.commands.rates import QUERIES, QUERIES_PER_MINUTE, Rates
from bridge.core.commands.verb import Context, Fields
from bridge.core.commands.verbs import VERBS
from bridge.core.records import UserRecord
from tests.core.builders import PEOPLE, History, user

CONTEXT = Context(History().start().state, "hq")
NO_NUMBER = "must be digits, * and #, optionally after a leading +"
NAMES = st.lists(st.text("aAbÄß", max_size=3), max_size=6)


def page(fields: Fields, *records: UserRecord | None) -> Any:
    """The result of `find` when the PBX answers with these records."""
    return VERBS["find"].render(CONTEXT, fields, {"users": records})["result"]


@given(NAMES, st.text("aAbÄß", min_size=1, max_size=2), st.booleans())
def test_nothing_else_is_handed_on(names: list[str], wanted: str, prefix: bool) -> None:  # noqa: FBT001  (a case)
    """Whatever a PBX answers, and in which order."""
    records = [user(f"g{number}", name) for number, name in enumerate(names)]
    found = page({"name": wanted, "prefix": prefix}, *records)["users"]
    low = wanted.casefold()

    assert [each["name"] for each in found] == [
        name for name in names if name.casefold() == low or (prefix and name.casefold().startswith(low))
    ]


@pytest.mark.parametrize(
    ("fields", "records", "following"),
    [
        ({"limit": 2}, PEOPLE[:2], "Bert Ypsilon"),
        ({"limit": 3}, PEOPLE[:2], None),
        ({"limit": 2, "after": "Bert Ypsilon"}, PEOPLE[:2], None),
        ({"limit": 2, "name": "Anna", "prefix": True}, PEOPLE[:2], None),
        ({"limit": 2, "short_name": "anna"}, (PEOPLE[0], PEOPLE[0]), "anna"),
        ({"limit": 2}, (PEOPLE[0], None), None),
        ({"limit": 2}, (None, PEOPLE[0]), "Anna Ex"),
        ({}, (), None),
    ],
)
def test_the_next_page(fields: Fields, records: tuple[UserRecord | None, ...], following: str | None) -> None:
    """There is one behind a full page whose last user fits; a PBX that turns in circles is left."""
    assert page(fields, *records)["next"] == following


def test_a_reply_is_never_too_large() -> None:
    """What has no room comes with the next page; a user alone always has."""
    long = [user(f"g{number}", f"{number}" + "x" * 20_000) for number in range(5)]
    first = page({}, *long)

    assert len(json.dumps(first)) < LONGEST_RESULT + 1000
    assert first["next"] == long[len(first["users"]) - 1].name
    assert with_room(["x" * LONGEST_RESULT]) == ["x" * LONGEST_RESULT]
    devices = tuple(("x" * 30_000, "") for _ in range(4))
    result: Any = VERBS["devices"].render(CONTEXT, {}, {"devices": devices})["result"]
    assert (len(result["devices"]), result["left_out"]) == (2, 2)


@pytest.mark.parametrize(
    ("verb", "fields", "problem"),
    [
        ("find", {}, None),
        ("find", {"name": "a", "number": ""}, None),
        (
            "find",
            {"name": "a", "number": "1"},
            "at most one of 'name', 'short_name' and 'number' can be given",
        ),
        ("calls", {}, "'user' is required"),
        ("devices", {"user": "anna"}, None),
        ("localize", {"user": "anna"}, "'number' is required"),
        (
            "localize",
            {"user": "anna", "number": "x"},
            f"'number' {NO_NUMBER}",
        ),
        ("localize", {"number": "1"}, "'user' is required"),
        ("reachable", {"user": "anna"}, "exactly one of 'number' and 'short_name' is required"),
        (
            "reachable",
            {"number": "1", "short_name": "a"},
            "exactly one of 'number' and 'short_name' is required",
        ),
        (
            "reachable",
            {"user": "anna", "number": "x"},
            f"'number' {NO_NUMBER}",
        ),
        ("reachable", {"short_name": "a"}, "'user' is required"),
        ("reachable", {"user": "anna", "short_name": "a"}, None),
        ("locate", {}, "'location' is required"),
        ("locate", {"location": "a"}, None),
        ("forward", {"user": "anna"}, "one of 'always', 'busy' and 'no_answer' is required"),
        ("forward", {"busy": "1"}, "'user' is required"),
        ("forward", {"user": "anna", "busy": ""}, None),
        (
            "forward",
            {"user": "anna", "always": "1", "busy": "x"},
            f"'busy' {NO_NUMBER}; or empty, to remove it",
        ),
        ("admin", {}, "'xml' is required"),
        ("admin", {"xml": "<a b='1'><c/></a>"}, None),
        ("admin", {"xml": ""}, "'xml' must be one element (column 1: no element found)"),
        ("admin", {"xml": "x"}, "'xml' must be one element (column 1: syntax error)"),
        ("admin", {"xml": "<a/><b/>"}, "'xml' must be one element (column 5: junk after document element)"),
        ("admin", {"xml": "<a>&b;</a>"}, "'xml' must be one element (column 4: undefined entity)"),
        ("admin", {"xml": "<!DOCTYPE a><a/>"}, "'xml' must not contain <! or <?"),
        ("admin", {"xml": "<?x?><a/>"}, "'xml' must not contain <! or <?"),
    ],
)
def test_wrong_queries_are_refused(verb: str, fields: Fields, problem: str | None) -> None:
    """Each with its sentence, before anything is asked."""
    assert VERBS[verb].check(fields) == problem


def test_a_long_answer_of_admin_is_shortened() -> None:
    """And says so."""
    results = [VERBS["admin"].render(CONTEXT, {}, {"xml": "x" * (LONGEST_RESULT + more)}) for more in (0, 1)]
    assert [result["result"]["complete"] for result in results] == [True, False]  # type: ignore[index]


def test_queries_have_a_rate_of_their_own() -> None:
    """A small PBX is not hurt, and calls are not held up."""
    rates = Rates(per_minute=60, calls_per_user=10)
    verbs = sorted(QUERIES) * QUERIES_PER_MINUTE
    answers = [rates.refusal(verb, "", 0.0) for verb in verbs]

    assert answers.count(None) == QUERIES_PER_MINUTE
    assert answers[-1] == "too many queries: 60 a minute"
    assert rates.refusal("call", "", 0.0) is None
