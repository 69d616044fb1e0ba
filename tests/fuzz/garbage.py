"""Messages on command topics that are no valid command, each broken in a way that is known.

What makes each of them invalid is said at its maker: nothing made here may ever reach a PBX.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming

ROOT = "innovaphone/hq"
VALID: dict[str, dict[str, Any]] = {
    "call": {"user": "anna", "number": "0123"},
    "clear": {"user": "anna"},
    "presence": {"user": "anna", "activity": "away"},
    "resync": {},
    "ping": {},
}
"""A request of each verb that the PBX gets as it is."""
REQUIRED = [("call", "user"), ("call", "number"), ("clear", "user"), ("presence", "user")]
DEPTH = 10_000
LARGE = b'{"user": "anna", "number": "0123"}'.ljust(10 * 2**20)
ODD = ("..", "../..", "+", "#", "a+", "\0", "a\0b", "\ufffe", "\uffff", "%", "%00", "%2F", "Ü", "x" * 6_000)
NOT_IN_XML = ("\0", "\x07", "\ud800", "\udfff", "\ufffe", "\uffff", "\n")
NOT_TEXT: tuple[object, ...] = (None, 5, -1.5, True, [], {}, ["anna"], {"a": "anna"}, 10**400)
NOT_NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1",
    "1000",
    "1.5",
    "1" * 400,
    "1" * 5000,
    '"1"',
    "true",
)
BAD_TIMES: tuple[object, ...] = (
    "soon",
    "",
    5,
    True,
    [],
    "2026-11-23T10:00:00",
    "9999-99-99T00:00:00Z",
    "x" * 10_000,
)
PAST = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59-23:59", "2020-01-01T00:00Z")
RESPONSES = (
    *("", f"{ROOT}/command/call", f"{ROOT}/user/anna/state", "$SYS/x"),
    *("a/+", "#", "a\0b", "home/r", "x" * 1025),
)
IDS = 100
"""How many ids of each verb the ledger may meet: few, so that what it remembers does not grow."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """One message and what is wrong with it. `replies`: how many the contract wants."""

    kind: str
    incoming: Incoming
    replies: int = 1


def make(random: Random) -> Garbage:
    """One message of any kind."""
    maker = random.choice(MAKERS)
    incoming = maker(random)
    if random.random() < 0.05:
        incoming = replace(incoming, topic=_topic(random), retain=True)
    if incoming.response_topic is None and random.random() < 0.1:
        incoming = replace(incoming, response_topic="innovaphone/reply/me", correlation=random.randbytes(8))
    asks_nothing = incoming.retain and not incoming.payload
    return Garbage(maker.__name__, incoming, replies=0 if asks_nothing else 1)


def message(verb: str, body: object, **more: Any) -> Incoming:
    """A request on the verb's own topic."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Incoming(f"{ROOT}/command/{verb}", payload, **more)


def noise(random: Random) -> Incoming:
    """Bytes that are no JSON object: not UTF-8, another start, or a brace that is never closed."""
    start = random.choice(
        (b"\xff", b"x", b"[", b'"', b"\0", b"\xef\xbb\xbf{", b"{", b'{"', b'{"user":"anna",')
    )
    rest = random.randbytes(random.randrange(200)).replace(b"}", b"")
    return message(_verb(random), start + rest)


def another_type(random: Random) -> Incoming:
    """JSON that is no object."""
    value: object = random.choice((None, True, 5, -0.5, 10**400, "anna", [], [{"user": "anna"}], [[]] * 50))
    return message(_verb(random), value)


def deep(random: Random) -> Incoming:
    """Ten thousand levels, closed or not: as a field they are of the wrong type, if they can be read."""
    opening, closing = random.choice((('{"a":', "}"), ("[", "]"), ('{"user":[', "]}")))
    levels = opening * (DEPTH if len(opening) < 7 else DEPTH // 2)
    ends = closing * random.choice((0, DEPTH))
    return message(_verb(random), f"{levels}0{ends}".encode())


def odd_number(random: Random) -> Incoming:
    """A number that JSON, or the field, does not know; or a text where a number must be."""
    verb, field = random.choice((("call", "facility"), ("clear", "cause")))
    plain = json.dumps({**VALID[verb], **_maybe_id(random)})
    return message(verb, f'{plain[:-1]}, "{field}": {random.choice(NOT_NUMBERS)}}}'.encode())


def too_large(random: Random) -> Incoming:
    """A good request in ten MiB."""
    return message("call", LARGE) if random.random() < 0.05 else noise(random)


def wrong_topic(random: Random) -> Incoming:
    """A good request where no verb, or no known user, is named."""
    odd = random.choice(ODD)
    topic = random.choice(
        (
            f"{ROOT}/command/{odd}",
            f"{ROOT}/user/{odd}/command/presence",
            f"{ROOT}/user/anna/command/{odd}",
            f"{ROOT}/user/anna/{odd}/presence",
            f"{ROOT}/user/anna/state",
            f"innovaphone/{odd}/command/call",
            odd,
            "",
        )
    )
    return Incoming(topic, b'{"activity": "away"}')


def unknown_user(random: Random) -> Incoming:
    """A good request of somebody who does not exist: only the state of the PBX can tell."""
    verb = random.choice([verb for verb, fields in VALID.items() if fields])
    user = random.choice(("nobody", "anja", "..", "+", "#", "%2F", "annA", "a" * 128))
    return message(verb, {**VALID[verb], "user": user, "id": f"{verb}-{random.randrange(IDS)}"})


def required_missing(random: Random) -> Incoming:
    """One required field left out."""
    verb, field = random.choice(REQUIRED)
    return message(verb, {**_without(verb, field), **_maybe_id(random)})


def required_broken(random: Random) -> Incoming:
    """One required field that is no text, too long, or holds what XML cannot."""
    verb, field = random.choice(REQUIRED)
    odd = f"a{random.choice(NOT_IN_XML)}b"
    value = random.choice((random.choice(NOT_TEXT), odd, "1" * random.randrange(129, 9000)))
    return message(verb, {**VALID[verb], field: value, **_maybe_id(random)})


def not_dialable(random: Random) -> Incoming:
    """A number with a letter in it."""
    number = random.choice(("tel:1", "x", "1x", "1" * 65, "++1", "1+", "sip:a@b", "١٢٣", "%31"))
    return message("call", {**VALID["call"], "number": number, **_maybe_id(random)})


def unknown_field(random: Random) -> Incoming:
    """A field too many, or one misspelt: no field has an upper-case letter or a sign in its name."""
    verb = _verb(random)
    name = random.choice((*ODD, "User", "NUMBER", "", "id ", "A" * 500, "$", "ID", "__proto__"))
    return message(verb, {**VALID.get(verb, {}), name: random.choice(NOT_TEXT), **_maybe_id(random)})


def broken_envelope(random: Random) -> Incoming:
    """An id that is no text of 1 to 128 characters, or an expiry that is no time or has passed."""
    verb = _verb(random)
    bad_id: object = random.choice((5, True, [], {}, "", "x" * 129, "\ud800", 10**400))
    envelope = random.choice(
        ({"id": bad_id}, {"expires_at": random.choice(BAD_TIMES)}, {"expires_at": random.choice(PAST)})
    )
    return message(verb, {**VALID.get(verb, {}), **envelope})


def bad_response_topic(random: Random) -> Incoming:
    """A good request whose reply would go to a topic of ours, or to none."""
    verb = _verb(random)
    return message(verb, VALID.get(verb, {}), response_topic=random.choice(RESPONSES), correlation=b"1")


def bare_value(random: Random) -> Incoming:
    """On the topic of a user, a value that the verb cannot take; `clear` takes any, of a known user."""
    verb, user = random.choice(
        (("call", "anna"), ("presence", "bert"), ("ping", "anna"), ("clear", "nobody"))
    )
    value = random.choice((b"A!", b"x\0", b"-", b"?" * 70, "Ü".encode(), b"null?", b"'", b"[0]"))
    return Incoming(f"{ROOT}/user/{user}/command/{verb}", value)


def contradiction(random: Random) -> Incoming:
    """On the topic of one user, a request for another one, or one that no user has."""
    verb, body = random.choice((*VALID.items(),))
    return Incoming(f"{ROOT}/user/bert/command/{verb}", json.dumps({**body, **_maybe_id(random)}).encode())


def nothing(random: Random) -> Incoming:
    """An empty payload where a field is required."""
    return message(random.choice(("call", "clear", "presence")), b"")


MAKERS: tuple[Callable[[Random], Incoming], ...] = (
    *(noise, another_type, deep, odd_number, too_large, wrong_topic, unknown_user, required_missing),
    *(required_broken, not_dialable, unknown_field, broken_envelope, bad_response_topic, bare_value),
    *(contradiction, nothing),
)


def _verb(random: Random) -> str:
    return random.choice((*VERBS, "cal", "admin"))


def _topic(random: Random) -> str:
    return f"{ROOT}/{random.choice(('', 'user/anna/', 'user/nobody/'))}command/{_verb(random)}"


def _without(verb: str, field: str) -> dict[str, Any]:
    return {name: value for name, value in VALID[verb].items() if name != field}


def _maybe_id(random: Random) -> dict[str, str]:
    """An id in every other request; whatever is in it comes back in the reply."""
    odd = random.choice((*ODD[:-1], "c-42", "x" * 128))
    return random.choice(({}, {"id": odd}))
