"""Parses requests from the bus, and checks their form in the contract's order. Pure and total.

Nothing here trusts a request: sizes, types and topics are checked before anything else reads them.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn

from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.dialling import dialled
from bridge.core.commands.fields import Text
from bridge.core.commands.naming import closest
from bridge.core.commands.reply_topics import may_reply_to
from bridge.core.commands.verb import Fields, text
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming
from bridge.core.topics import TopicId, Topics, decode
from bridge.errors import CommandError

LONGEST_PAYLOAD = 65_536
LONGEST_ID = 128
LONGEST_CORRELATION = 256
LONGEST_LEVEL = 1536
"""A percent-encoded character takes up to 12: room for the 128 characters that a name may have in a field."""
LONGEST_NUMBER = 300
LONGEST_READ = 1_048_576
"""Payloads that are too large are searched for their id up to this size."""
_HALF = re.compile("[\ud800-\udfff]")
_ENVELOPE = frozenset({"id", "expires_at"})


@dataclass(frozen=True, slots=True)
class Request:
    """A well-formed request. `expires_ms` is Unix time."""

    address: Address
    fields: Fields
    expires_ms: int | None = None

    @property
    def id(self) -> str | None:
        """The id that the requester gave, if any."""
        return self.address.id

    @property
    def verb(self) -> str:
        """The verb, which is one of VERBS."""
        return self.address.verb


@dataclass(frozen=True, slots=True)
class _Payload:
    """What was sent: text, None where it is not UTF-8; and the JSON object that it is, if it is one."""

    text: str | None
    body: Mapping[str, object] | None


def parse(
    incoming: Incoming, topics: Topics, now_ms: int, reply_topics: Sequence[str] = ()
) -> Request | Answer:
    """Read one message on a command topic. Checks `retained, malformed, unknown_verb, invalid` in order.

    A refusal carries the id of the request wherever there is a usable one, whatever else is wrong.
    `reply_topics`: patterns of topics that replies may go to, besides those below <base>/reply/.
    """
    user, verb = topics.command_in(incoming.topic) or (None, "")
    payload = _decoded(incoming.payload)
    named, subject = verb[:LONGEST_ID], _subject(user, payload.body)
    plain = Address(
        topics.response(named), named, _usable_id(payload.body), user=subject, sender=incoming.sender
    )
    address, problem = _wanted(plain, incoming, topics, reply_topics)
    try:
        _require_live(incoming)
        body = _body(payload, user, verb)
        _require_verb(verb)
        _require_address(problem)
        fields = _fields(verb, body, user)
        expires = _expiry(body, incoming, now_ms)
    except CommandError as error:
        return Answer.refusing(address, error)
    call = text(fields, "call") or None
    kinds = VERBS[verb].fields
    subjects = (text(fields, name) for name, kind in kinds.items() if isinstance(kind, Text) and kind.subject)
    subject_names = tuple(filter(None, subjects))
    about = replace(address, call=call, dialled=dialled(kinds, fields), named=subject_names)
    return Request(about, fields, expires)


def _wanted(
    plain: Address, incoming: Incoming, topics: Topics, reply_topics: Sequence[str]
) -> tuple[Address, str | None]:
    """Where the reply goes. If the request's own topic is not usable: the plain address, and why."""
    wanted, correlation = incoming.response_topic, incoming.correlation
    if wanted is None:
        return plain, None
    if not may_reply_to(wanted, topics, reply_topics):
        where = f"below {topics.base}/reply/, or add it to the bridge's commands.response_topics"
        return plain, f"unusable response topic: choose one {where}"
    if len(correlation or b"") > LONGEST_CORRELATION:
        return plain, f"the correlation data is larger than {LONGEST_CORRELATION} bytes"
    return replace(plain, topic=wanted, correlation=correlation), None


def _subject(user: str | None, body: Mapping[str, object] | None) -> str | None:
    """The user in the topic, else in the fields. It is shortened, because nothing has been checked yet."""
    named = user or (body or {}).get("user")
    return named[:LONGEST_ID] if isinstance(named, str) else None


def _require_live(incoming: Incoming) -> None:
    if incoming.retain:
        raise CommandError("retained", "commands must not be retained; publish without the retain flag")
    if len(incoming.payload) > LONGEST_PAYLOAD:
        raise CommandError("malformed", f"the payload is larger than {LONGEST_PAYLOAD} bytes")


def _require_address(problem: str | None) -> None:
    if problem:
        raise CommandError("invalid", problem)


def _require_verb(verb: str) -> None:
    if verb not in VERBS:
        close = closest(verb, VERBS)
        hint = f" (did you mean '{close}'?)" if close else f"; known: {', '.join(VERBS)}"
        raise CommandError("unknown_verb", f"no verb '{verb[:LONGEST_ID]}'{hint}")


def _decoded(payload: bytes) -> _Payload:
    """The text without a byte order mark, and the JSON object in it. Total: any bytes, depth and number."""
    try:
        text = payload[:LONGEST_READ].decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return _Payload(None, None)
    body = _json(text) if text.startswith("{") else None
    return _Payload(text, body if isinstance(body, dict) else None)


def _json(text: str) -> object:
    """The value, or None for what is no JSON."""
    try:
        return json.loads(text, parse_constant=_no_constant, parse_int=_whole)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _whole(digits: str) -> int | float:
    """Python refuses to read a number of thousands of digits; JSON does not, and no field takes it."""
    return int(digits) if len(digits) <= LONGEST_NUMBER else math.inf


def _usable_id(body: Mapping[str, object] | None) -> str | None:
    request_id = body.get("id") if body else None
    usable = isinstance(request_id, str) and 0 < len(request_id) <= LONGEST_ID and _is_text(request_id)
    return request_id if usable and isinstance(request_id, str) else None


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8. JSON can hold half of a character (a lone surrogate)."""
    return _HALF.search(value) is None


def _has_text(body: Mapping[str, object]) -> bool:
    """Whether all keys and texts are text. Nested values are not read: no field takes them."""
    return all(_is_text(word) for pair in body.items() for word in pair if isinstance(word, str))


def _body(payload: _Payload, user: str | None, verb: str) -> Mapping[str, object]:
    """The JSON object of a request, or the one a bare value stands for."""
    if payload.text is None:
        raise CommandError("malformed", "the payload is not UTF-8")
    if not payload.text.startswith("{"):
        return _bare(payload.text, user, verb)
    if payload.body is None or not _has_text(payload.body):
        raise CommandError("malformed", "the payload is not a JSON object")
    return payload.body


def _bare(text: str, user: str | None, verb: str) -> dict[str, object]:
    """A value alone, also in the quotes of JSON."""
    known = VERBS.get(verb)
    if known is None or (not text and user is None):
        return {}
    if user is None or known.bare is None:
        raise CommandError("malformed", "the payload must be a JSON object")
    quoted = _json(text) if text.startswith('"') else None
    return {known.bare: quoted.strip() if isinstance(quoted, str) else text} if known.bare else {}


def _fields(verb: str, body: Mapping[str, object], user: str | None) -> Fields:
    if body.get("id") is not None and _usable_id(body) is None:
        raise CommandError("invalid", f"'id' must be a string of 1 to {LONGEST_ID} characters")
    spec = VERBS[verb]
    fields = {name: value for name, value in body.items() if name not in _ENVELOPE}
    for name, value in fields.items():
        kind = spec.fields.get(name)
        problem = _unknown(name, spec.fields) if kind is None else kind.problem(value)
        if problem:
            raise CommandError("invalid", f"'{name[:LONGEST_ID]}' {problem}")
    if user is not None:
        fields["user"] = _topic_user(user, verb, fields.get("user", user))
    if sentence := spec.check(fields):
        raise CommandError("invalid", sentence)
    return fields


def _topic_user(user: str, verb: str, named: object) -> TopicId:
    """The user in the topic. Its length is limited: refusals repeat it, and a topic may have 64 KiB."""
    if "user" not in VERBS[verb].fields:
        raise CommandError("invalid", f"'{verb}' takes no user")
    if len(user) > LONGEST_LEVEL:
        raise CommandError("invalid", f"the user in the topic is longer than {LONGEST_LEVEL} characters")
    if named not in {user, decode(user)}:
        raise CommandError("invalid", "'user' contradicts the topic")
    return TopicId(user)


def _unknown(name: str, known: Sequence[str] | Fields) -> str:
    close = closest(name, known)
    return "is not a field of this verb" + (f" (did you mean '{close}'?)" if close else "")


def _expiry(body: Mapping[str, object], incoming: Incoming, now_ms: int) -> int | None:
    """The earlier of the request's own `expires_at` and the broker's message expiry."""
    ends = [] if incoming.expires_in_s is None else [now_ms + incoming.expires_in_s * 1000]
    wanted = body.get("expires_at")
    if wanted is not None:
        try:
            moment = datetime.fromisoformat(wanted) if isinstance(wanted, str) else None
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise CommandError("invalid", "'expires_at' must be an RFC 3339 time with a zone")
        ends.append(round(moment.timestamp() * 1000))
    return min(ends, default=None)
