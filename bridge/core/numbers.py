"""Telephone numbers: from a written form to the dialled one, and matching against patterns. Pure.

One number has several spellings, so a permission that compares text could be evaded. Numbers and patterns are
compared in a normal form: without separators, with 00 for a leading +. Wildcards match digits only; a number
with * or # is a feature code (diversion, pickup) and matches only a pattern that has them: `[*]21#`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from unicodedata import decimal

_DIALABLE = re.compile(r"\+?[0-9*#]{1,64}")
_DECORATION = str.maketrans("", "", " -()./")
_TOKENS = re.compile(r"\[(?:[*#]|[0-9](?:-[0-9])?)+\]|[0-9#*?]")
_WILD = {"*": "[0-9]*", "?": "[0-9]"}
_WIDE = {"*": "[0-9*#]*", "?": "[0-9*#]"}
_MOST_STARS = 3
_KEYS = {"[*]": "*", "[#]": "#"}
_PLAIN = frozenset("0123456789#")
_NO_KEY, _NO_DIGIT, _ANY_PLUS = re.compile("[^0-9*#]+"), re.compile("[^0-9]+"), re.compile("[+\uff0b]")


def dialable(number: str) -> str | None:
    """The number without spaces, dashes, dots, slashes and brackets; None if the rest is not a number.

    "(0)" in an international number is removed: it is dialled only within the country.
    """
    bare = number.replace("(0)", "") if number.lstrip().startswith("+") else number
    digits = bare.translate(_DECORATION)
    return digits if _DIALABLE.fullmatch(digits) else None


def normal(number: str) -> str:
    """The form in which a dialable number is compared with patterns."""
    return _plus_as_00(dialable(number) or "")


def pattern(text: str) -> str:
    """The normal form of a pattern: digits, * and ? for digits, [...] for one of a set. Raises ValueError."""
    outside = re.split(r"(\[[^\]]*\])", text.strip())
    bare = "".join(part if part.startswith("[") else part.translate(_DECORATION) for part in outside)
    tidy = _plus_as_00(bare)
    tokens = _TOKENS.findall(tidy)
    if not tidy or "".join(tokens) != tidy or tokens.count("*") > _MOST_STARS:
        raise ValueError("expected digits, * and ? for digits (three * at most), [*] for the star key, #")
    try:
        re.compile(_expression(tidy, _WILD))
    except re.error:
        raise ValueError("a range like [2-5] must ascend") from None
    return tidy


def refusal(number: str, allow: Sequence[str], deny: Sequence[str]) -> str | None:
    """The reason why a number must not be called, or None. An empty `allow` permits every number.

    Patterns are in normal form. Wildcards of `deny` match the star key and # too, so that a feature code
    cannot hide a denied number.
    """
    wanted = normal(number)
    if _one_of(tuple(deny), wide=True).fullmatch(wanted):
        return "the bridge's commands.numbers.deny forbids this number"
    if fits(number, allow):
        return None
    if {"*", "#"} & set(wanted):
        return "a number with * or # must be listed in the bridge's commands.numbers.allow, like [*]21#"
    return "the bridge's commands.numbers.allow does not permit this number" if allow else None


def fits(number: str, patterns: Sequence[str]) -> bool:
    """Whether one of the patterns matches the number."""
    wanted = normal(number)
    return bool(wanted) and _one_of(tuple(patterns), wide=False).fullmatch(wanted) is not None


def may_fit(number: str, wanted: str) -> bool:
    """Whether the pattern matches the number, a part of it, or its digits, whatever else is written there.

    For what must not be overlooked. Wildcards match the star key and # too.
    """
    text = dialable(number) or number.translate(_DECORATION)
    text = _ANY_PLUS.sub("00", "".join(str(decimal(each, each)) for each in text))
    spelled = {_NO_KEY.sub("", text), _NO_DIGIT.sub("", text), *_NO_DIGIT.split(text)} - {""}
    return any(_one_of((wanted,), wide=True).fullmatch(each) for each in spelled)


def literal(patterns: Sequence[str]) -> frozenset[str]:
    """The numbers that are listed digit by digit, without a wildcard or a set."""
    spelled = (_TOKENS.findall(each) for each in patterns)
    plain = (tokens for tokens in spelled if all(token in _KEYS or token in _PLAIN for token in tokens))
    return frozenset("".join(_KEYS.get(token, token) for token in tokens) for tokens in plain)


@lru_cache(maxsize=32)
def _one_of(patterns: tuple[str, ...], *, wide: bool) -> re.Pattern[str]:
    """One cached expression for all patterns: compiling hundreds takes 0.1 s, and any client may ask."""
    wild = _WIDE if wide else _WILD
    return re.compile("|".join(_expression(each, wild) for each in patterns) or "(?!)")


def _expression(wanted: str, wild: Mapping[str, str]) -> str:
    return "".join(wild.get(token, token) for token in _TOKENS.findall(wanted))


def _plus_as_00(text: str) -> str:
    return f"00{text[1:]}" if text.startswith("+") else text
