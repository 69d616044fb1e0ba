"""Decodes one UserInfo or CallInfo element into a record. Never fails: missing or odd values read as empty.

The vendor's words end here: cn is the name, dn the display name, h323 the short name, e164 the number. Texts
keep even their outer blanks, because the PBX identifies its objects by the exact text.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from lxml import etree

from bridge.core.records import CallState, Group, LegRecord, Party, Presence, ReleasedBy, UserRecord

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
_NO_PARTY = Party()
LONGEST_TEXT = 1024
LONGEST_LIST, ITEM_COSTS = 32_768, 16
"""Characters of all groups, or of all addresses, of a user; each item counts ITEM_COSTS more. About 1,000."""
LONGEST_NUMBER, LARGEST = 20, 2**31


@dataclass(frozen=True, slots=True)
class HeardLeg:
    """A leg as a Poll reply has it: with the session's handle of its user, not yet with the user's guid."""

    user_handle: int
    record: LegRecord


def user_record(element: etree._Element) -> UserRecord | None:
    """A user, or None for the record with an empty long name that ends the first list (docs/wire.md#poll)."""
    fields = _children(element)
    name, guid = _text(fields, "cn"), _text(fields, "guid")
    if not name or not (name.strip() or guid):
        return None
    kind = _word(fields, "type")
    presence = _children(fields["presence"]) if "presence" in fields else {}
    return UserRecord(
        # Without a guid the long name identifies the user, which is unique at a PBX but may be renamed.
        guid=guid or f"name:{name}",
        name=name,
        display_name=_text(fields, "dn"),
        short_name=_text(fields, "h323"),
        number=_text(fields, "e164"),
        type=kind,
        active=_word(fields, "active") not in {"false", "0"},
        registered=_number(fields, "state") != 0,
        channels=_number(fields, "channel"),
        alerting=_number(fields, "alert"),
        presence=Presence(_word(presence, "activity"), _word(presence, "status"), _text(presence, "note")),
        groups=_within(map(_group, _items(fields, "groups")), lambda group: group.name),
        emails=_within(filter(str.strip, map(_email, _items(fields, "email"))), str),
        location=_text(fields, "loc"),
        node=_text(fields, "node"),
        reconfigured=_word(fields, "cfg") in {"true", "1"},
        is_switch=bool({kind.lower(), _word(fields, "object").lower()} & _SWITCH_TYPES),
    )


def heard_leg(element: etree._Element) -> HeardLeg:
    """A leg. Bits: docs/wire.md#leg-state, unknown ones are ignored; parties: docs/wire.md#parties."""
    fields = _children(element)
    bits = _number(fields, "state")
    parties = _parties(fields)
    info = _info(fields)
    taken_from = parties.get("ct")
    picked_up = "picking" in parties
    cause, uui = info.get("cause"), info.get("uui")
    record = LegRecord(
        user="",
        leg_handle=_number(fields, "call"),
        state=_STATES.get(bits & _STATE_MASK, CallState.SETUP),
        ended=_word(fields, "active") in {"false", "0"},
        to_user=bool(bits & _TO_USER),
        held=bool(bits & _HELD),
        held_by_remote=bool(bits & _HELD_BY_REMOTE),
        remote=parties.get("peer", _NO_PARTY),
        local=parties.get("this", _NO_PARTY),
        diverted_from=parties.get("leg2"),
        first_diverted_from=parties.get("leg2orig"),
        transferred_by=None if picked_up else taken_from,
        transferred_to=parties.get("xfer"),
        parked_at=parties.get("parked-to"),
        picked_up_from=taken_from or parties.get("picking") if picked_up else None,
        conference=info.get("conf", (0, ""))[1],
        cause=cause[0] & 0x7F if cause else None,
        # Percent-encoded from 13r3; unquoting leaves older texts alone unless they hold a % and two digits.
        uui=unquote(uui[1]) if uui and uui[1] else None,
        released_by=_released_by(bits & _STATE_MASK, _word(fields, "msg")),
        text_delivered=_word(fields, "msg") == "msg-sent",
    )
    return HeardLeg(_number(fields, "user"), record)


def items_of(answer: etree._Element) -> list[etree._Element]:
    """The items of the array that an operation has returned, whatever they are called."""
    return _items(_children(answer), "return")


def device(element: etree._Element) -> tuple[str, str]:
    """A device of a user: its name in the configuration, and its text."""
    fields = _children(element)
    return _text(fields, "hw"), _text(fields, "text")


def destination(answer: etree._Element) -> tuple[bool, UserRecord | None]:
    """Whether a number is incomplete, and the user who has it (docs/wire.md#queries)."""
    fields = _children(answer)
    found = user_record(fields["user"]) if "user" in fields else None
    return _word(fields, "return") in {"true", "1"}, found


def _released_by(state: int, message: str) -> ReleasedBy | None:
    """The side that hung up: from the disconnect's direction, else the message (docs/wire.md#messages)."""
    if state == _DISC_RECEIVED or message in {"x-rel", "x-disc"}:
        return ReleasedBy.USER
    if state == _DISC_SENT or message in {"r-rel", "r-disc"}:
        return ReleasedBy.REMOTE
    return None


def _parties(fields: dict[str, etree._Element]) -> dict[str, Party]:
    parties: dict[str, Party] = {}
    for item in _items(fields, "No"):
        ends = _children(item)
        party = Party(_text(ends, "e164"), _text(ends, "cn"), _text(ends, "dn"), _text(ends, "h323"))
        parties.setdefault(_word(ends, "type"), party)
    return parties


def _info(fields: dict[str, etree._Element]) -> dict[str, tuple[int, str]]:
    entries = (_children(item) for item in _items(fields, "info"))
    return {_word(entry, "type"): (_number(entry, "vali"), _text(entry, "vals")) for entry in entries}


def _within(items: Iterable[Item], text_of: Callable[[Item], str]) -> tuple[Item, ...]:
    """The first items of a list, up to LONGEST_LIST."""
    taken: list[Item] = []
    left = LONGEST_LIST
    for item in items:
        left -= len(text_of(item)) + ITEM_COSTS
        if left < 0:
            break
        taken.append(item)
    return tuple(taken)


def _email(item: etree._Element) -> str:
    return (item.text or "")[:LONGEST_TEXT]


def _group(item: etree._Element) -> Group:
    fields = _children(item)
    return Group(_text(fields, "group"), active=_word(fields, "active") in {"true", "1"})


def _children(element: etree._Element) -> dict[str, etree._Element]:
    """Child elements by local name; the first of several wins, such as of two presences."""
    fields: dict[str, etree._Element] = {}
    for child in element:
        fields.setdefault(child.tag.rpartition("}")[2], child)
    return fields


def _items(fields: dict[str, etree._Element], name: str) -> list[etree._Element]:
    wrapper = fields.get(name)
    return [] if wrapper is None else list(wrapper)


def _text(fields: dict[str, etree._Element], name: str) -> str:
    element = fields.get(name)
    return "" if element is None else (element.text or "")[:LONGEST_TEXT]


def _word(fields: dict[str, etree._Element], name: str) -> str:
    """A keyword, such as a type or a boolean; blanks around it mean nothing."""
    return _text(fields, name).strip()


def _number(fields: dict[str, etree._Element], name: str) -> int:
    """An xsd:int, the only number type of the interface; anything else reads as 0."""
    try:
        value = int(_word(fields, name)[:LONGEST_NUMBER] or 0)
    except ValueError:
        return 0
    return value if abs(value) <= LARGEST else 0
