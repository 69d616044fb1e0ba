"""What may be dialled: the same for numbers, users and names, in front of every verb, in any spelling."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core import fold
from bridge.core.commands import checks, dialling
from bridge.core.commands.answer import Address
from bridge.core.commands.dialling import DialRules
from bridge.core.commands.fields import Dials, FieldKind, Flag, Number, Text
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.request import Request
from bridge.core.commands.verb import Context, Fields
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.model import PbxState
from bridge.core.numbers import normal, pattern
from bridge.core.records import CallState, Party
from bridge.core.rules import Rule, Scope
from bridge.core.topics import TopicId
from bridge.core.value import evolve
from bridge.errors import CommandError
from tests.core.builders import ANNA, BERT, PEOPLE, SCOPE, History, leg, user

FOLK = (
    *PEOPLE,
    evolve(PEOPLE[2], guid="g-line", name="Line", short_name="line", number="0"),
    user("g-carl", "Carl", number="0900123", type="ep"),
    user("g-dora", "Dora", number="", type="ep", short_name=""),
    user("g-queue", "Hotline", number="500", type="waiting"),
    user("g-old", "Old", number="23"),
)
"""Anna 21 and Bert 22; two trunks, one with a number; Carl behind a costly number; Dora without any."""
SEEN = replace(SCOPE, users=(Rule(exclude=True, short_name="hidden"),))
HIDDEN = user("g-hidden", "Hidden Phone", short_name="hidden", number="24")
OUT = leg(8, user=BERT, to_user=False, remote=Party("0900123", short_name="trunk"), conference="c2")
STATE = History(SEEN).start(*FOLK, HIDDEN).see(leg(), OUT).state
"""Anna has a call from outside, Bert one that he makes, for the verbs that act on one."""
HARMLESS = {
    *("user", "call", "cause", "activity", "note", "status", "contact", "after", "limit", "location"),
    "park.position",
    *("towards", "text"),
    *("display.name", "keypad.display"),  # shown, not dialled
}
"""Fields that make nothing ring. So do flags: they name nobody. Others have a part in the decision."""
ASKING = {
    "admin.xml",
    *("find.name", "find.short_name", "find.number", "localize.number"),
    *("reachable.number", "reachable.short_name"),
}
"""Those of queries, which only ask; and of `admin`, whose right is to configure everything."""
CLOSED = DialRules(deny=("*",), types=frozenset({"nothing"}))
SAMPLES: Mapping[Dials, object] = {
    Dials.CALLER: "anna",
    Dials.NUMBER: "0900123",
    Dials.USER: "carl",
    Dials.NAME: "Carl",
    Dials.FROM_NUMBER: "110",
    Dials.FACILITY: 21,
    Dials.MORE_DIGITS: "0900123",
    Dials.KEYS: "0900123",
    Dials.TONES: "1",
    Dials.SHOWN_NUMBER: "110",
    Dials.JOINED: "e-2",
    Dials.TAKEN: "g",
}
OF_BERT = frozenset({Dials.MORE_DIGITS, Dials.TONES, Dials.JOINED})
"""What is judged by a call that is running: Bert has one with the trunk."""


def denial(rules: DialRules, verb: str = "call", state: PbxState = STATE, **fields: Any) -> str:
    """The code with which Anna's request is refused at the door, the same as in its turn; ok for none."""
    given = {"user": "anna", **fields}
    request = Request(Address("t", verb), given)
    refusal = checks.forbidden(request, Permissions(frozenset({verb}), rules), state)
    try:
        checks.plan(request, Context(state, "hq", scope=Scope(forwards=True)), rules)
    except CommandError as error:
        late = str(error.code)
    else:
        late = "ok"
    if refusal is None:
        assert late in {"ok", "unknown_user"}
        return late
    assert late in {refusal.code, "unknown_user", "unknown_call"}
    return refusal.code


def unjudged(table: Mapping[str, Mapping[str, FieldKind]]) -> set[str]:
    """The fields that nobody has said of whether they make a telephone ring."""
    return {
        f"{verb}.{name}"
        for verb, fields in table.items()
        for name, kind in fields.items()
        if kind.dials is None
        and not isinstance(kind, Flag)
        and not {name, f"{verb}.{name}"} & (HARMLESS | ASKING)
    }


def test_no_verb_forgets_the_decision() -> None:
    """Each field of each verb has its part, or makes nothing ring; a verb that forgets is found."""
    assert unjudged({verb: its.fields for verb, its in VERBS.items()}) == set()
    assert unjudged({"redirect": {"call": Text(), "target": Text()}}) == {"redirect.target"}
    assert unjudged({"facility": {"call": Text(), "code": Number(0, 999)}}) == {"facility.code"}


@pytest.mark.parametrize(
    ("verb", "field"),
    [(verb, name) for verb, its in VERBS.items() for name, kind in its.fields.items() if kind.dials],
)
def test_the_decision_stands_in_front_of_every_verb(verb: str, field: str) -> None:
    """Whatever dials is refused by rules that let nothing through, at the door and in its turn."""
    kinds = VERBS[verb].fields
    part = kinds[field].dials
    assert part is not None
    given: dict[str, Any] = {"user": "bert" if part in OF_BERT else "anna", field: SAMPLES[part]}
    about_caller = part in {Dials.CALLER, Dials.TAKEN}
    rules = CLOSED if about_caller else replace(CLOSED, types=frozenset({"ep"}))

    assert denial(rules, verb, **given) in {"number_not_allowed", "not_permitted"}


CALLS = (
    leg(1, CallState.CONNECTED),
    leg(2, CallState.CONNECTED, to_user=False, remote=Party("22", short_name="bert"), conference="c2"),
    leg(3, CallState.CONNECTED, to_user=False, remote=Party("0900123"), conference="c3"),
    leg(4, to_user=False, remote=Party("0"), conference="c4"),
)
"""Anna talks to somebody outside, to Bert, to a costly number, and dials one more."""


@pytest.mark.parametrize("verb", ["transfer", "media"])
@pytest.mark.parametrize(
    ("talks", "fields", "code"),
    [
        ((0, 1), {}, "ok"),
        ((0, 1), {"call": "e-1", "to_call": "e-2"}, "ok"),
        ((0, 2), {}, "number_not_allowed"),
        ((0, 2), {"call": "e-1"}, "number_not_allowed"),
        ((0, 2), {"to_call": "e-1"}, "number_not_allowed"),
        ((0, 2, 1), {"user": "anna", "call": "e-1", "to_call": "e-3"}, "ok"),
        ((0, 2, 1), {"call": "e-1", "to_call": "e-2"}, "number_not_allowed"),
    ],
)
def test_a_caller_is_joined_only_with_whom_may_be_dialled(
    verb: str, talks: tuple[int, ...], fields: Any, code: str
) -> None:
    """A call to outside was dialled by somebody; a call from outside has a number that nobody dialled."""
    state = History().start(*FOLK).see(*(CALLS[at] for at in talks)).state

    assert denial(ONLY_INSIDE, verb, state, **fields) == code
    assert denial(DialRules(), verb, state, **fields) == "ok"


def test_a_call_to_nobody_known_is_joined_with_nobody() -> None:
    """The far end that the PBX does not name may be anybody."""
    hidden = leg(5, CallState.CONNECTED, to_user=False, remote=Party(name="X"), conference="c5")
    state = History().start(*FOLK).see(CALLS[0], hidden).state

    assert denial(ONLY_INSIDE, "transfer", state) == "number_not_allowed"
    assert denial(DialRules(), "transfer", state) == "not_permitted"
    assert denial(DialRules(types=frozenset({"*"})), "transfer", state) == "ok"
    assert denial(ONLY_INSIDE, "transfer", state, user="zoe") == "unknown_user"


@pytest.mark.parametrize(
    ("talk", "number", "code"),
    [
        (3, "171", "ok"),
        (3, "900", "number_not_allowed"),
        (3, "112", "number_not_allowed"),
        (0, "0171", "ok"),
        (0, "171", "number_not_allowed"),
    ],
)
def test_digits_are_judged_with_those_before(talk: int, number: str, code: str) -> None:
    """Overlap dialling: what is added makes a number that must be allowed as a whole."""
    state = History().start(*FOLK[:2]).see(CALLS[talk]).state

    assert denial(DialRules(allow=("0171",)), "keypad", state, number=number) == code


def dialling_so_far(digits: str, state: CallState = CallState.SETUP) -> PbxState:
    """Anna dials these digits, or has dialled them."""
    return History().start(*FOLK[:2]).see(leg(4, state, to_user=False, remote=Party(digits))).state


@pytest.mark.parametrize(
    ("before", "digits"),
    [
        ("0", "112" + "0" * 61),
        ("0", "0900" + "1" * 60),
        ("0", "+112"),
        ("0", "+4917112345"),
        ("00", "+"),
        ("0", "1" * 20),
        ("r0", "900123"),
        ("xxx", "17112345"),
        ("+49", "(0)1"),
        ("1", "12"),
    ],
)
def test_a_number_that_cannot_be_judged_is_not_completed(before: str, digits: str) -> None:
    """A whole that is too long, or no number, fits no rule, so it passes none."""
    rules = DialRules(deny=("0900*", "00490*"))

    for field in ("number", "key"):
        assert denial(rules, "keypad", dialling_so_far(before), **{field: digits}) == "number_not_allowed"


@pytest.mark.parametrize("verb", ["transfer", "media"])
@pytest.mark.parametrize("number", ["r0900123", "xxx123", " ", "\xa00900123", "0" * 65, "0900@acme.example"])
def test_nobody_is_joined_with_a_number_that_cannot_be_judged(verb: str, number: str) -> None:
    """The PBX may know what it means; the rules do not."""
    strange = leg(5, CallState.CONNECTED, to_user=False, remote=Party(number), conference="c5")
    state = History().start(*FOLK).see(CALLS[0], strange).state

    for rules in (DialRules(), DialRules(deny=("0900*",)), DialRules(allow=("*",))):
        assert denial(rules, verb, state) == "number_not_allowed"


def test_keys_are_judged_alone_and_with_the_digits_before() -> None:
    """The network may read them as a code of its own, or as more digits. Never as both with a number."""
    state = dialling_so_far("01")

    for rules, key, code in (
        (DialRules(), "12", "number_not_allowed"),
        (DialRules(), "112", "number_not_allowed"),
        (DialRules(), "71", "ok"),
        (DialRules(allow=("71",)), "71", "number_not_allowed"),
        (DialRules(allow=("0171",)), "71", "number_not_allowed"),
        (DialRules(allow=("71", "0171")), "71", "ok"),
        (DialRules(allow=("[*]21#",)), "*21#", "number_not_allowed"),
        (DialRules(allow=("[*]21#", "*[*]21#")), "*21#", "ok"),
    ):
        assert denial(rules, "keypad", state, key=key) == code
    check = VERBS["keypad"].check
    assert "exclude each other" in (check({"user": "anna", "number": "1", "key": "12"}) or "")
    assert check({"user": "anna", "number": "1", "key": ""}) is None


def test_tones_are_judged_while_a_number_is_dialled() -> None:
    """Whether they dial is up to the PBX; once the call is connected they are for whoever answered."""
    rules = DialRules(deny=("0900*",))

    for state in (CallState.SETUP, CallState.RINGING, CallState.DISCONNECTING):
        dialled = dialling_so_far("0", state)
        for digits in ("112", "900123", "*21#", "A", "1" * 20):
            assert denial(rules, "dtmf", dialled, digits=digits) == "number_not_allowed"
        assert denial(rules, "dtmf", dialled, digits="171") == "ok"
    assert denial(rules, "dtmf", dialling_so_far("0", CallState.CONNECTED), digits="*112#A") == "ok"
    assert denial(rules, "dtmf", History().start(*FOLK[:2]).see(leg()).state, digits="112") == "ok"


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["", "0", "00", "9", "0049", "*31#", "#"]),
    st.one_of(st.sampled_from(["112", "110", "0900123", "19", "171"]), st.text("0129*#", max_size=90)),
    st.text("019*#", max_size=70),
    st.integers(1, 90),
    st.text(" -()./", max_size=3),
    st.sampled_from(["", "+"]),
)
def test_what_is_refused_as_a_whole_is_refused_in_parts(
    before: str, middle: str, after: str, at: int, decoration: str, plus: str
) -> None:
    """Digits that complete a number, in any split, spelling and length, do what the whole number does."""
    whole = before + middle + after
    dialled, rest = whole[:at], whole[at:]
    if not rest:
        return
    state = dialling_so_far(dialled)
    written = plus + decoration + decoration.join(rest)
    for rules in (DialRules(), DialRules(deny=("0900*", "19*")), DialRules(allow=("0171", "*"))):
        judged = denial(rules, "call", state, number=whole)
        for verb, field, digits in (
            ("keypad", "number", written),
            ("keypad", "key", written),
            ("dtmf", "digits", rest),
        ):
            added = denial(rules, verb, state, **{field: digits})
            assert added == "number_not_allowed" if plus and field != "digits" else judged in {"ok", added}


def added(state: PbxState, verb: str, **fields: object) -> str:
    """The code with which digits for Anna's call are refused in their turn; ok for none."""
    try:
        checks.plan(
            Request(Address("t", verb), {"user": "anna", **fields}), Context(state, "hq"), DialRules()
        )
    except CommandError as error:
        return error.code
    return "ok"


MORE: tuple[tuple[str, dict[str, object]], ...] = (
    ("keypad", {"number": "2"}),
    ("keypad", {"key": "2"}),
    ("dtmf", {"digits": "2"}),
)


@pytest.mark.parametrize(("verb", "fields"), MORE)
@pytest.mark.parametrize("reported", ["", "0"])
def test_digits_are_added_only_to_those_that_are_known(reported: str, verb: str, fields: Any) -> None:
    """11 and then 2 are 112, also before the PBX reports the 11. What it has reported is judged again."""
    dialled = leg(4, to_user=False, remote=Party(reported, "Carrier"))
    history = History().start(*FOLK[:2]).see(dialled)
    sent = history.state = fold.mark_added(history.state, history.state.calls[ANNA][0], "11")

    assert added(sent, verb, **fields) == "rate_limited"
    assert added(sent, "keypad", display="Hello") == "ok"
    for so_far, code in (("1", "rate_limited"), ("11", "number_not_allowed"), ("115", "ok")):
        record = evolve(dialled, remote=Party(reported + so_far, "Carrier"))
        assert added(history.see(record).state, verb, **fields) == code
    through = fold.mark_added(history.state, history.state.calls[ANNA][0], "3")
    assert added(through, verb, **fields) == "rate_limited"
    history.state = through
    assert added(history.see(evolve(dialled, state=CallState.CONNECTED)).state, verb, **fields) == "ok"
    assert not fold.mark_added(History().start().state, sent.calls[ANNA][0], "1").calls


def test_codes_for_the_network_are_feature_codes() -> None:
    """They divert calls and more, so each is listed."""
    assert denial(DialRules(), "keypad", key="*21*0900#") == "number_not_allowed"
    assert denial(DialRules(allow=("[*]21#",)), "keypad", key="*21#") == "ok"
    assert denial(DialRules(), "keypad", display="Hello") == "ok"


def test_a_trunk_gets_no_digits() -> None:
    """Behind it they dial, past every list."""
    requests: tuple[tuple[str, dict[str, Any]], ...] = (
        ("dtmf", {"digits": "0900"}),
        ("keypad", {"number": "1"}),
    )
    for verb, fields in requests:
        assert denial(DialRules(), verb, user="bert", **fields) == "not_permitted"
        assert denial(DialRules(types=frozenset({"*"})), verb, user="bert", **fields) == "ok"
        assert denial(DialRules(), verb, user="anna", **fields) == "ok"


def test_a_shown_number_is_true_or_listed() -> None:
    """The person at the phone believes it, and calls it back."""
    assert denial(CLOSED, "display", number="01-23", name="ACME") == "ok", "it is that of the caller"
    assert denial(DialRules(), "display", number="110") == "number_not_allowed"
    assert denial(DialRules(from_numbers=("110",)), "display", number="110") == "ok"
    assert denial(CLOSED, "display", name="ACME") == "ok"


def test_a_trunk_picks_nothing_up() -> None:
    """It would take the call outside."""
    assert denial(DialRules(), "pickup", user="trunk") == "not_permitted"
    assert denial(ONLY_INSIDE, "pickup", from_user="hotline") == "ok", "nobody is dialled"


def test_a_new_verb_is_judged_by_its_kinds_alone() -> None:
    """Fields of other names, several of a kind: none of it is written for one verb."""
    kinds = {name: Text(dials=Dials.NUMBER) for name in ("always", "busy")}
    for fields, code in (({"always": "21", "busy": "0900"}, "number_not_allowed"), ({"busy": "21"}, None)):
        wanted = dialling.target_of(kinds, fields, STATE)
        assert wanted is not None
        found = dialling.may_dial(wanted, DialRules(allow=("2?",)))
        assert (found and found.code) == code
    assert dialling.target_of({"user": Text(dials=Dials.CALLER), "note": Text()}, {}, STATE) is None


ONLY_INSIDE = DialRules(allow=("2?",))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"number": "22"}, "ok"),
        ({"to_user": "bert"}, "ok"),
        ({"name": "Bert Ypsilon"}, "ok"),
        ({"number": "0900123"}, "number_not_allowed"),
        ({"to_user": "carl"}, "number_not_allowed"),
        ({"name": "Carl"}, "number_not_allowed"),
        ({"to_user": "g-dora"}, "number_not_allowed"),
        ({"name": "Dora"}, "number_not_allowed"),
        ({"name": "Hidden Phone"}, "number_not_allowed"),
        ({"name": "0900123"}, "number_not_allowed"),
        ({"name": "bert ypsilon"}, "number_not_allowed"),
        ({"number": "22", "name": "", "to_user": ""}, "ok"),
        ({"to_user": "trunk"}, "not_permitted"),
        ({"name": "Trunk"}, "not_permitted"),
        ({"number": "0"}, "not_permitted"),
        ({"number": "(0)"}, "not_permitted"),
        ({"user": "trunk", "number": "21"}, "not_permitted"),
        ({"to_user": "hidden"}, "unknown_user"),
        ({"to_user": "nobody"}, "unknown_user"),
        ({"user": "nobody", "number": "21"}, "unknown_user"),
        ({"user": "nobody", "number": "0900"}, "number_not_allowed"),
    ],
)
def test_a_number_is_judged_however_it_is_reached(fields: Any, code: str) -> None:
    """By itself, as a user, by a name; an object whose number is not known has none that is allowed."""
    assert denial(ONLY_INSIDE, **fields) == code


@pytest.mark.parametrize(
    ("types", "fields", "code"),
    [
        (("ep",), {"to_user": "bert"}, "ok"),
        (("ep",), {"to_user": "trunk"}, "not_permitted"),
        (("ep",), {"number": "500"}, "not_permitted"),
        (("ep",), {"to_user": "hotline"}, "not_permitted"),
        (("ep",), {"to_user": "old"}, "not_permitted"),
        (("ep",), {"name": "Hidden Phone"}, "not_permitted"),
        (("ep", "waiting"), {"to_user": "hotline"}, "ok"),
        (("ep", "waiting"), {"to_user": "trunk"}, "not_permitted"),
        (("ep", ""), {"to_user": "old"}, "ok"),
        (("gw", "ep"), {"user": "trunk", "number": "22"}, "ok"),
        (("gw",), {"user": "trunk", "to_user": "bert"}, "not_permitted"),
        (("*",), {"user": "trunk", "to_user": "hotline"}, "ok"),
        (("*",), {"name": "Hidden Phone"}, "ok"),
        ((), {"to_user": "bert"}, "not_permitted"),
    ],
)
def test_callers_and_callees_are_phones(types: tuple[str, ...], fields: Any, code: str) -> None:
    """Unless the configuration says more; a trunk is the outside line itself."""
    assert denial(DialRules(types=frozenset(types)), **fields) == code


def test_a_user_calls_itself_by_another_spelling() -> None:
    """The caller of a topic is exactly that one, though the callee is written the same."""
    people = (user("g-1", "One", short_name="a/b", number="21", type="gw"), *PEOPLE)
    state = History().start(*people, user("g-2", "Two", short_name="a%2Fb", number="22", type="ep")).state
    wanted = dialling.target_of(VERBS["call"].fields, {"user": TopicId("a/b"), "to_user": "a/b"}, state)

    assert wanted is not None
    assert (wanted.callers, wanted.unknown) == ((), ("a/b",)), "no topic has a slash in its level"
    assert [record.name for record in wanted.callees] == ["One"]


def test_what_is_denied_is_denied_to_users_and_names_too() -> None:
    """Without a list of what is allowed."""
    rules = DialRules(deny=("0900*",))

    assert denial(rules, to_user="carl") == denial(rules, name="Carl") == "number_not_allowed"
    assert denial(rules, name="Hidden Phone") == "number_not_allowed", "its number is not known"
    assert denial(rules, to_user="bert") == denial(rules, to_user="g-dora") == "ok"


def test_who_is_called_is_judged_by_the_number_of_the_moment() -> None:
    """A request that waited is judged again: its callee has another number by then."""
    moved = History().start(*FOLK).start(*FOLK[:1], evolve(FOLK[1], number="0900")).state

    assert denial(ONLY_INSIDE, to_user="bert") == "ok"
    with pytest.raises(CommandError, match="does not permit this number"):
        checks.plan(
            Request(Address("t", "call"), {"user": "anna", "to_user": "bert"}),
            Context(moved, "hq"),
            ONLY_INSIDE,
        )


@pytest.mark.parametrize("code", [1, 2, 3, 8, 14, 19, 21, 22, 36, 999])
def test_facilities_are_refused_unless_they_are_listed(code: int) -> None:
    """Some listen in or open a microphone; 0 is an ordinary call."""
    assert denial(DialRules(), number="22", facility=code) == "not_permitted"
    assert (
        denial(DialRules(facilities=frozenset({code + 1, 0})), number="22", facility=code) == "not_permitted"
    )
    assert denial(DialRules(facilities=frozenset({code})), number="22", facility=code) == "ok"
    assert denial(DialRules(), number="22", facility=0) == "ok"


def test_a_caller_number_is_refused_unless_it_is_listed() -> None:
    """And goes on in its normal form, in which it was compared."""
    rules = DialRules(from_numbers=(pattern("+49 7031 73-*"),))

    assert denial(DialRules(), number="22", from_number="110") == "number_not_allowed"
    assert denial(DialRules(allow=("*",)), number="22", from_number="22") == "number_not_allowed"
    assert denial(rules, number="22", from_number="110") == "number_not_allowed"
    assert denial(rules, number="22", from_number="+49703173" + "0" * 20) == "number_not_allowed"
    assert denial(rules, number="22", from_number="") == "ok"
    wanted = {"user": "anna", "number": "22", "from_number": "+49 (0) 7031/73-009"}
    action = checks.plan(Request(Address("t", "call"), wanted), Context(STATE, "hq"), rules)
    assert isinstance(action, PlaceCall)
    assert action.from_number == "0049703173009"


@pytest.mark.parametrize("number", ["2*0900", "21#0900", "2" * 21, "2" * 60, "2 - " * 12 + "2*", "*2", "#2"])
def test_a_wildcard_has_an_end(number: str) -> None:
    """It stands for digits, and for no more than a number in the world can have."""
    for allow in (("2*",), ("*",), ("2*", "2?"), ()):
        assert denial(DialRules(allow=allow), number=number) == "number_not_allowed"


def test_how_long_a_number_may_be() -> None:
    """Twenty digits, unless the configuration says otherwise; a pattern without a star has a length."""
    longest = "00" + "2" * 18
    assert denial(DialRules(), number=longest) == denial(DialRules(), number="+" + "2" * 18) == "ok"
    assert denial(DialRules(), number=longest + "2") == "number_not_allowed"
    assert denial(DialRules(longest=21), number=longest + "2") == "ok"
    assert denial(DialRules(longest=5), number="222222") == "number_not_allowed"
    assert denial(DialRules(allow=("2?",)), number="222") == "number_not_allowed"


SPELLINGS = ["{}", " {}", "0{}", "0-{}", "(0){}", "00{}", "+{}", "0049{}", "+49 {}", "+49 (0) {}", "00049{}"]
CODED = ["*31#{}", "#31#0{}", "{}#", "{}*", "{}#5", "*{}", "*21*0{}#"]


@pytest.mark.parametrize("spelling", [*SPELLINGS, *CODED])
@pytest.mark.parametrize("service", sorted(dialling.EMERGENCY))
def test_an_emergency_number_must_be_named(service: str, spelling: str) -> None:
    """No wildcard lets it through, in no spelling; the same digits written out in the list do."""
    number = spelling.format(service)
    written = normal(number).replace("*", "[*]")
    wide = ("*", "?" * 3, "0*", "[*]*[*]*#", "[*]*#*", "#*#*", "*#", "*[*]", "*#?", "[*]*")

    assert denial(DialRules(), number=number) == "number_not_allowed"
    assert denial(DialRules(allow=wide), number=number) == "number_not_allowed"
    nearly = pattern(written.replace(service, f"{service[:-1]}[0-9]"))
    assert denial(DialRules(allow=(nearly,)), number=number) == "number_not_allowed"
    assert denial(DialRules(allow=(pattern(written),)), number=number) == "ok"
    assert denial(DialRules(allow=(pattern(written),), deny=("*",)), number=number) == "number_not_allowed"


@pytest.mark.parametrize(
    "number", ["1123", "2110", "0911 12345", "0999123", "+49 911 1234", "0110110", "11", "0049"]
)
def test_what_only_looks_like_one(number: str) -> None:
    """Extensions and area codes that hold the digits are ordinary numbers."""
    assert denial(DialRules(), number=number) == "ok"


def test_emergency_numbers_and_outside_lines_of_an_installation() -> None:
    """Both can be set; an extension with such a number is one too, however it is reached."""
    swiss = DialRules(emergency=dialling.EMERGENCY | {"144"}, outside_line=("9", "77"))
    people = (*PEOPLE, user("g-144", "Ward", number="144", type="ep"))
    state = History().start(*people).state

    for number in ("144", "9144", "77144", "977144", "9112"):
        assert denial(swiss, number=number) == "number_not_allowed"
    assert denial(swiss, number="0144") == denial(DialRules(), number="144") == "ok"
    assert denial(DialRules(outside_line=()), number="0112") == "ok"
    assert denial(DialRules(outside_line=(), emergency=frozenset()), number="112") == "ok"
    assert denial(swiss, state=state, to_user="ward") == "number_not_allowed"
    assert denial(replace(swiss, allow=("144",)), state=state, name="Ward") == "ok"


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "user": st.sampled_from([*STATE.topics.values(), "zoe", ""]),
        "number": st.text("0129+*#() -", max_size=30),
        "to_user": st.sampled_from([*STATE.topics.values(), "zoe", ""]),
        "name": st.sampled_from([*(each.name for each in FOLK), "Hidden Phone", "x", ""]),
        "from_number": st.text("012+*#", max_size=9),
        "facility": st.integers(0, 999),
    },
)


@settings(max_examples=400)
@given(FIELDS, st.lists(st.sampled_from(["2?", "0*", "[*]21#", "112", "*"]), max_size=3))
def test_nothing_passes_that_the_rules_do_not_name(fields: Fields, allow: list[str]) -> None:
    """The decision is total, and what it lets through is a phone, with a number that fits, and code 0."""
    rules = DialRules(allow=tuple(allow))
    wanted = dialling.target_of(VERBS["call"].fields, fields, STATE)
    assert wanted is not None
    if dialling.may_dial(wanted, rules) is not None:
        return
    assert not any(wanted.facilities)
    assert wanted.from_numbers == wanted.unknown == wanted.strangers == ()
    assert {each.type for each in (*wanted.callers, *wanted.callees)} <= {"ep"}
    assert not {normal(number) for number in wanted.numbers} & {"110", "0112", "00112", "0049110"}
    assert all(len(normal(number)) <= dialling.LONGEST for number in wanted.numbers)
    if "112" not in allow:
        assert "112" not in {normal(number) for number in wanted.numbers}
