"""Requests from the bus: both topic forms, bare values, codes in the contract's order, hostile input."""

import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.commands import checks, reply_topics
from bridge.core.commands import request as commands
from bridge.core.commands.answer import Answer, reply
from bridge.core.commands.callee import Callee
from bridge.core.commands.deadline import COMMAND_S, Deadline
from bridge.core.commands.dialling import DialRules
from bridge.core.commands.naming import find_user
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.request import Request
from bridge.core.commands.verb import Context
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.presence import SetPresence
from bridge.core.commands.verbs.resync import Resync
from bridge.core.message import Incoming
from bridge.core.model import Instant
from bridge.core.numbers import dialable
from bridge.core.rules import Scope
from bridge.core.topics import TopicId, Topics
from bridge.errors import CommandError
from tests.core.builders import ANNA, PEOPLE, History, leg, user
from tests.kit.request_forms import forms

TOPICS = Topics("innovaphone", "hq")
ROOT = "innovaphone/hq"
NOW = 1_795_000_000_000


def request(verb: str, payload: object, **more: Any) -> Request | Answer:
    """Parse a request on the verb's topic."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return commands.parse(Incoming(f"{ROOT}/command/{verb}", body, **more), TOPICS, NOW)


def of_user(verb: str, payload: bytes, user: str = "anna") -> Request | Answer:
    """Parse a request on the topic of a user."""
    return commands.parse(Incoming(f"{ROOT}/user/{user}/command/{verb}", payload), TOPICS, NOW)


def fields(parsed: Request | Answer) -> Any:
    """The fields of a good request."""
    assert isinstance(parsed, Request), parsed
    return parsed.fields


def code(parsed: object) -> str:
    """The code of a refusal."""
    assert isinstance(parsed, Answer | CommandError), parsed
    return parsed.code


@pytest.mark.parametrize(
    ("verb", "payload", "wanted"),
    [
        ("call", b" 0800 1234 ", {"user": "anna", "number": "0800 1234"}),
        ("presence", b"away", {"user": "anna", "activity": "away"}),
        ("presence", b"", {"user": "anna", "activity": ""}),
        ("clear", b"", {"user": "anna"}),
        ("clear", b"press", {"user": "anna"}),
        ("call", b'{"to_user": "bert"}', {"user": "anna", "to_user": "bert"}),
    ],
)
def test_values_on_the_topic_of_a_user(verb: str, payload: bytes, wanted: object) -> None:
    """A bare value where it is unambiguous, or JSON; the user is implied."""
    assert fields(of_user(verb, payload)) == wanted


@pytest.mark.parametrize(
    ("verb", "payload", "wanted"),
    [
        ("call", b"{", "malformed"),
        ("call", b"\xff", "malformed"),
        ("call", b"0800", "malformed"),
        ("call", b"[" * 60_000, "malformed"),
        ("call", b'{"a":' * 20_000, "malformed"),
        ("call", b" " * 70_000, "malformed"),
        ("call", b'{"number": NaN}', "malformed"),
        ("call", b'{"user": "\\ud800", "number": "1"}', "malformed"),
        ("cal", b"hello", "unknown_verb"),
        ("zzz", b"{}", "unknown_verb"),
        ("call", {"number": "1"}, "invalid"),
        ("call", {"user": "anna"}, "invalid"),
        ("call", {"user": "anna", "number": "1", "to_user": "bert"}, "invalid"),
        ("call", {"user": "anna", "number": "tel:1"}, "invalid"),
        ("call", {"user": "anna", "number": "1", "from_number": "x"}, "invalid"),
        ("call", {"user": 5, "number": "1"}, "invalid"),
        ("call", {"user": "anna", "number": "1" * 65}, "invalid"),
        ("call", {"user": "anna", "number": "1\n"}, "invalid"),
        ("call", {"user": "anna", "number": "1", "facility": True}, "invalid"),
        ("call", {"user": "anna", "number": "1", "facility": 1000}, "invalid"),
        ("call", {"user": "anna", "number": "1", "anonymous": 1}, "invalid"),
        ("call", {"user": "anna", "numbr": "1"}, "invalid"),
        ("call", {"user": "anna", "number": "1", "zzz": "1"}, "invalid"),
        ("call", {"id": 5, "user": "anna", "number": "1"}, "invalid"),
        ("call", {"id": "", "user": "anna", "number": "1"}, "invalid"),
        ("call", {"id": "x" * 129, "user": "anna", "number": "1"}, "invalid"),
        ("call", {"expires_at": "soon", "user": "anna", "number": "1"}, "invalid"),
        ("call", {"expires_at": 5, "user": "anna", "number": "1"}, "invalid"),
        ("call", {"expires_at": "2026-11-23T10:00:00", "user": "anna", "number": "1"}, "invalid"),
        ("clear", {}, "invalid"),
        ("clear", {"call": "x", "cause": 0}, "invalid"),
        ("presence", {"activity": "away"}, "invalid"),
        ("presence", {"user": "anna", "activity": "Away!"}, "invalid"),
        ("presence", {"user": "anna", "status": "ajar"}, "invalid"),
    ],
)
def test_what_is_wrong_has_a_code(verb: str, payload: object, wanted: str) -> None:
    """Checked in the contract's order; nothing raises."""
    assert code(request(verb, payload)) == wanted


def test_retained_comes_first_and_users_must_agree() -> None:
    """A retained request is refused whatever it says; a contradiction is invalid."""
    assert code(request("call", b"{", retain=True)) == "retained"
    assert code(of_user("call", b'{"user": "bert", "number": "1"}')) == "invalid"
    assert code(of_user("ping", b"{}")) == "invalid"
    assert code(of_user("ping", b"x")) == "malformed"


@pytest.mark.parametrize(
    "topic",
    [
        *(
            "innovaphone/hq/command/call",
            "innovaphone/other/x",
            "innovaphone/hq/state",
            "innovaphone/replyx/a",
            f"{ROOT}/response/mine",
            "zigbee2mqtt/bridge/request/restart",
            "home/r",
        ),
        *("$SYS/x", "a/+", "#", "", "x" * 257, "\u00e9" * 129, "a/" * 20, "a\x00", "a\x01b", "a\u200b"),
        *("innovaphone/reply/" + "a/" * 19, "innovaphone/reply"),
    ],
)
def test_a_response_topic_cannot_reach_our_own(topic: str) -> None:
    """Nobody may let the bridge write its own topics; the refusal goes the ordinary way."""
    refusal = request("ping", {"id": "a"}, response_topic=topic)

    assert code(refusal) == "invalid"
    assert refusal.address.topic == f"{ROOT}/response/ping"


def test_a_user_may_be_named_as_in_the_topic_or_plainly() -> None:
    """The body may repeat the user in either form; the topic decides."""
    for name in ("a%2Fb", "a/b"):
        payload = json.dumps({"user": name, "number": "1"}).encode()
        assert fields(of_user("call", payload, "a%2Fb"))["user"] == TopicId("a%2Fb")


@pytest.mark.parametrize(
    ("written", "dialled"),
    [("+49 (0)7031/73-009", "+49703173009"), ("(0)7031", "07031"), ("0 (0) 1", "001"), ("+(0)", None)],
)
def test_numbers_as_people_write_them(written: str, dialled: str | None) -> None:
    """The (0) of an international number is not dialled from abroad; elsewhere it is a digit."""
    assert dialable(written) == dialled


def test_a_reply_goes_where_the_request_wants_it() -> None:
    """MQTT 5 response topic and correlation data, QoS of the request."""
    topic = "innovaphone/reply/r"
    parsed = request("ping", {"id": "a"}, response_topic=topic, correlation=b"7", qos=0)
    message = reply(parsed.address, {"x": 1})
    deepest = "innovaphone/reply/" + "/".join("a" * 18)
    given = request("ping", b"", response_topic=deepest, correlation=b"x" * 256)
    heavy = request("ping", b'{"id":"h"}', response_topic=deepest, correlation=b"x" * 257)

    assert (message.topic, message.correlation, message.qos, message.retain) == (topic, b"7", 1, False)
    assert (given.address.topic, given.address.correlation) == (deepest, b"x" * 256)
    assert (code(heavy), heavy.address.id, heavy.address.correlation) == ("invalid", "h", None)


@pytest.mark.parametrize(
    ("pattern", "fits", "strange"),
    [
        ("home/reply", ["home/reply"], ["home/reply/a", "home/replyx", "xhome/reply"]),
        ("home/+/reply", ["home/a/reply", "home//reply"], ["home/reply", "home/a/b/reply"]),
        ("home/#", ["home", "home/a", "home/a/b"], ["homes", "away/home/a"]),
        ("home/reply-*", ["home/reply-", "home/reply-a.b"], ["home/reply-a/b", "home/reply"]),
        ("a.c/+", ["a.c/x"], ["abc/x"]),
        ("#", ["a", "a/b", "homeassistant/x"], ["", "$SYS/x", "innovaphone/hq/state", "innovaphone/other/x"]),
        ("*/#", ["a/b"], ["innovaphone/hq/user/anna/state", "innovaphone/hq/command/call"]),
        ("innovaphone/#", ["innovaphone/reply/a"], ["innovaphone/hq/info", "innovaphone", "a" * 257]),
    ],
)
def test_an_operator_may_allow_other_response_topics(
    pattern: str, fits: list[str], strange: list[str]
) -> None:
    """By patterns as in a subscription; never the rest of our own tree."""
    allowed = (reply_topics.pattern(pattern),)
    assert [topic for topic in fits if not reply_topics.may_reply_to(topic, TOPICS, allowed)] == []
    assert [topic for topic in strange if reply_topics.may_reply_to(topic, TOPICS, allowed)] == []
    answer = commands.parse(
        Incoming(f"{ROOT}/command/ping", b"", response_topic=fits[0]), TOPICS, NOW, allowed
    )
    assert isinstance(answer, Request)
    assert answer.address.topic == fits[0]


@pytest.mark.parametrize("pattern", ["", " ", "home/#/a", "home/a#", "home/+a", "$SYS/#", "a\0b", "*" * 4])
def test_patterns_of_response_topics_that_mean_nothing(pattern: str) -> None:
    """They are errors of the configuration."""
    with pytest.raises(ValueError, match="expected topics like home/reply"):
        reply_topics.pattern(pattern)


def test_expiry_is_the_earlier_of_both() -> None:
    """`expires_at` in any zone, or what is left of the message expiry."""
    late = request("ping", {"id": "a", "expires_at": "2020-01-01T00:00:00+01:00"}, expires_in_s=60)
    fresh = request("ping", b"", expires_in_s=60)
    assert isinstance(late, Request)
    assert isinstance(fresh, Request)

    def left_s(wanted: Request, at_ms: int) -> float:
        now = Instant(at_ms, 1.0)
        return Deadline(now, wanted.expires_ms).left_s(now)

    with pytest.raises(CommandError, match=r"^expired [0-9.]+ s ago; not executed$"):
        left_s(late, NOW)
    assert left_s(fresh, NOW) == COMMAND_S
    assert left_s(fresh, NOW + 59_000) == 1.0
    with pytest.raises(CommandError, match=r"^expired 0\.1 s ago; not executed$"):
        left_s(fresh, NOW + 60_100)


def test_permissions() -> None:
    """The verb first, then what it dials; without any rule an ordinary call goes."""
    parsed = request("call", {"user": "anna", "number": "0900 1"})
    nobody = request("call", {"user": "zoe", "number": "0900 1"})
    state = History().start().state
    assert isinstance(parsed, Request)
    assert isinstance(nobody, Request)

    def verdict(permissions: Permissions, wanted: Request = parsed) -> CommandError | None:
        return checks.forbidden(wanted, permissions, state)

    assert code(verdict(Permissions(frozenset({"ping"})))) == "not_permitted"
    assert code(verdict(Permissions(dialling=DialRules(deny=("0900*",))))) == "number_not_allowed"
    assert verdict(Permissions()) is None
    assert verdict(Permissions(), nobody) is None, "that nobody is there is found out in its turn"


def test_payloads_of_replies() -> None:
    """As docs/topics.md#replies has them."""
    parsed = request("call", {"id": "c-42", "user": "anna", "number": "1"})
    assert isinstance(parsed, Request)
    good = Answer(parsed.address, result={"call": "e-1"}).payload(0)
    bad = Answer(parsed.address, "refused", "no").payload(0)

    assert list(good) == ["schema", "id", "verb", "status", "time", "call"]
    assert list(bad) == ["schema", "id", "verb", "status", "code", "message", "retryable", "time"]


def test_plans() -> None:
    """What each verb wants done, as a value."""
    history = History().start(*PEOPLE, user("g-x", "Nobody", short_name="")).see(leg())
    state, call = history.state, history.state.calls[ANNA][0]

    def plan(verb: str, **given: object) -> object:
        return VERBS[verb].plan(Context(state, "hq"), given)

    place = plan("call", user="anna", number="+49 (0)1", anonymous=True, from_number="5", facility=3)
    assert isinstance(place, PlaceCall)
    assert (place.callee.number, place.anonymous, place.from_number, place.facility) == ("+491", True, "5", 3)
    assert isinstance(plan("call", user="anna", to_user="bert"), PlaceCall)
    by_name = plan("call", user="anna", to_user="g-x")
    assert isinstance(by_name, PlaceCall)
    assert by_name.callee == Callee(name="Nobody")
    assert plan("clear", call=call.id) == HangUp(call, 26)
    assert plan("clear", user="anna", cause=17) == HangUp(call, 17)
    assert plan("clear", user="anna", call=call.id) == HangUp(call, 26)
    presence = plan("presence", user="anna", activity="available", status="open")
    assert isinstance(presence, SetPresence)
    assert (presence.activity, presence.status, presence.contact) == ("", "open", "tel:")
    assert (plan("resync"), plan("ping")) == (Resync(), Ping())


@pytest.mark.parametrize(
    ("verb", "given_fields", "wanted"),
    [
        ("call", {"user": "ann", "number": "1"}, "unknown_user"),
        ("call", {"user": "zzz", "number": "1"}, "unknown_user"),
        ("clear", {"call": "e-99"}, "unknown_call"),
        ("clear", {"user": "bert"}, "unknown_call"),
        ("clear", {"user": "anna"}, "unknown_call"),
        ("clear", {"user": "bert", "call": "e-1"}, "unknown_call"),
    ],
)
def test_users_and_calls_that_are_not_there(verb: str, given_fields: Any, wanted: str) -> None:
    """With a guess where one is close."""
    state = History().start().see(leg(), leg(8, conference="c2")).state

    with pytest.raises(CommandError) as refusal:
        VERBS[verb].plan(Context(state, "hq"), given_fields)

    assert refusal.value.code == wanted


@pytest.mark.parametrize("verb", [verb for verb, its in VERBS.items() if "user" in its.fields])
@pytest.mark.parametrize("dots", [False, True])
def test_on_the_topic_of_a_user_the_topic_decides(verb: str, dots: bool) -> None:  # noqa: FBT001  (a case)
    """A right on the topic of one user reaches no other, however names are written, in topic and body."""
    names = ("a/b", "a%2Fb", "a%252Fb", "c.d", "c%2Ed", "%", "%25", "e f")
    people = [user(f"g-{at}", f"N{at}", short_name=name, number="") for at, name in enumerate(names)]
    least = next(form for form in forms(verb) if "user" in form)
    bare = json.dumps({name: value for name, value in least.items() if name != "user"})
    everybody = History(Scope(encode_dots=dots)).start(*people).state
    for guid, topic in everybody.topics.items():
        others = History(Scope(encode_dots=dots)).start(*(each for each in people if each.guid != guid)).state
        for name in ("", topic, unquote(topic), *names):
            payload = json.dumps({"user": name} | json.loads(bare)) if name else bare
            parsed = of_user(verb, payload.encode(), topic)
            if isinstance(parsed, Request):
                assert find_user(everybody, "hq", fields(parsed)["user"]).guid == guid
                with pytest.raises(CommandError, match="no user"):
                    VERBS[verb].plan(Context(others, "hq", scope=Scope(forwards=True)), parsed.fields)
            else:
                assert (parsed.code, parsed.message) == ("invalid", "'user' contradicts the topic")


@pytest.mark.parametrize("verb", ["presence", "clear"])
def test_a_refusal_repeats_no_long_topic(verb: str) -> None:
    """A topic may have 64 KiB, and replies are remembered. The longest name that a field takes fits."""
    assert isinstance(of_user(verb, b'{"id":"c-1"}', "%F0%9F%94%94" * 128), Request)
    refused = of_user(verb, b'{"id":"c-1"}', "a" * 60_000)
    assert isinstance(refused, Answer)
    assert (refused.code, len(refused.message) < 200) == ("invalid", True)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.sampled_from([*VERBS, "x", ""]))
def test_parsing_is_total(payload: bytes, verb: str) -> None:
    """Any bytes give a request or a refusal."""
    for topic in (f"{ROOT}/command/{verb}", f"{ROOT}/user/anna/command/{verb}", f"x/{verb}"):
        parsed = commands.parse(Incoming(topic, payload), TOPICS, NOW)
        assert isinstance(parsed, Request | Answer)


def test_topics_are_told_apart() -> None:
    """Only our own topics are read, and only in their places."""
    assert TOPICS.user_in_state(f"{ROOT}/user/a%2Fb/state") == "a%2Fb"
    assert TOPICS.user_in_state(f"{ROOT}/state") is None
    assert TOPICS.user_in_state("user/anna/state") is None
    assert TOPICS.command_in(f"{ROOT}/state") is None
    assert (TOPICS.info, TOPICS.user_event("a")) == (f"{ROOT}/info", f"{ROOT}/user/a/event")
    assert TOPICS.commands == (f"{ROOT}/command/+", f"{ROOT}/user/+/command/+")
    assert TOPICS.user_state("a") == f"{ROOT}/user/a/state"
    assert (TOPICS.state, TOPICS.user_states) == (f"{ROOT}/state", f"{ROOT}/user/+/state")


@pytest.mark.parametrize(
    ("verb", "fields", "named"),
    [
        ("transfer", {"to_call": "e-2"}, ("e-2",)),
        ("media", {"user": "anna", "to_call": "e-2"}, ("anna", "e-2")),
        ("pickup", {"user": "anna", "from_user": "01711234567"}, ("anna", "01711234567")),
        ("clear", {"call": "01711234567"}, ("01711234567",)),
        ("message", {"user": "anna", "text": "hello", "to_user": "bert"}, ("anna",)),
    ],
)
def test_users_and_calls_that_a_request_names(
    verb: str, fields: dict[str, Any], named: tuple[str, ...]
) -> None:
    """A refusal may quote who talks there: in whichever field it is named."""
    request = commands.parse(Incoming(f"{ROOT}/command/{verb}", json.dumps(fields).encode()), TOPICS, NOW)

    assert request.address.named == named
