"""Repairs XML that a strict parser has refused; records that cannot be repaired are left out.

The time is linear in the size of the text. A truncated answer is never completed and a DTD never accepted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import html5

from lxml import etree

MOST_DEFECTS = 20_000
"""An answer with more defects is noise, not names with odd characters."""
NAME_SHOWN = 40
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEFECT = re.compile(r"&(?:(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);)?|<(?![A-Za-z_/!?])|\]\]>")
_UNKNOWN = "\ufffd"
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "]]>": "]]&gt;"}
_KNOWN = frozenset({"amp", "lt", "gt", "quot", "apos"})
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_QUOTED = r"""(?:[^<>"']|"[^<"]*"|'[^<']*')*?"""
_ATTRIBUTES = re.compile(rf"<([A-Za-z_][\w:.-]*)\s(?![^<>]*xmlns)(?:{_QUOTED}|[^<>]*?)(/?)>")
"""Attributes as in valid XML, with a > in quotes; else up to the next >, as quotes may be the defect."""
_RECORD = re.compile(
    r"<(?P<tag>(?:[\w.-]+:)?(?P<name>user|call|item))>(?=\s*<(?:[\w.-]+:)?(?P<first>[A-Za-z_][\w.-]*))"
)
_FIRST_OF_USER, _FIRST_OF_CALL = frozenset({"active", "guid", "cn"}), frozenset({"user", "call", "reg"})
_WRAPPER = re.compile(r"<((?:[\w.-]+:)?(?:user|call|return))>\s*\Z")
_NEAR = 200
_PREFIX = re.compile(r"</?([\w.-]+):")
_LONG_NAME = re.compile(r"<(?:[\w.-]+:)?cn>([^<]*)")


class NoiseError(Exception):
    """The text has too many defects to repair."""


def repaired(text: str) -> str:
    """Replace what XML forbids by U+FFFD, and escape stray markup. Raises NoiseError."""
    first, *rest = _FORBIDDEN.sub(_UNKNOWN, text).split(_CDATA)
    repair = _Repair()
    parts = [repair(first)]
    for part in rest:
        data, end, after = part.partition(_CDATA_END)
        parts += (_CDATA, data, end, repair(after)) if end else ("&lt;![CDATA[", repair(data))
    return "".join(parts)


def without_bad_records(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without the records that are not XML, and a description of each such record.

    Attributes are removed: records need none, and one of them may be the defect.
    """
    plain = _ATTRIBUTES.sub(r"<\1\2>", text)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    kept, lost, end = [], [], 0
    for number, record in enumerate(_records(plain), start=1):
        kept.append(plain[end : record.start])
        content, end = plain[record.start : record.end], record.end
        if _reads(content, parser):
            kept.append(content)
        else:
            lost.append(_named(record.kind, number, content))
    kept.append(plain[end:])
    return "".join(kept), tuple(lost)


class _Repair:
    """Repairs several texts that share one limit of defects."""

    def __init__(self) -> None:
        self._left = MOST_DEFECTS

    def __call__(self, text: str) -> str:
        return _DEFECT.sub(self._replace, text)

    def _replace(self, found: re.Match[str]) -> str:
        name = found[1]
        if name in _KNOWN:
            return found[0]
        self._left -= 1
        if self._left < 0:
            raise NoiseError
        if name is None:
            return _ESCAPED[found[0]]
        if name.startswith("#"):
            return _character(name[1:])
        known = html5.get(f"{name};")
        return f"&amp;{name};" if known is None else "".join(_ESCAPED.get(one, one) for one in known)


def _character(number: str) -> str:
    """A numeric character reference, replaced where XML forbids its character."""
    base, digits = (16, number[1:]) if number[:1] in "xX" else (10, number)
    digits = digits.lstrip("0") or "0"
    value = int(digits, base) if len(digits) <= len("1114111") else 0
    allowed = 0 < value <= 0x10FFFF and not _FORBIDDEN.match(chr(value))  # noqa: PLR2004  (the last character)
    return f"&#{value};" if allowed else _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Record:
    """The place of a record in the text. `kind`: user or call."""

    kind: str
    start: int
    end: int


def _records(text: str) -> Iterator[_Record]:
    """Find the records of the arrays by their start tags only, because an end tag may be the defect."""
    starts = [found for found in _RECORD.finditer(text) if _begins(found)]
    wrappers = [_WRAPPER.search(text, max(0, found.start() - _NEAR), found.start()) for found in starts]
    limits = [*(found.start() for found in starts[1:]), len(text)]
    wrapper = ""
    for found, opened, following, limit in zip(starts, wrappers, [*wrappers[1:], True], limits, strict=False):
        wrapper = opened[1] if opened else wrapper
        closed = text.rfind(f"</{wrapper}>", found.end(), limit) if following else -1
        kind = "user" if found["first"] in _FIRST_OF_USER else "call"
        yield _Record(kind, found.start(), limit if closed < 0 else closed)


def _begins(found: re.Match[str]) -> bool:
    """Whether a tag starts a record, and not a wrapper, a field, or an item of an inner array."""
    if found["first"] in _FIRST_OF_USER:
        return found["name"] != "call"
    return found["first"] in _FIRST_OF_CALL and found["name"] not in {"user", found["first"]}


def _reads(content: str, parser: etree.XMLParser) -> bool:
    spaces = "".join(f' xmlns:{prefix}="x"' for prefix in set(_PREFIX.findall(content)))
    try:
        return len(etree.fromstring(f"<r{spaces}>{content}</r>", parser)) == 1
    except etree.XMLSyntaxError:
        return False


def _named(kind: str, number: int, content: str) -> str:
    """A user by its name; a call by its place, because the names in it are those of whoever calls."""
    found = None if kind == "call" else _LONG_NAME.search(content)
    name = "".join(one for one in found[1] if one.isprintable())[:NAME_SHOWN] if found else ""
    return f"{kind} record '{name}'" if name else f"{kind} record {number}"
