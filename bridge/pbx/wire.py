"""Decodes the Poll reply, the hot path: bytes → records. No I/O.

It accepts everything that firmware may send, not only what the WSDL allows: see docs/wire.md#arrays and
docs/wire.md#robustness. Item names, order, xsi:type, arrayType and extra elements do not matter; missing
and nil elements read as empty. A record that is not XML costs only itself, see repair.py.
Never accepted: a DTD, a body that is not a SOAP envelope, a truncated body.
"""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from lxml import etree

from bridge.core.records import UserRecord
from bridge.core.value import Value
from bridge.errors import ProtocolError, SessionLost
from bridge.pbx.decode import HeardLeg, heard_leg, user_record
from bridge.pbx.parse import SHOWN, growing, local, parse_xml, versions

SLICE = 64
Record = TypeVar("Record")
_BODY, _FAULT = (f"{{http://schemas.xmlsoap.org/soap/envelope/}}{name}" for name in ("Body", "Fault"))


class PollSlice(Value, frozen=True):
    """A part of a Poll reply: a Batch whose legs still belong to handles of the session."""

    users: tuple[UserRecord, ...] = ()
    legs: tuple[HeardLeg, ...] = ()
    list_complete: bool = False
    unreadable: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.legs or self.list_complete or self.unreadable)


NOTHING_YET = PollSlice()


class SoapFault(SessionLost):
    """The PBX refused the request, or does not know the session (docs/wire.md#open-questions)."""

    answered = True


def decode_poll(body: bytes) -> Iterator[PollSlice]:
    """Yield the content of a Poll reply in slices, so that other links get their turn in between.

    Nothing is yielded before the whole reply was read: while a large one is read, empty slices come.
    Raises ProtocolError if it is not a Poll reply, and SoapFault.
    """
    for version, unreadable in versions(body):
        records = Records()
        try:
            for root, whole in growing(version):
                records.take(root, whole=whole)
                if not whole:
                    yield NOTHING_YET
        except etree.XMLSyntaxError:
            continue
        yield from records.slices(unreadable)
        return


def answer_element(body: bytes) -> etree._Element:
    """The answer to an operation, undecoded. Raises as `decode_poll` does."""
    return _answer_in(parse_xml(body)[0])


def _answer_in(root: etree._Element) -> etree._Element:
    """The first element in the SOAP body."""
    name = local(root)
    if name != "Envelope":
        raise ProtocolError(f"the answer is not SOAP but <{name[:SHOWN]}>")
    answer = _first_in_body(root)
    if answer is None:
        raise ProtocolError("the SOAP answer is empty")
    if answer.tag == _FAULT:
        raise SoapFault(f"the PBX answered with a fault: {fault_text(answer)}")
    return answer


def _first_in_body(root: etree._Element) -> etree._Element | None:
    for part in root:
        if part.tag == _BODY:
            for answer in part:
                return answer
    return None


def fault_text(fault: etree._Element) -> str:
    """The text of a SOAP fault, shortened to one line."""
    text = " ".join(" ".join(str(part) for part in fault.itertext()).split())
    return text[:SHOWN] or "no text"


class Records:
    """The records of one reply, taken out of its tree while that grows."""

    def __init__(self) -> None:
        self._users: _Array[UserRecord | None] = _Array("user", "cn", user_record)
        self._legs: _Array[HeardLeg] = _Array("call", "call", heard_leg)

    def take(self, root: etree._Element | None, *, whole: bool) -> None:
        """Decode what is complete, and delete it unless the tree is. Raises as `decode_poll` does."""
        if root is None:
            return
        answer = _answer_in(root) if whole else _first_in_body(root)
        for result in [] if answer is None else list(answer)[:1]:
            for array in result:
                complete = whole or array.getnext() is not None
                for kind in (self._users, self._legs):
                    kind.take(array, whole=complete)
            if not whole:
                del result[:-1]

    def slices(self, unreadable: tuple[str, ...]) -> Iterator[PollSlice]:
        """What was taken, at least one slice."""
        users, legs = self._users.records, self._legs.records
        for start in range(0, max(len(users), len(legs), 1), SLICE):
            some = users[start : start + SLICE]
            named = tuple(record for record in some if record is not None)
            yield PollSlice(
                users=named,
                legs=tuple(legs[start : start + SLICE]),
                list_complete=len(named) < len(some),
                unreadable=unreadable,
            )
            unreadable = ()


class _Array(Generic[Record]):
    """The records of an array, with or without a wrapper element (docs/wire.md#arrays)."""

    def __init__(self, name: str, member: str, decode: Callable[[etree._Element], Record]) -> None:
        self.records: list[Record] = []
        self._name = name
        self._member = member
        self._decode = decode
        self._wrapped = False

    def take(self, array: etree._Element, *, whole: bool) -> None:
        """Decode the items of an element that are complete, if it is an array of this name.

        While it grows, they are deleted, and items are taken only if the first one shows that they are items.
        """
        if local(array) != self._name:
            return
        self._wrapped = self._wrapped or self._begins_with_item(array)
        if whole:
            flat = not self._wrapped and any(child.tag == self._member and not len(child) for child in array)
            self.records.extend(map(self._decode, [array] if flat else array))
            self._wrapped = False
        elif self._wrapped:
            self.records.extend(map(self._decode, list(array)[:-1]))
            del array[:-1]

    def _begins_with_item(self, array: etree._Element) -> bool:
        return len(array) > 0 and len(array[0]) > 0 and local(array[0]) in {self._name, "item"}
