"""The operations that ask a PBX and change nothing: their arguments, and what their answers say. Pure.

FindUser, Calls, Devices and UserFindDestination answer with the records of a Poll, or with arrays whose items
have various names (docs/wire.md#arrays): decode.py reads them. soap.py decodes the rest.
"""

from collections.abc import Mapping

from lxml import etree

from bridge.core.commands.verbs.find import FindUsers
from bridge.core.commands.verbs.locate import LocatePbx
from bridge.core.message import Json
from bridge.pbx import decode

_NAMES = {"name": "cn", "short_name": "h323", "number": "e164"}
_DIALECT = dict.fromkeys(("v501", "v700", "v800", "vx1000"), "true")
"""Any text will do but an empty one (docs/wire.md#queries)."""


def find_user(action: FindUsers) -> Json:
    """One of the three names is a place in the sorted list of that name; `next` starts behind it."""
    names = dict.fromkeys(_NAMES.values(), "") | {_NAMES[action.by]: action.after or action.wanted}
    paging = {"count": action.limit, "next": int(bool(action.after)), "nohide": action.hidden}
    return {**_DIALECT, **names, **paging}


def users(answer: etree._Element) -> Json:
    """The users of a page; None for one that has no name."""
    return {"users": tuple(decode.user_record(item) for item in decode.items_of(answer))}


def calls(answer: etree._Element) -> Json:
    """The legs of a user. Their handles mean nothing (docs/wire.md#monitoring)."""
    return {"legs": tuple(decode.heard_leg(item).record for item in decode.items_of(answer))}


def devices(answer: etree._Element) -> Json:
    """The devices of a user: name in the configuration, and text."""
    return {"devices": tuple(decode.device(item) for item in decode.items_of(answer))}


def local_number(answer: object) -> Json:
    """A number as it is dialled from a user's node."""
    return {"number": _text(answer)}


def destination(answer: etree._Element) -> Json:
    """Whether a number is complete, and the user who has it."""
    incomplete, user = decode.destination(answer)
    return {"complete": not incomplete, "found": user}


def location_url(action: LocatePbx) -> Json:
    """The arguments of LocationUrl; the vendor's article calls `loc` location."""
    return {**_DIALECT, "loc": action.location, "tls": action.encrypted}


def url(answer: object) -> Json:
    """An address; empty where the PBX knows none."""
    return {"url": _text(answer)}


def document(answer: object) -> Json:
    """What Admin answers."""
    return {"xml": answer if isinstance(answer, str) else ""}


def version(answer: Mapping[str, object]) -> Json:
    """What the box says about itself; texts may have blanks at their end."""
    names = {
        "firmware": "FirmwareVersion",
        "serial": "SerialNumber",
        "location": "Location",
        "gatekeeper": "GatekeeperID",
    }
    return {name: _text(answer[part]) for name, part in names.items()}


def _text(value: object) -> str:
    return value.strip()[: decode.LONGEST_TEXT] if isinstance(value, str) else ""
