"""Parses WWW-Authenticate and Authentication-Info; never fails. Computes no digest, see digest.py.

One header may hold several challenges, separated by the comma that also separates their parameters
(RFC 9110 11.6.1). Anything unreadable is skipped up to the next comma.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_LONGEST = 8192
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*)"'
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:{_QUOTED}|([^\s,"\x00-\x1f\x7f]+))[ \t]*(?=,|$)')
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,|$))")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_SEPARATORS, _JUNK = re.compile(r"[ \t,]*"), re.compile(r"[^,]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One authentication scheme that a server offers. Names in lower case, values Latin-1 without escapes."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all WWW-Authenticate headers, in order. Never raises."""
    return tuple(challenge for header in headers for challenge in _challenges(header[:_LONGEST]))


def parameters(header: str) -> Mapping[str, str]:
    """The parameters of a header that has no schemes, such as Authentication-Info. Never raises."""
    found: dict[str, str] = {}
    at = 0
    while at < len(header):
        at = _skip(_SEPARATORS, header, at)
        at = _read_parameter(header, at, found) or _skip(_JUNK, header, at)
    return found


def _challenges(header: str) -> list[Challenge]:
    """The challenges of one header. Parameters after a bare scheme belong to the challenge before it."""
    found: list[Challenge] = []
    current: dict[str, str] = {}
    at = _skip(_SEPARATORS, header, 0)
    while at < len(header):
        after = _read_parameter(header, at, current)
        if after is None:
            after, name, alone = _read_scheme(header, at)
            if name:
                given: dict[str, str] = {}
                found.append(Challenge(name, given))
                current = current if alone else given
        at = _skip(_SEPARATORS, header, after)
    return found


def _read_parameter(header: str, at: int, into: dict[str, str]) -> int | None:
    """Read `name=value` and return its end, or None. The first value of a name wins."""
    match = _PARAMETER.match(header, at)
    if match is None:
        return None
    name, quoted, plain = match.groups()
    into.setdefault(name.lower(), plain if quoted is None else _ESCAPE.sub(r"\1", quoted))
    return match.end()


def _read_scheme(header: str, at: int) -> tuple[int, str, bool]:
    """Return the end of a scheme, its name (empty if there is none), and whether it has no parameters."""
    match = _SCHEME.match(header, at)
    if match is None:
        return _skip(_JUNK, header, at), "", True
    after = match.end()
    if header[after : after + 1] in {"", ","} or _TOKEN68.match(header, after):
        return _skip(_JUNK, header, after), match[1].lower(), True
    return after, match[1].lower(), False


def _skip(pattern: re.Pattern[str], header: str, at: int) -> int:
    match = pattern.match(header, at)
    return at if match is None else match.end()
