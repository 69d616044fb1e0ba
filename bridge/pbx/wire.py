"""Decodes the Poll reply, the hot path: bytes → records. No I/O.

It accepts everything that firmware may send, not only what the WSDL allows: see docs/wire.md#arrays and
docs/wire.md#robustness. Item names, order, xsi:type, arrayType and extra elements do not matter; missing
and nil elements read as empty. A record that is not XML costs only itself, see repair.py.
Never accepted: a DTD, a body that is not a SOAP envelope, a truncated body.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from bridge.core.records import UserRecord
from bridge.errors import ProtocolError, SessionLost
from bridge.pbx.decode import HeardLeg, heard_leg, user_record
from bridge.pbx.repair import NoiseError, repaired, without_bad_records

SLICE = 256
SHOWN = 120
_ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
MOST_TAGS = 250_000
"""About 6,000 users in one reply. The tree of more would take hundreds of MiB, even for a small body."""
_END = "Envelope>"
_PAGE = (b"<!doctype html", b"<html")
_AS_LATIN_1 = {0xDC00 + byte: byte for byte in range(0x80, 0x100)}
"""Maps the surrogates with which Python escapes bytes that are not UTF-8 to those bytes as Latin-1."""
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r")


@dataclass(frozen=True, slots=True)
class PollSlice:
    """A part of a Poll reply: a Batch whose legs still belong to handles of the session."""

    users: tuple[UserRecord, ...] = ()
    legs: tuple[HeardLeg, ...] = ()
    list_complete: bool = False
    unreadable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.legs or self.list_complete or self.unreadable)


class SoapFault(SessionLost):
    """The PBX refused the request, or does not know the session (docs/wire.md#open-questions)."""

    answered = True


def decode_poll(body: bytes) -> Iterator[PollSlice]:
    """Yield the content of a Poll reply in slices, so that other links get their turn in between.

    Raises ProtocolError if it is not a Poll reply, and SoapFault.
    """
    answer, unreadable = parse_answer(body)
    result = next(iter(answer), None)
    users = _items(result, "user", "cn")
    calls = _items(result, "call", "call")
    for start in range(0, max(len(users), len(calls), 1), SLICE):
        yield _slice(users[start : start + SLICE], calls[start : start + SLICE], unreadable)
        unreadable = ()


def answer_element(body: bytes) -> etree._Element:
    """The answer to an operation, undecoded. Raises as `decode_poll` does."""
    return parse_answer(body)[0]


def parse_answer(body: bytes) -> tuple[etree._Element, tuple[str, ...]]:
    """The first element in the SOAP body, and descriptions of the records that had to be left out.

    Raises as `decode_poll` does.
    """
    root, unreadable = parse_xml(body)
    if etree.QName(root).localname != "Envelope":
        raise ProtocolError(f"the answer is not SOAP but <{etree.QName(root).localname[:SHOWN]}>")
    answer = next(iter(root.iterfind(f"{_ENVELOPE}Body/*")), None)
    if answer is None:
        raise ProtocolError("the SOAP answer is empty")
    if answer.tag == f"{_ENVELOPE}Fault":
        raise SoapFault(f"the PBX answered with a fault: {fault_text(answer)}")
    return answer, unreadable


def fault_text(fault: etree._Element) -> str:
    """The text of a SOAP fault, shortened to one line."""
    text = " ".join(" ".join(str(part) for part in fault.itertext()).split())
    return text[:SHOWN] or "no text"


def parse_xml(body: bytes) -> tuple[etree._Element, tuple[str, ...]]:
    """Parse without DTD, entities or network; return the root and the records that had to be left out.

    Raises ProtocolError with the position of the first mistake, never with content (personal data).
    """
    if body[:SHOWN].lstrip().lower().startswith(_PAGE):
        raise ProtocolError("the answer is a web page, not SOAP: is the address right?")
    if body.count(b"<") > MOST_TAGS:
        raise ProtocolError(f"the answer has more than {MOST_TAGS} elements, which is refused")
    # Before parsing, because the entities of a DTD could expand without end; after it once more, because a
    # body in another encoding (UTF-16) hides the word from this search.
    if b"<!DOCTYPE" in body:
        raise ProtocolError("the answer carries a DTD, which is refused")
    unreadable: tuple[str, ...] = ()
    try:
        root = _parse(body)
    except etree.XMLSyntaxError:
        root, unreadable = _parse_repaired(body)
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError("the answer carries a DTD, which is refused")
    return root, unreadable


def _parse_repaired(body: bytes) -> tuple[etree._Element, tuple[str, ...]]:
    """Parse after repair, then without irreparable records. A truncated body stays refused."""
    try:
        text = repaired(_as_utf8(body))
    except NoiseError:
        raise ProtocolError("the answer is not XML: it has too many defects to repair") from None
    try:
        return _parse(text.encode()), ()
    except etree.XMLSyntaxError as error:
        place = f"line {error.lineno}, column {error.offset}" if error.lineno else "the start"
        refusal = ProtocolError(f"the answer is not XML (at {place})")
    # A truncated body must not lose its last records silently: their events would never come again.
    if not text.rstrip().endswith(_END):
        raise refusal
    text, unreadable = without_bad_records(text)
    try:
        return _parse(text.encode()), unreadable
    except etree.XMLSyntaxError:
        raise refusal from None


def _parse(body: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    return etree.fromstring(body, parser)


def _as_utf8(body: bytes) -> str:
    """Text of mixed UTF-8 and Latin-1 bytes, without the XML declaration, which could contradict it."""
    text = body.translate(None, _CONTROLS)
    if text.startswith(b"<?xml"):
        text = text[text.find(b"?>") + 2 :]
    return text.decode(errors="surrogateescape").translate(_AS_LATIN_1)


def _items(result: etree._Element | None, name: str, member: str) -> list[etree._Element]:
    """The records of an array, with or without a wrapper element (docs/wire.md#arrays)."""
    if result is None:
        return []
    found: list[etree._Element] = []
    for wrapper in result:
        if etree.QName(wrapper).localname == name:
            flat = any(child.tag == member and not len(child) for child in wrapper)
            found.extend([wrapper] if flat else wrapper)
    return found


def _slice(
    users: list[etree._Element], calls: list[etree._Element], unreadable: tuple[str, ...]
) -> PollSlice:
    records = [user_record(element) for element in users]
    named = tuple(record for record in records if record is not None)
    return PollSlice(
        users=named,
        legs=tuple(heard_leg(element) for element in calls),
        list_complete=len(named) < len(records),
        unreadable=unreadable,
    )
