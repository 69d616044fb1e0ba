"""Wrong requests of any verb, each with the error that it must get; made from the table and a seed.

Each maker breaks a good request in one way, and knows the code and the words of the refusal.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random
from string import ascii_lowercase

from bridge.core.commands.dialling import DialRules
from bridge.core.commands.fields import Dials, FieldKind, Flag, Number, Text
from bridge.core.commands.request import (
    LONGEST_CORRELATION,
    LONGEST_ID,
    LONGEST_LEVEL,
    LONGEST_PAYLOAD,
)
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming
from bridge.core.topics import TopicId
from tests.kit.request_forms import forms, is_good

ROOT = "innovaphone/hq"
RULES = DialRules(deny=("0900*",), from_numbers=("22",), facilities=frozenset({21}), types=frozenset({"ep"}))
"""Under these the requests of DIALLED are wrong, and nothing else is."""
DIALLED: Mapping[Dials, tuple[object, str]] = {
    Dials.NUMBER: ("0900{}", "number_not_allowed"),
    Dials.KEYS: ("0900{}", "number_not_allowed"),
    Dials.NAME: ("Nobody {}", "number_not_allowed"),
    Dials.USER: ("trunk", "not_permitted"),
    Dials.CALLER: ("trunk", "not_permitted"),
    Dials.FROM_NUMBER: ("0{}", "number_not_allowed"),
    Dials.FACILITY: (3, "not_permitted"),
}
BESIDES = frozenset({Dials.FROM_NUMBER, Dials.FACILITY})
"""Parts of fields that are never needed, and refused in any request."""
NOT_XML = ("\0", "\x07", "\n", "\x1f", "\ufffe", "\uffff")
NO_TEXT: tuple[object, ...] = (None, 5, -1.5, True, False, [], {}, ["anna"], {"a": "anna"}, 10**40)
NO_FLAG: tuple[object, ...] = (None, 0, 1, "true", "false", "", [], {}, 1.0)
NO_NUMBER: tuple[object, ...] = (None, "1", "", 1.5, True, [], {}, 10**40)
NO_TIME: tuple[object, ...] = ("soon", "", 5, True, [], "2026-11-23T10:00:00", "9999-99-99T00:00:00Z")
NO_ID: tuple[object, ...] = (7, "", True, [], {}, ["c-1"], "x" * (LONGEST_ID + 1))
NO_OBJECT = ("5", "true", "null", '"anna"', "[]", '[{"user": "anna"}]', "anna", "[[[", '"', "-", "\\")
RESPONSES = ("", f"{ROOT}/state", f"{ROOT}/command/call", "$SYS/x", "a/+", "#", "home/r", "a\0b")
Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A request, and the refusal that it must get: its code, and words of its message."""

    incoming: Incoming
    code: str
    words: str


def wrong_requests(verb: str, count: int) -> tuple[Wrong, ...]:
    """So many different wrong requests of a verb, the same ones in each run."""
    random, found = Random(verb), dict[Incoming, Wrong]()  # noqa: S311  (not a secret)
    while len(found) < count:
        fields = random.choice(forms(verb))
        made = list(random.choice(MAKERS)(random, verb, fields))
        for wrong in random.sample(made, min(len(made), 3)):
            found.setdefault(wrong.incoming, wrong)
    return tuple(found.values())[:count]


def _message(verb: str, body: object, **more: object) -> Incoming:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return replace(Incoming(f"{ROOT}/command/{verb}", payload), **more)  # type: ignore[arg-type]


def _named(random: Random, fields: Fields) -> Fields:
    """With an id, which the refusal must repeat."""
    return {"id": f"w-{random.getrandbits(64):x}", **fields}


def _word(random: Random) -> str:
    return "".join(random.choices(ascii_lowercase, k=random.randint(6, 20)))


def no_text(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """Bytes that are not UTF-8, in front of the request or inside it."""
    good = json.dumps(fields).encode()
    at = random.randrange(len(good) + 1)
    yield Wrong(_message(verb, good[:at] + b"\xff" + good[at:]), "malformed", "not UTF-8")


def cut(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """An object that ends too early."""
    good = json.dumps(_named(random, fields)).encode()
    yield Wrong(_message(verb, good[: random.randrange(1, len(good))]), "malformed", "not a JSON object")


def half_a_character(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """JSON can hold half of a surrogate pair; nothing else can."""
    half = chr(random.randrange(0xD800, 0xE000))
    yield Wrong(_message(verb, {**fields, _word(random): half}), "malformed", "not a JSON object")


def no_object(random: Random, verb: str, _fields: Fields) -> Iterator[Wrong]:
    """JSON of another type, or none at all, on the topic of the PBX."""
    text = f"{random.choice(NO_OBJECT)}{' ' * random.randrange(9)}"
    yield Wrong(_message(verb, text.encode()), "malformed", "must be a JSON object")


def bare(random: Random, verb: str, _fields: Fields) -> Iterator[Wrong]:
    """A bare value on the topic of a user, for a verb that takes none."""
    if VERBS[verb].bare is None:
        incoming = Incoming(f"{ROOT}/user/anna/command/{verb}", _word(random).encode())
        yield Wrong(incoming, "malformed", "must be a JSON object")


def large(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """One byte too many, or more; the id is found all the same."""
    good = json.dumps(_named(random, fields)).encode()
    size = LONGEST_PAYLOAD + 1 + random.randrange(1000)
    yield Wrong(_message(verb, good.ljust(size)), "malformed", f"larger than {LONGEST_PAYLOAD} bytes")


def retained(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """Good but for the flag."""
    yield Wrong(_message(verb, _named(random, fields), retain=True), "retained", "must not be retained")


def unknown_field(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A field that the verb does not have, whatever its value."""
    name = _word(random)
    body = {**_named(random, fields), name: random.choice((*NO_TEXT, "x"))}
    yield Wrong(_message(verb, body), "invalid", f"'{name}' is not a field of this verb")


def wrong_value(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A value of another type, or out of bounds, in any field."""
    for name, kind in VERBS[verb].fields.items():
        for value, problem in _wrong_values(random, kind):
            body = {**_named(random, fields), name: value}
            yield Wrong(_message(verb, body), "invalid", f"'{name}' {problem}")


def _wrong_values(random: Random, kind: FieldKind) -> Iterator[tuple[object, str]]:
    match kind:
        case Flag():
            yield random.choice(NO_FLAG), "must be true or false"
        case Number(least=least, most=most):
            outside = (least - 1 - random.randrange(1000), most + 1 + random.randrange(1000))
            for value in (random.choice(outside), random.choice(NO_NUMBER)):
                yield value, f"must be a whole number from {least} to {most}"
        case Text(longest=longest, words=words):
            yield random.choice(NO_TEXT), "must be a string"
            yield "1" * (longest + 1 + random.randrange(1000)), f"is longer than {longest} characters"
            if words:
                yield f"x{_word(random)}"[:longest], f"must be one of {', '.join(words)}"
            else:
                yield f"1{random.choice(NOT_XML)}", "contains a character that the PBX does not accept"


def missing(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """One field less than the fewest: the verb says what it needs."""
    for name in fields:
        less = {each: value for each, value in fields.items() if each != name}
        problem = VERBS[verb].check(less)
        if problem is not None:
            yield Wrong(_message(verb, _named(random, less)), "invalid", problem)


def too_many(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """Two ways to say it in one request, where the verb wants to know which."""
    both = {**fields, **random.choice(forms(verb))}
    problem = VERBS[verb].check(both)
    if problem is not None:
        yield Wrong(_message(verb, _named(random, both)), "invalid", problem)


def no_id(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """An id of another type or length."""
    body = {**fields, "id": random.choice(NO_ID)}
    yield Wrong(_message(verb, body), "invalid", "'id' must be a string of 1 to 128 characters")


def no_time(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A time that is none, or has no zone; or one that is over."""
    named = _named(random, fields)
    bad = {**named, "expires_at": random.choice(NO_TIME)}
    yield Wrong(_message(verb, bad), "invalid", "'expires_at' must be an RFC 3339 time with a zone")
    over = f"{random.randrange(1980, 2026)}-01-01T00:00:00{random.choice(('Z', '+01:00', '-12:00'))}"
    yield Wrong(_message(verb, {**named, "expires_at": over}), "expired", "not executed")


def no_place(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A reply to a topic that is not the requester's, or with too much correlation data."""
    named = _named(random, fields)
    elsewhere = _message(verb, named, response_topic=random.choice(RESPONSES))
    yield Wrong(elsewhere, "invalid", "unusable response topic")
    data = random.randbytes(LONGEST_CORRELATION + 1)
    much = _message(verb, named, response_topic="innovaphone/reply/me", correlation=data)
    yield Wrong(much, "invalid", f"larger than {LONGEST_CORRELATION} bytes")


def no_user_of_the_topic(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A body about somebody else than the topic; a topic that is too long; a verb that is about nobody."""
    named = json.dumps(_named(random, {**fields, "user": _word(random)})).encode()
    level = _word(random)
    if "user" not in VERBS[verb].fields:
        alone = json.dumps(_named(random, fields)).encode()
        yield Wrong(Incoming(f"{ROOT}/user/{level}/command/{verb}", alone), "invalid", "takes no user")
        return
    yield Wrong(Incoming(f"{ROOT}/user/{level}/command/{verb}", named), "invalid", "contradicts the topic")
    long = "x" * (LONGEST_LEVEL + 1 + random.randrange(100))
    others = json.dumps({name: value for name, value in fields.items() if name != "user"}).encode()
    words = f"longer than {LONGEST_LEVEL} characters"
    yield Wrong(Incoming(f"{ROOT}/user/{long}/command/{verb}", others), "invalid", words)


def nobody(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A user, or a call, that is not there: in any field that names one."""
    for name, value in fields.items():
        gone = {**fields, name: _word(random)}
        if name.endswith(("user", "call")) and isinstance(value, str) and not is_good(verb, gone):
            code = "unknown_call" if name.endswith("call") else "unknown_user"
            yield Wrong(_message(verb, _named(random, gone)), code, f"'{gone[name]}'")
    if "user" in fields and set(fields) == {"user"} and not is_good(verb, {"user": "trunk"}):
        yield Wrong(_message(verb, _named(random, {"user": "trunk"})), "unknown_call", "call")
    if "user" in fields:
        level = TopicId(_word(random))
        rest = json.dumps(_named(random, {each: fields[each] for each in fields if each != "user"}))
        if not is_good(verb, {**fields, "user": level}):
            incoming = Incoming(f"{ROOT}/user/{level}/command/{verb}", rest.encode())
            yield Wrong(incoming, "unknown_user", f"'{level}'")


def not_dialled(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """What the rules do not let through, in any field that has a part in a call."""
    for name, kind in VERBS[verb].fields.items():
        if kind.dials is None or kind.dials not in DIALLED or not (name in fields or kind.dials in BESIDES):
            continue
        value, code = DIALLED[kind.dials]
        text = value.format(random.randrange(10**6)) if isinstance(value, str) else value
        yield Wrong(_message(verb, _named(random, {**fields, name: text})), code, "")


def misspelt(random: Random, verb: str, fields: Fields) -> Iterator[Wrong]:
    """A verb that there is not; the message shows which there are."""
    at = random.randrange(len(verb) + 1)
    odd = f"{verb[:at]}{_word(random)}{verb[at:]}"
    yield Wrong(_message(odd, _named(random, fields)), "unknown_verb", f"no verb '{odd}'")


Maker = Callable[[Random, str, Fields], Iterator[Wrong]]
MAKERS: tuple[Maker, ...] = (
    *(no_text, cut, half_a_character, no_object, bare, large, retained, unknown_field, wrong_value),
    *(missing, too_many, no_id, no_time, no_place, no_user_of_the_topic, nobody, not_dialled, misspelt),
)
