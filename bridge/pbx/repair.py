"""Text that is almost XML → text that is: mends defects, else leaves out the records that have them.

For answers that a plain parser has refused; nothing else comes here. Linear in the size of the text. What
is cut off is not completed, and a DTD is not touched: both stay refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.entities import html5

from lxml import etree

MOST_DEFECTS = 20_000
"""More, and the answer is noise rather than names with odd characters."""
NAME_SHOWN = 40
_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DEFECT = re.compile(r"&(?:(#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);)?|<(?![A-Za-z_/!?])|\]\]>")
_UNKNOWN = "\ufffd"
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "]]>": "]]&gt;"}
_KNOWN = frozenset({"amp", "lt", "gt", "quot", "apos"})
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_QUOTED = r"""(?:[^<>"']|"[^<"]*"|'[^<']*')*?"""
_ATTRIBUTES = re.compile(rf"<([A-Za-z_][\w:.-]*)\s(?![^<>]*xmlns)(?:{_QUOTED}|[^<>]*?)(/?)>")
"""Attributes as XML has them, with a > in quotes; else up to the next >, as quotes may be the defect."""
_RECORD = re.compile(
    r"<(?P<tag>(?:[\w.-]+:)?(?P<name>user|call|item))>(?=\s*<(?:[\w.-]+:)?(?P<first>[A-Za-z_][\w.-]*))"
)
_FIRST_OF_USER, _FIRST_OF_CALL = frozenset({"active", "guid", "cn"}), frozenset({"user", "call", "reg"})
_WRAPPER = re.compile(r"<((?:[\w.-]+:)?(?:user|call|return))>\s*\Z")
_NEAR = 200
_PREFIX = re.compile(r"</?([\w.-]+):")
_LONG_NAME = re.compile(r"<(?:[\w.-]+:)?cn>([^<]*)")


class NoiseError(Exception):
    """There are too many defects to be worth mending."""


def mended(text: str) -> str:
    """The text without characters, references and signs that XML forbids. Raises NoiseError.

    A character that XML cannot carry becomes U+FFFD; what looks like markup but is none is escaped.
    """
    first, *rest = _FORBIDDEN.sub(_UNKNOWN, text).split(_CDATA)
    mend = _Mender()
    parts = [mend(first)]
    for part in rest:
        data, end, after = part.partition(_CDATA_END)
        parts += (_CDATA, data, end, mend(after)) if end else ("&lt;![CDATA[", mend(data))
    return "".join(parts)


def without_bad_records(text: str) -> tuple[str, tuple[str, ...]]:
    """The text without the records that are no XML, and for each its kind and its name or position.

    Attributes are dropped: none of a record means anything to us, and one may be the defect.
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


class _Mender:
    """Mends one text after another, up to so many defects in all."""

    def __init__(self) -> None:
        self._left = MOST_DEFECTS

    def __call__(self, text: str) -> str:
        return _DEFECT.sub(self._mend, text)

    def _mend(self, found: re.Match[str]) -> str:
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
    """What a numeric reference stands for, where XML allows it."""
    base, digits = (16, number[1:]) if number[:1] in "xX" else (10, number)
    digits = digits.lstrip("0") or "0"
    value = int(digits, base) if len(digits) <= len("1114111") else 0
    allowed = 0 < value <= 0x10FFFF and not _FORBIDDEN.match(chr(value))  # noqa: PLR2004  (the last character)
    return f"&#{value};" if allowed else _UNKNOWN


@dataclass(frozen=True, slots=True)
class _Record:
    """Where a record begins and ends in the text, and what it is."""

    kind: str
    start: int
    end: int


def _records(text: str) -> Iterator[_Record]:
    """The records of the arrays. Only their beginnings are looked for: an end may be the defect."""
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
    """The tag begins a record: it is no wrapper, no field, and no entry of an array within a record."""
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
    found = _LONG_NAME.search(content)
    name = "".join(one for one in found[1] if one.isprintable())[:NAME_SHOWN] if found else ""
    return f"{kind} record '{name}'" if name else f"{kind} record {number}"
