"""Numbers as people write them → what is dialled, and a normal form to compare. Pure.

One number has several spellings; a permission that compares text can be walked around. So numbers and
patterns are compared in a normal form: no decoration, 00 for a + in front. Wildcards stand for digits; a
number with * or # in it is a feature code (forwarding, pick-up) and only fits a pattern with it: `[*]21#`.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

_DIALABLE = re.compile(r"\+?[0-9*#]{1,64}")
_DECORATION = str.maketrans("", "", " -()./")
_TOKENS = re.compile(r"\[(?:[*#]|[0-9](?:-[0-9])?)+\]|[0-9#*?]")
_WILD = {"*": "[0-9]*", "?": "[0-9]"}
_WIDE = {"*": "[0-9*#]*", "?": "[0-9*#]"}
_MOST_STARS = 3
_KEYS = {"[*]": "*", "[#]": "#"}
_PLAIN = frozenset("0123456789#")


def dialable(number: str) -> str | None:
    """The number without spaces, dashes, dots, slashes and brackets; None if it is no number then.

    The (0) of an international number is only dialled within the country: it goes too.
    """
    bare = number.replace("(0)", "") if number.lstrip().startswith("+") else number
    digits = bare.translate(_DECORATION)
    return digits if _DIALABLE.fullmatch(digits) else None


def normal(number: str) -> str:
    """The form in which a number that is dialable is compared."""
    return _plus_as_00(dialable(number) or "")


def pattern(text: str) -> str:
    """The normal form of a pattern: digits, * and ? for digits, [...] for one of these. Raises ValueError."""
    outside = re.split(r"(\[[^\]]*\])", text.strip())
    bare = "".join(part if part.startswith("[") else part.translate(_DECORATION) for part in outside)
    tidy = _plus_as_00(bare)
    tokens = _TOKENS.findall(tidy)
    if not tidy or "".join(tokens) != tidy or tokens.count("*") > _MOST_STARS:
        raise ValueError("expected digits, * and ? for digits (three * at most), [*] for the star key, #")
    try:
        re.compile(_expression(tidy, _WILD))
    except re.error:
        raise ValueError("a range like [2-5] goes upwards") from None
    return tidy


def refusal(number: str, allow: Sequence[str], deny: Sequence[str]) -> str | None:
    """Why a number may not be called, if so. Patterns in their normal form; an empty `allow` lets all in.

    Wildcards of `deny` are wider: they stand for the star key and # too.
    """
    wanted = normal(number)
    if _one_of(tuple(deny), wide=True).fullmatch(wanted):
        return "commands.numbers.deny of the bridge has this number"
    if fits(number, allow):
        return None
    if {"*", "#"} & set(wanted):
        return "a number with * or # in it must be written in commands.numbers.allow of the bridge, as [*]21#"
    return "commands.numbers.allow of the bridge does not have this number" if allow else None


def fits(number: str, patterns: Sequence[str]) -> bool:
    """Tell whether one of the patterns has this number."""
    wanted = normal(number)
    return bool(wanted) and _one_of(tuple(patterns), wide=False).fullmatch(wanted) is not None


def literal(patterns: Sequence[str]) -> frozenset[str]:
    """The numbers that patterns name digit by digit, without a wildcard or a range."""
    spelled = (_TOKENS.findall(each) for each in patterns)
    plain = (tokens for tokens in spelled if all(token in _KEYS or token in _PLAIN for token in tokens))
    return frozenset("".join(_KEYS.get(token, token) for token in tokens) for tokens in plain)


@lru_cache(maxsize=32)
def _one_of(patterns: tuple[str, ...], *, wide: bool) -> re.Pattern[str]:
    """One expression for all of them, made once: anybody may ask, and to make hundreds takes 0.1 s."""
    wild = _WIDE if wide else _WILD
    return re.compile("|".join(_expression(each, wild) for each in patterns) or "(?!)")


def _expression(wanted: str, wild: Mapping[str, str]) -> str:
    return "".join(wild.get(token, token) for token in _TOKENS.findall(wanted))


def _plus_as_00(text: str) -> str:
    return f"00{text[1:]}" if text.startswith("+") else text
