"""Numbers and patterns: one normal form, so that no other spelling of a number walks around a permission."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.numbers import dialable, fits, normal, pattern, refusal

SPELLINGS = ["+49 900 1", "0049-900-1", "+49 (0) 9001", "00 49 / 9001", "(0049) 900.1", "+49(0)900-1"]
STRANGE = ["*21*09001#", "#09001", "09001*", "*", "##", "2*0900"]


@pytest.mark.parametrize("number", SPELLINGS)
@pytest.mark.parametrize("wanted", ["+49900*", "0049900?", "00 49-900*", "+49 (900) [1]"])
def test_a_number_is_the_same_however_it_is_written(number: str, wanted: str) -> None:
    """In the list of what may be called and in the list of what may not."""
    assert refusal(number, [pattern(wanted)], []) is None
    assert refusal(number, [], [pattern(wanted)]) == "the bridge's commands.numbers.deny forbids this number"
    assert refusal(number, [pattern("0044*")], []) is not None


@pytest.mark.parametrize("number", STRANGE)
def test_a_feature_code_must_be_allowed_as_such(number: str) -> None:
    """No wildcard lets it in; a pattern that has its keys does, unless it is denied."""
    assert "must be listed in the bridge's commands.numbers.allow" in str(refusal(number, [], []))
    assert "must be listed in the bridge's commands.numbers.allow" in str(refusal(number, ["*", "?"], []))
    written = "".join(f"[{key}]" if key == "*" else key for key in number)
    assert refusal(number, [pattern(written)], []) is None
    assert refusal(number, [pattern(written)], ["*"]) is not None


def test_what_wildcards_stand_for() -> None:
    """Digits, any number of them or one; in what is denied the other keys too."""
    assert refusal("123", ["1??"], []) is None
    assert refusal("1234", ["1??"], []) == "the bridge's commands.numbers.allow does not permit this number"
    assert refusal("1", ["1*"], []) is None
    assert refusal("13", ["1[2-4]"], []) is None
    assert refusal("15", ["1[2-4]"], []) is not None
    assert refusal("0", [], []) is None
    assert refusal("*31#110", ["[*]31#*"], ["*110"]) is not None
    assert refusal("*31#220", ["[*]31#*"], ["*110"]) is None


@pytest.mark.parametrize(
    "text", ["", " ", "anna", "0*1*2*3*", "[", "[]", "[^1]", "1+2", "[a]", "0900;", "\u0661"]
)
def test_what_is_no_pattern(text: str) -> None:
    """Refused with the configuration: it would never fit what was meant."""
    with pytest.raises(ValueError, match="expected digits"):
        pattern(text)


def test_a_range_that_goes_downwards_is_no_pattern() -> None:
    """It would fail when the first number comes."""
    with pytest.raises(ValueError, match="must ascend"):
        pattern("[5-2]")


@settings(max_examples=300)
@given(st.text("0123456789+*#?[]- ()/.!", max_size=12), st.text("0123456789+*#- ()", max_size=12))
def test_patterns_are_total_and_tidy(text: str, number: str) -> None:
    """What is taken as a pattern can be compared with anything, and is its own normal form."""
    try:
        tidy = pattern(text)
    except ValueError:
        return
    assert pattern(tidy) == tidy
    assert refusal(number, [tidy], [tidy]) is not None or not normal(number)


@given(st.text("0123456789", min_size=1, max_size=20), st.text(" -()/.", max_size=3))
def test_decoration_changes_nothing(digits: str, between: str) -> None:
    """Neither what is dialled nor what is compared."""
    written = between.join(digits)
    if "(0)" not in written:
        assert dialable(f"+{written}") == f"+{digits}"
    assert normal(written) == digits
    assert re.fullmatch(r"[0-9*#]*", normal(f"+{written}"))


@pytest.mark.alone
def test_many_patterns_cost_no_time_for_each_request() -> None:
    """Whoever may ask for calls asks as often as they like: hundreds of patterns are not made each time."""
    patterns = tuple(pattern(f"0049{number}*") for number in range(1_000_000, 1_002_000))
    refusal("1", patterns, patterns)
    started_s = time.process_time()
    for _ in range(100):
        assert fits("0049 1001999 5", patterns)
        assert refusal("0049 1002000 5", patterns, patterns) is not None
    assert time.process_time() - started_s < 2.0, "it was a minute"
