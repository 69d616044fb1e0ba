"""Parses the XML of a PBX: no DTD, no entities, no network; repaired where it has to be. No I/O, no SOAP.

A large document can be read while it grows, so that whoever reads it may throw away what was read.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import TypedDict

from lxml import etree

from bridge.errors import ProtocolError
from bridge.pbx.repair import NoiseError, repaired, without_bad_records

PIECE = 65_536
"""How many bytes of a growing document are parsed at once."""
MOST_TAGS = 250_000
"""About 6,000 users in one reply. The tree of more would take hundreds of MiB, even for a small body."""
SHOWN = 120
_SHORTEST_TAG = len(b"<a>")
_END = "Envelope>"
_PAGE = (b"<!doctype html", b"<html")
_AS_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
"""Maps the surrogates with which Python escapes bytes that are not UTF-8 to those bytes as Latin-1."""
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r")


class _Safely(TypedDict):
    resolve_entities: bool
    no_network: bool
    load_dtd: bool
    remove_comments: bool
    remove_pis: bool


_SAFELY = _Safely(
    resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
)
_PARSER = etree.XMLParser(**_SAFELY)


def parse_xml(body: bytes) -> tuple[etree._Element, tuple[str, ...]]:
    """The root, and descriptions of the records that had to be left out.

    Raises ProtocolError with the position of the first mistake, never with content (personal data).
    """
    _refuse(body)
    try:
        return without_dtd(etree.fromstring(body, _PARSER)), ()
    except etree.XMLSyntaxError:
        pass
    for version, unreadable in _repaired(body):
        with suppress(etree.XMLSyntaxError):
            return without_dtd(etree.fromstring(version, _PARSER)), unreadable
    raise AssertionError("the last version is followed by an error")  # pragma: no cover


def versions(body: bytes) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """What to parse until it is XML: a body, the same repaired, then without the records that are not XML.

    Each comes with descriptions of the records that are left out. Raises ProtocolError when none is left.
    """
    _refuse(body)
    yield body, ()
    yield from _repaired(body)


def _repaired(body: bytes) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    try:
        text = repaired(_as_utf8(body))
    except NoiseError:
        raise ProtocolError("the answer is not XML: it has too many defects to repair") from None
    yield text.encode(), ()
    # A truncated body must not lose its last records silently: their events would never come again.
    if text.rstrip().endswith(_END):
        whole, unreadable = without_bad_records(text)
        yield whole.encode(), unreadable
    raise ProtocolError(f"the answer is not XML (at {_first_mistake(text)})")


def growing(body: bytes) -> Iterator[tuple[etree._Element | None, bool]]:
    """The root of a document after each piece of it, None before it begins, and whether it is complete.

    While it is not, all but the last of its elements at each level are complete, and may be deleted.
    Raises XMLSyntaxError, also if the document ends too soon, and ProtocolError if it has a DTD.
    """
    if len(body) <= PIECE:
        yield without_dtd(etree.fromstring(body, _PARSER)), True
        return
    parser = etree.XMLPullParser(events=("start",), tag="{*}Envelope", **_SAFELY)
    root: etree._Element | None = None
    for start in range(0, len(body), PIECE):
        parser.feed(body[start : start + PIECE])
        if root is None:
            root = next((begun for _, begun in parser.read_events() if etree.iselement(begun)), None)
        yield root if root is None else without_dtd(root), False
    yield without_dtd(parser.close()), True


def without_dtd(root: etree._Element) -> etree._Element:
    """The root of a document. Raises ProtocolError if it has a DTD.

    A body in another encoding (UTF-16) hides the word from the search before parsing.
    """
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError("the answer carries a DTD, which is refused")
    return root


def local(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _refuse(body: bytes) -> None:
    """Refuse what would be dear to parse."""
    if body[:SHOWN].lstrip().lower().startswith(_PAGE):
        raise ProtocolError("the answer is a web page, not SOAP: is the address right?")
    if len(body) > MOST_TAGS * _SHORTEST_TAG and body.count(b"<") > MOST_TAGS:
        raise ProtocolError(f"the answer has more than {MOST_TAGS} elements, which is refused")
    # Before parsing, because the entities of a DTD could expand without end.
    if b"<!DOCTYPE" in body:
        raise ProtocolError("the answer carries a DTD, which is refused")


def _first_mistake(text: str) -> str:
    try:
        etree.fromstring(text.encode(), _PARSER)
    except etree.XMLSyntaxError as error:
        return f"line {error.lineno}, column {error.offset}" if error.lineno else "the start"
    return "an unknown place"


def _as_utf8(body: bytes) -> str:
    """Text of mixed UTF-8 and Latin-1 bytes, without the XML declaration, which could contradict it."""
    text = body.translate(None, _CONTROLS)
    if text.startswith(b"<?xml"):
        text = text[text.find(b"?>") + 2 :]
    return text.decode(errors="surrogateescape").translate(_AS_LATIN_1)
