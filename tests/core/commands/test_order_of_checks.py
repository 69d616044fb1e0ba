"""A request with several faults: the code that comes first in the contract is the one that is told."""

from typing import Any

import pytest

from bridge.core.commands import checks
from bridge.core.commands import request as commands
from bridge.core.commands.answer import Answer
from bridge.core.commands.deadline import Deadline
from bridge.core.commands.dialling import DialRules
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.request import LONGEST_ID, LONGEST_PAYLOAD, LONGEST_READ, Request
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming
from bridge.core.model import Instant
from bridge.core.topics import Topics
from bridge.errors import CommandError
from tests.core.builders import History

TOPICS = Topics("b", "hq")
STATE = History().start().state
NOW = 1_795_000_000_000
PAST = b'"expires_at":"2020-01-01T00:00:00Z"'


def refused_at_the_door(request: Request, permissions: Permissions) -> CommandError | None:
    """The first check that a well-formed request fails when it arrives."""
    now = Instant(NOW, 1.0)
    try:
        Deadline(now, request.expires_ms).left_s(now)
    except CommandError as late:
        return late
    return checks.forbidden(request, permissions, STATE)


def verdict(verb: str, payload: bytes, permissions: Permissions, *, retain: bool = False) -> str:
    """The code of the first check that fails, in the order in which they are made."""
    parsed = commands.parse(Incoming(f"b/hq/command/{verb}", payload, retain=retain), TOPICS, NOW)
    if isinstance(parsed, Request):
        refusal = refused_at_the_door(parsed, permissions)
        return refusal.code if refusal else "ok"
    return parsed.code


NOTHING = Permissions(allow=frozenset())
NO_NUMBER = Permissions(dialling=DialRules(deny=("*",)))
CALL = b'{"user":"anna","number":"1"}'
LATE_CALL = b'{"user":"anna","number":"1",' + PAST + b"}"


@pytest.mark.parametrize(
    ("verb", "payload", "permissions", "retain", "code"),
    [
        ("zzz", b"{", NOTHING, True, "retained"),
        ("zzz", b"{", NOTHING, False, "malformed"),
        ("zzz", b'{"id":5,' + PAST + b"}", NOTHING, False, "unknown_verb"),
        ("call", b'{"number":"1",' + PAST + b"}", NOTHING, False, "invalid"),
        ("call", LATE_CALL, NOTHING, False, "expired"),
        ("call", CALL, Permissions(frozenset(), DialRules(deny=("*",))), False, "not_permitted"),
        ("call", CALL, NO_NUMBER, False, "number_not_allowed"),
        ("call", CALL, Permissions(), False, "ok"),
    ],
)
def test_the_first_fault_counts(
    verb: str,
    payload: bytes,
    permissions: Permissions,
    retain: bool,  # noqa: FBT001  (a case)
    code: str,
) -> None:
    """Each row has all the faults of the rows below it."""
    assert verdict(verb, payload, permissions, retain=retain) == code


def refused(verb: str, payload: bytes, *, user: str | None = None) -> Answer:
    """The refusal of a request."""
    place = "" if user is None else f"user/{user}/"
    parsed = commands.parse(Incoming(f"b/hq/{place}command/{verb}", payload), TOPICS, NOW)
    assert isinstance(parsed, Answer)
    return parsed


@pytest.mark.parametrize(
    ("verb", "payload", "message"),
    [
        ("cal", b"{}", "no verb 'cal' (did you mean 'call'?)"),
        ("zzz", b"{}", f"no verb 'zzz'; known: {', '.join(VERBS)}"),
        ("call", b'{"user":"a","numbr":"1"}', "'numbr' is not a field of this verb (did you mean 'number'?)"),
        ("call", b'{"user":"a","zzz":"1"}', "'zzz' is not a field of this verb"),
        ("call", b'{"user":"a","number":1}', "'number' must be a string"),
        ("clear", b"{}", "'call' or 'user' is required"),
        ("call", b"123", "the payload must be a JSON object"),
        ("call", b"\xff", "the payload is not UTF-8"),
    ],
)
def test_a_refusal_shows_the_way_out(verb: str, payload: bytes, message: str) -> None:
    """The place, the problem, and where there is one the likely right word."""
    assert refused(verb, payload).message == message


BIG = b'{"id":"c-1","note":"' + b"x" * LONGEST_PAYLOAD + b'"}'


@pytest.mark.parametrize(
    ("verb", "payload", "options", "code"),
    [
        ("call", b'{"id":"c-1"}', {"retain": True}, "retained"),
        ("call", BIG, {}, "malformed"),
        ("call", BIG, {"retain": True}, "retained"),
        ("call", b'\xef\xbb\xbf {"id":"c-1","user":"\\ud800"}', {}, "malformed"),
        ("call", b'{"id":"c-1","x":[1,{"y\\udfff":2}]}', {}, "invalid"),
        ("call", b'{"id":"c-1","x":[1,{"y":["\\ud83d\\ude00"]}]}', {}, "invalid"),
        ("zzz", b'{"id":"c-1"}', {}, "unknown_verb"),
        ("", b'{"id":"c-1"}', {}, "unknown_verb"),
        ("clear", b'{"id":"c-1"}', {}, "invalid"),
        ("clear", b'{"id":"c-1","x":' + b"9" * 5000 + b"}", {}, "invalid"),
        ("clear", b'{"id":"c-1","call":"1","expires_at":"soon"}', {}, "invalid"),
        ("ping", b'{"id":"c-1"}', {"response_topic": "b/hq/state"}, "invalid"),
        ("call", b'{"id":"c-1","user":"a","number":"1",' + PAST + b"}", {}, "expired"),
        ("call", b'{"id":"c-1","user":"a","number":"1"}', {"allow": ()}, "not_permitted"),
        ("call", b'{"id":"c-1","user":"a","number":"*1"}', {}, "number_not_allowed"),
    ],
)
def test_every_refusal_names_the_request(
    verb: str, payload: bytes, options: dict[str, Any], code: str
) -> None:
    """Whatever is wrong: who asked must be able to match the reply, and the line in the log says for whom."""
    allow = frozenset(options.pop("allow", VERBS))
    incoming = Incoming(f"b/hq/command/{verb}", payload, **options)
    answer = commands.parse(incoming, TOPICS, NOW)
    if isinstance(answer, Request):
        refusal = refused_at_the_door(answer, Permissions(allow))
        assert refusal is not None
        answer = Answer.refusing(answer.address, refusal)

    assert answer.code == code
    assert answer.payload(NOW)["id"] == "c-1"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"id":7}',
        b'{"id":""}',
        b'{"id":null}',
        b'{"id":["c-1"]}',
        b'{"id":"\\ud800"}',
        b'{"id":"' + b"x" * (LONGEST_ID + 1) + b'"}',
        b'{"id":"c-1","x":NaN}',
        b'{"id":"c-1"',
        b'["id"]',
        b'"id"',
        b'{"id":"c-1","x":' + b"[" * 60_000,
        b'{"id":"c-1","x":"' + b"x" * LONGEST_READ + b'"}',
        b"\xff",
        b"",
    ],
)
def test_an_id_that_cannot_be_used_is_left_out(payload: bytes) -> None:
    """The reply is sent all the same."""
    for retain in (False, True):
        answer = commands.parse(Incoming("b/hq/command/zzz", payload, retain=retain), TOPICS, NOW)
        assert isinstance(answer, Answer)
        assert answer.address.id is None


@pytest.mark.parametrize(
    ("topic", "payload", "user"),
    [
        ("user/anna/command/clear", b"", "anna"),
        ("user/anna/command/zzz", b"{", "anna"),
        ("command/clear", b'{"user":"bert","x":1}', "bert"),
        ("command/call", b'{"user":"' + b"b" * 5000 + b'"}', "b" * LONGEST_ID),
        ("command/call", b'{"user":5}', None),
        ("command/call", b"x", None),
    ],
)
def test_a_request_is_about_somebody(topic: str, payload: bytes, user: str | None) -> None:
    """For the log: the user of the topic, else of the fields, shortened and unchecked."""
    assert commands.parse(Incoming(f"b/hq/{topic}", payload), TOPICS, NOW).address.user == user


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        (b'\xef\xbb\xbf{"number":"0800"}', {"user": "anna", "number": "0800"}),
        (b"\xef\xbb\xbf0800", {"user": "anna", "number": "0800"}),
        (b'"0800 1"', {"user": "anna", "number": "0800 1"}),
        (b' " 0800" ', {"user": "anna", "number": "0800"}),
        (b'\xef\xbb\xbf"0800"\r\n', {"user": "anna", "number": "0800"}),
    ],
)
def test_what_editors_and_flows_add_is_taken_kindly(payload: bytes, fields: object) -> None:
    """A byte order mark, the quotes of a JSON string, white space around it."""
    request = commands.parse(Incoming("b/hq/user/anna/command/call", payload), TOPICS, NOW)

    assert isinstance(request, Request)
    assert request.fields == fields
    assert refused("call", b'"0800').code == "malformed"
    assert refused("call", b'"0800', user="anna").code == "invalid"


def test_sizes_are_bounded_before_anything_is_read() -> None:
    """The largest payload is read, one byte more is not; a long verb is not repeated in full."""
    padding = b" " * (LONGEST_PAYLOAD - len(CALL))
    longest = commands.parse(Incoming("b/hq/command/call", CALL + padding), TOPICS, NOW)

    assert isinstance(longest, Request)
    assert refused("call", CALL + padding + b" ").code == "malformed"
    assert len(refused("z" * 60_000, b"{}").address.topic) < 200
    assert len(refused("z" * 60_000, b"{}").message) < 400


def test_a_topic_that_is_no_command_is_refused_too() -> None:
    """Total: the subscription should not bring it, but if it does nothing breaks."""
    parsed = commands.parse(Incoming("b/hq/state", b"online"), TOPICS, NOW)

    assert isinstance(parsed, Answer)
    assert parsed.code == "unknown_verb"


def test_a_bare_value_needs_a_user_and_a_verb_that_takes_one() -> None:
    """`clear` takes anything, also nothing; `ping` nothing but an empty payload, without a user."""
    assert isinstance(commands.parse(Incoming("b/hq/command/ping", b""), TOPICS, NOW), Request)
    assert refused("ping", b"", user="anna").code == "malformed"
    assert (
        refused("call", b"", user="anna").message
        == "exactly one of 'number', 'to_user' and 'name' is required"
    )
    for payload in (b"", b"0", b"press"):
        parsed = commands.parse(Incoming("b/hq/user/anna/command/clear", payload), TOPICS, NOW)
        assert isinstance(parsed, Request)
        assert parsed.fields == {"user": "anna"}
