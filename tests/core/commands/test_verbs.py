"""What may stand in a request's fields, and what people are told when it names somebody who is not there."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from bridge.core.commands.fields import Flag, Number, Text
from bridge.core.commands.naming import GUESSED_AMONG, LONGEST_GUESS, SEARCHED, closest, find_user
from bridge.core.commands.verb import Context
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.presence import SetPresence
from bridge.core.model import PbxState
from bridge.core.numbers import dialable
from bridge.errors import CommandError
from tests.core.builders import ANNA, History, leg, user


def state() -> PbxState:
    """Three users; Anna has two calls."""
    people = (user(ANNA, "Anna"), user("g-bert", "Bert"), user("g-slash", "Slash", short_name="a/b"))
    return History().start(*people).see(leg(), leg(8, conference="c2")).state


def refusal(verb: str, **fields: object) -> tuple[str, str]:
    """The code and the sentence with which a plan is refused."""
    with pytest.raises(CommandError) as refused:
        VERBS[verb].plan(Context(state(), "hq"), fields)
    return refused.value.code, refused.value.message


@given(st.text(st.characters(exclude_categories=()), max_size=4))
@settings(max_examples=200)
def test_a_text_that_is_let_through_can_be_written_as_xml(value: str) -> None:
    """Or the request would break on its way to the PBX."""
    element = etree.Element("text")
    if Text().problem(value) is None:
        element.text = value

    assert element.text in {None, value}


@pytest.mark.parametrize("value", ["\x00", "\n", "\x1f", "a\ufffe", "\uffffz", "\ud800"])
def test_a_text_that_xml_cannot_carry_is_refused(value: str) -> None:
    """The noncharacters and half characters too, which JSON carries well."""
    assert Text().problem(value) == "contains a character that the PBX does not accept"


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        (Text(), "x" * 128, None),
        (Text(), "x" * 129, "is longer than 128 characters"),
        (Text(), 1, "must be a string"),
        (Text(words=("open", "")), "", None),
        (Text(words=("open", "")), "ajar", "must be one of open, "),
        (Flag(), False, None),
        (Flag(), 0, "must be true or false"),
        (Number(1, 127), 1, None),
        (Number(1, 127), 127, None),
        (Number(1, 127), 128, "must be a whole number from 1 to 127"),
        (Number(1, 127), True, "must be a whole number from 1 to 127"),
        (Number(1, 127), 1.0, "must be a whole number from 1 to 127"),
    ],
)
def test_kinds_of_fields(kind: Text | Flag | Number, value: object, problem: str | None) -> None:
    """Exact types and bounds; the sentence follows the field's name."""
    assert kind.problem(value) == problem


@given(st.text("0123456789+*#- ()./x\n", max_size=70))
def test_a_number_is_bare_digits_or_nothing(number: str) -> None:
    """What is dialled never holds anything else, and tidying it twice changes nothing."""
    digits = dialable(number)

    assert digits is None or re.fullmatch(r"\+?[0-9*#]{1,64}", digits)
    assert digits is None or dialable(digits) == digits


@pytest.mark.parametrize(
    ("number", "digits"),
    [
        ("0123", "0123"),
        ("+49 123/45-6", "+49123456"),
        ("*21#", "*21#"),
        ("", None),
        ("+", None),
        ("1+2", None),
        ("\u0661\u0662", None),
        ("1" * 65, None),
        ("12\n", None),
    ],
)
def test_numbers_people_write(number: str, digits: str | None) -> None:
    """Decoration goes; digits of other scripts, words and control characters are no number."""
    assert dialable(number) == digits


@pytest.mark.parametrize("name", ["a%2Fb", "a/b"])
def test_a_user_is_named_as_in_the_topic_or_plainly(name: str) -> None:
    """Both forms find the same one."""
    assert find_user(state(), "hq", name).guid == "g-slash"


def test_who_is_not_there_is_guessed() -> None:
    """Only where one is close."""
    assert refusal("call", user="anja", number="1") == (
        "unknown_user",
        "no user 'anja' on hq (did you mean 'anna'?)",
    )
    assert refusal("call", user="zoe", number="1") == ("unknown_user", "no user 'zoe' on hq")
    assert refusal("call", user="anna", to_user="bret")[1].endswith("(did you mean 'bert'?)")
    assert refusal("presence", user="")[0] == "unknown_user"


@pytest.mark.parametrize("name", ["Empfang", "EMPFANG", "Reception Desk", "reception desk"])
def test_who_is_called_by_a_name_for_people_is_guessed(name: str) -> None:
    """The long or the display name is no id, but it tells who is meant."""
    desk = user("g-desk", "Reception Desk", short_name="r1", display_name="Empfang")
    here = History().start(user(ANNA, "Anna"), desk).state

    with pytest.raises(CommandError) as refused:
        find_user(here, "hq", name)
    assert refused.value.message == f"no user '{name}' on hq (did you mean 'r1'?)"


def test_a_guess_takes_bounded_time() -> None:
    """A stranger chooses the name, the PBX how many are alike: neither may hold the bridge up for long."""
    crowd = [user(f"g-{at}", f"N{at}", short_name=f"u{at:03d}x") for at in range(2 * GUESSED_AMONG)]
    few, many = History().start(*crowd[:GUESSED_AMONG]).state, History().start(*crowd).state

    def guess(name: str, here: PbxState) -> str:
        with pytest.raises(CommandError) as refused:
            find_user(here, "hq", name)
        return refused.value.message.partition("did you mean ")[2]

    assert guess("u042y", few) == "'u042x'?)"
    assert guess("u042yyyy", few) == "", "more than a slip of typing"
    found = [at for at in range(2 * GUESSED_AMONG) if guess(f"u{at:03d}", many) == f"'u{at:03d}x'?)"]
    assert len(found) == GUESSED_AMONG
    longest = "u" * LONGEST_GUESS
    assert closest(longest[1:], [longest]) == closest(longest, [longest]) == longest
    assert closest(longest + "u", [longest]) is None


def test_a_wrong_name_does_not_hold_up_a_large_pbx() -> None:
    """A long name is suggested as it is written; for others a part of the users is looked at."""
    crowd = [user(f"g-{at}", f"N{at}", short_name=f"u{at}x") for at in range(SEARCHED + SEARCHED // 2)]
    here = History().start(*crowd).state

    def suggests(name: str, topic_id: str) -> bool:
        with pytest.raises(CommandError) as refused:
            find_user(here, "hq", name)
        return refused.value.message.endswith(f"(did you mean '{topic_id}'?)")

    assert all(suggests(f"N{at}", f"u{at}x") for at in (0, SEARCHED, len(crowd) - 1))
    assert not all(suggests(f"n{at}", f"u{at}x") for at in range(100))


def test_a_call_that_cannot_be_told_is_named() -> None:
    """None, several, over, or of somebody else."""
    assert refusal("clear", user="bert") == ("unknown_call", "'bert' on hq has no call")
    assert refusal("clear", user="anna") == (
        "unknown_call",
        "'anna' on hq has 2 calls; choose one with 'call'",
    )
    assert refusal("clear", call="e-99") == ("unknown_call", "no running call 'e-99' on hq")
    assert refusal("clear", user="bert", call="e-1") == ("unknown_call", "no running call 'e-1' on hq")
    assert refusal("clear", user="zoe", call="e-1")[0] == "unknown_user"


def test_a_presence_is_taken_over_as_it_is() -> None:
    """Nothing that was not asked for is set; available is the empty activity."""
    here = state()

    assert VERBS["presence"].plan(Context(here, "hq"), {"user": "anna"}) == SetPresence(
        here.users[ANNA], "", "", None, "tel:", im=False
    )
    assert VERBS["presence"].plan(
        Context(here, "hq"),
        {"user": "anna", "activity": "dnd", "note": "n", "status": "", "contact": "im:", "im": True},
    ) == SetPresence(here.users[ANNA], "dnd", "n", "", "im:", im=True)


@pytest.mark.parametrize("name", ["Nobody", "Nameless"])
def test_a_message_needs_a_number_or_a_short_name(name: str) -> None:
    """The PBX takes no long name here, and this one leads to neither."""
    here = History().start(user(ANNA, "Anna"), user("g-x", "Nameless", short_name="", number="")).state

    with pytest.raises(CommandError) as refused:
        VERBS["message"].plan(Context(here, "hq"), {"user": "anna", "name": name, "text": "Hello"})
    assert refused.value.code == "unknown_user"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"call": "e-1"}, "the user has 2 calls to choose from; name both with 'call' and 'to_call'"),
        ({"user": "anna"}, "the user has 3 calls to choose from; name both with 'call' and 'to_call'"),
        ({"user": "bert"}, "the user has 0 calls to choose from; name both with 'call' and 'to_call'"),
        ({"call": "e-1", "to_call": "e-99"}, "no running call 'e-99' on hq"),
        ({"user": "bert", "call": "e-1", "to_call": "e-2"}, "no running call 'e-1' on hq"),
    ],
)
def test_two_calls_that_cannot_be_told_are_named(fields: dict[str, object], problem: str) -> None:
    """Two, of one user, without a guess."""
    here = History().start().see(leg(), leg(8, conference="c2"), leg(9, conference="c3")).state

    with pytest.raises(CommandError) as refused:
        VERBS["transfer"].plan(Context(here, "hq"), fields)
    assert (refused.value.code, refused.value.message) == ("unknown_call", problem)
