"""Decodes one UserInfo or CallInfo element into a record. Never fails: missing or odd values read as empty.

The vendor's words end here: cn is the name, dn the display name, h323 the short name, e164 the number. Texts
keep even their outer blanks, because the PBX identifies its objects by the exact text.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, takewhile
from typing import TypeVar
from urllib.parse import unquote

from lxml import etree

from bridge.core.records import CallState, Group, LegRecord, Party, Presence, ReleasedBy, UserRecord
from bridge.core.value import Value

Item = TypeVar("Item")
_STATE_MASK, _TO_USER, _HELD, _HELD_BY_REMOTE = 0x00F, 0x080, 0x100, 0x200
_DISC_SENT, _DISC_RECEIVED = 6, 7
_STATES = {
    4: CallState.RINGING,
    5: CallState.CONNECTED,
    _DISC_SENT: CallState.DISCONNECTING,
    _DISC_RECEIVED: CallState.DISCONNECTING,
    8: CallState.PARKED,
}
_SWITCH_TYPES = frozenset({"bool", "boolean"})
_NO_PARTY, _NO_PRESENCE = Party(), Presence()
_NOTHING: Mapping[str, str] = {}
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})
LONGEST_TEXT = 1024
LONGEST_LIST, ITEM_COSTS = 32_768, 16
"""Characters of all groups, or of all addresses, of a user; each item counts ITEM_COSTS more. About 1,000."""
LONGEST_NUMBER, LARGEST = 20, 2**31


class HeardLeg(Value, frozen=True):
    """A leg as a Poll reply has it: with the session's handle of its user, not yet with the user's guid."""

    user_handle: int
    record: LegRecord


def user_record(element: etree._Element) -> UserRecord | None:
    """A user, or None for the record with an empty long name that ends the first list (docs/wire.md#poll)."""
    field = _fields(element, "cn").get
    name, guid = _text(field("cn")), _text(field("guid"))
    if not name or not (name.strip() or guid):
        return None
    kind = _text(field("type")).strip()
    return UserRecord(
        # Without a guid the long name identifies the user, which is unique at a PBX but may be renamed.
        guid=guid or f"name:{name}",
        name=name,
        display_name=_text(field("dn")),
        short_name=_text(field("h323")),
        number=_text(field("e164")),
        type=kind,
        active=_text(field("active")).strip() not in _NO,
        registered=_number(field("state")) != 0,
        channels=_number(field("channel")),
        alerting=_number(field("alert")),
        presence=_presence(field("presence")),
        groups=_groups(field("groups")),
        emails=_emails(field("email")),
        location=_text(field("loc")),
        node=_text(field("node")),
        reconfigured=_text(field("cfg")).strip() in _YES,
        is_switch=kind.lower() in _SWITCH_TYPES or _text(field("object")).strip().lower() in _SWITCH_TYPES,
    )


def heard_leg(element: etree._Element) -> HeardLeg:
    """A leg. Bits: docs/wire.md#leg-state, unknown ones are ignored; parties: docs/wire.md#parties."""
    field = _fields(element, "call").get
    bits, message = _number(field("state")), _text(field("msg")).strip()
    party = _parties(field("No")).get
    info = _by_type(field("info"), "vali").get
    taken_from, picking = party("ct"), party("picking")
    cause, uui = info("cause"), info("uui", _NOTHING).get("vals")
    record = LegRecord(
        user="",
        leg_handle=_number(field("call")),
        state=_STATES.get(bits & _STATE_MASK, CallState.SETUP),
        ended=_text(field("active")).strip() in _NO,
        to_user=bits & _TO_USER != 0,
        held=bits & _HELD != 0,
        held_by_remote=bits & _HELD_BY_REMOTE != 0,
        remote=party("peer", _NO_PARTY),
        local=party("this", _NO_PARTY),
        diverted_from=party("leg2"),
        first_diverted_from=party("leg2orig"),
        transferred_by=taken_from if picking is None else None,
        transferred_to=party("xfer"),
        parked_at=party("parked-to"),
        picked_up_from=None if picking is None else taken_from or picking,
        conference=info("conf", _NOTHING).get("vals", ""),
        cause=None if cause is None else _int(cause.get("vali", "")) & 0x7F,
        # Percent-encoded from 13r3; unquoting leaves older texts alone unless they hold a % and two digits.
        uui=unquote(uui) if uui else None,
        released_by=_released_by(bits & _STATE_MASK, message),
        text_delivered=message == "msg-sent",
    )
    return HeardLeg(_number(field("user")), record)


def items_of(answer: etree._Element) -> list[etree._Element]:
    """The items of the array that an operation has returned, whatever they are called."""
    array = _fields(answer, "return").get("return")
    return [] if array is None else list(array)


def device(element: etree._Element) -> tuple[str, str]:
    """A device of a user: its name in the configuration, and its text."""
    texts = _texts(element, "hw")
    return texts.get("hw", ""), texts.get("text", "")


def destination(answer: etree._Element) -> tuple[bool, UserRecord | None]:
    """Whether a number is incomplete, and the user who has it (docs/wire.md#queries)."""
    field = _fields(answer, "return").get
    user = field("user")
    return _text(field("return")).strip() in _YES, None if user is None else user_record(user)


def _released_by(state: int, message: str) -> ReleasedBy | None:
    """The side that hung up: from the disconnect's direction, else the message (docs/wire.md#messages)."""
    if state == _DISC_RECEIVED or message in {"x-rel", "x-disc"}:
        return ReleasedBy.USER
    if state == _DISC_SENT or message in {"r-rel", "r-disc"}:
        return ReleasedBy.REMOTE
    return None


def _presence(element: etree._Element | None) -> Presence:
    if element is None:
        return _NO_PRESENCE
    text = _texts(element, "activity").get
    return Presence(text("activity", "").strip(), text("status", "").strip(), text("note", ""))


def _groups(array: etree._Element | None) -> tuple[Group, ...]:
    return () if array is None else _within([_group(item) for item in array], lambda group: group.name)


def _group(item: etree._Element) -> Group:
    text = _texts(item, "group").get
    return Group(text("group", ""), text("active", "").strip() in _YES)


def _emails(array: etree._Element | None) -> tuple[str, ...]:
    return () if array is None else _within(list(filter(str.strip, map(_text, array))), str)


def _parties(array: etree._Element | None) -> dict[str, Party]:
    return {
        kind: Party(text.get("e164", ""), text.get("cn", ""), text.get("dn", ""), text.get("h323", ""))
        for kind, text in _by_type(array, "e164").items()
    }


def _by_type(array: etree._Element | None, usual: str) -> dict[str, dict[str, str]]:
    """The texts of each item of an array by its type; the first of a type wins."""
    items = () if array is None else [_texts(item, usual) for item in reversed(array)]
    return {item.get("type", "").strip(): item for item in items}


def _within(items: Sequence[Item], text_of: Callable[[Item], str]) -> tuple[Item, ...]:
    """The first items of a list, up to LONGEST_LIST."""
    if len(items) * (LONGEST_TEXT + ITEM_COSTS) <= LONGEST_LIST:
        return tuple(items)
    costs = accumulate(len(text_of(item)) + ITEM_COSTS for item in items)
    return tuple(items[: sum(1 for _ in takewhile(LONGEST_LIST.__ge__, costs))])


def _fields(element: etree._Element, usual: str) -> dict[str, etree._Element]:
    """Child elements by local name; the first of several wins, such as of two presences.

    `usual` is one that is there, as a rule. If it is not, the names may have a namespace.
    """
    fields = {child.tag: child for child in reversed(element)}
    return fields if usual in fields else {_local(name): child for name, child in fields.items()}


def _texts(element: etree._Element, usual: str) -> dict[str, str]:
    """The texts of the child elements: see `_fields`."""
    texts = {child.tag: (child.text or "")[:LONGEST_TEXT] for child in reversed(element)}
    return texts if usual in texts else {_local(name): text for name, text in texts.items()}


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _text(element: etree._Element | None) -> str:
    return "" if element is None else (element.text or "")[:LONGEST_TEXT]


def _number(element: etree._Element | None) -> int:
    return 0 if element is None else _int(element.text or "")


def _int(text: str) -> int:
    """An xsd:int, the only number type of the interface; anything else reads as 0."""
    try:
        value = int(text.strip()[:LONGEST_NUMBER] or 0)
    except ValueError:
        return 0
    return value if abs(value) <= LARGEST else 0
