"""How each action is asked of the PBX: a table from actions to SOAP operations and arguments. Pure.

A verb whose action is one operation needs one row here, and nothing else in this room.
The vendor's argument names end here. Sessions, handles of users and the network are session.py's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.admin import RunAdmin
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.commands.verbs.calls import ListCalls
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.devices import ListDevices
from bridge.core.commands.verbs.find import FindUsers
from bridge.core.commands.verbs.hold import Hold
from bridge.core.commands.verbs.localize import LocalizeNumber
from bridge.core.commands.verbs.locate import LocatePbx
from bridge.core.commands.verbs.presence import SetPresence
from bridge.core.commands.verbs.reachable import FindDestination
from bridge.core.commands.verbs.retrieve import Retrieve
from bridge.core.commands.verbs.version import AskVersion
from bridge.core.message import Json
from bridge.core.model import User
from bridge.pbx import queries

Arguments = Mapping[str, object]
Kind = TypeVar("Kind", bound=Action)


@dataclass(frozen=True, slots=True)
class Operation:
    """One SOAP operation that performs an action.

    `refusal`: what an answer of 0 means; empty for an operation that answers nothing.
    `user`: the user whose handle is the argument `user`; the session monitors this user if need be.
    `starts_call`: the answer is the leg of a call that this user has now.
    `in_session`: the handle of the session is the argument `session`.
    `reply`: the fields of the reply, from an answer that was no refusal.
    `raw`: `reply` reads the XML of the answer, for what decode.py reads.
    """

    name: str
    arguments: Callable[[Any], Arguments]
    refusal: str = ""
    user: Callable[[Any], User] | None = None
    starts_call: bool = False
    in_session: bool = False
    reply: Callable[[Any], Json] = lambda _: {}
    raw: bool = False


def _row(
    kind: type[Kind],
    name: str,
    arguments: Callable[[Kind], Arguments],
    *,
    refusal: str = "",
    user: Callable[[Kind], User] | None = None,
    starts_call: bool = False,
    in_session: bool = False,
    reply: Callable[[Any], Json] = lambda _: {},
    raw: bool = False,
) -> tuple[type[Action], Operation]:
    """A row of the table; here the types of an action and of its functions are held together."""
    return kind, Operation(name, arguments, refusal, user, starts_call, in_session, reply, raw)


def _user_call(action: PlaceCall) -> Arguments:
    """A leading r withholds the caller's number (docs/wire.md#call-control)."""
    return {
        "cn": action.name,
        "e164": action.number,
        "h323": action.short_name,
        "reg": 0,
        "info": [],
        "rc": action.facility,
        "srce164": ("r" if action.anonymous else "") + action.from_number,
    }


def _set_presence(action: SetPresence) -> Arguments:
    record = action.user.record
    presence = {"activity": action.activity, "note": action.note}
    if action.status is not None:
        presence["status"] = action.status
    return {
        "presence": presence,
        "im": action.im,
        "contact": action.contact,
        # decode.py makes up a guid for a user that has none; * lets the short name decide.
        "guid": "*" if record.guid.startswith("name:") else record.guid,
        "h323": record.short_name,
    }


OPERATIONS: Mapping[type[Action], Operation] = dict(
    (
        _row(
            PlaceCall,
            "UserCall",
            _user_call,
            refusal="the PBX placed no call",
            user=lambda do: do.user,
            starts_call=True,
        ),
        # Cause 26 frees the phone at once, others leave it with a tone (docs/wire.md#call-control).
        _row(HangUp, "UserClear", lambda do: {"call": do.call.leg_handle, "cause": do.cause, "info": []}),
        _row(Hold, "UserHold", lambda do: {"call": do.call.leg_handle, "remote": do.remote_music}),
        _row(Retrieve, "UserRetrieve", lambda do: {"call": do.call.leg_handle}),
        _row(SetPresence, "SetPresence", _set_presence, refusal="the PBX did not accept the presence"),
        _row(FindUsers, "FindUser", queries.find_user, reply=queries.users, raw=True),
        _row(
            ListCalls,
            "Calls",
            lambda do: {"user": do.user.record.name},
            in_session=True,
            reply=queries.calls,
            raw=True,
        ),
        _row(
            ListDevices,
            "Devices",
            lambda do: {"user": do.user.record.name},
            in_session=True,
            reply=queries.devices,
            raw=True,
        ),
        _row(
            LocalizeNumber,
            "UserLocalNum",
            lambda do: {"num": do.number},
            user=lambda do: do.user,
            reply=queries.local_number,
        ),
        _row(
            FindDestination,
            "UserFindDestination",
            lambda do: {"e164": do.number, "h323": do.short_name},
            user=lambda do: do.user,
            reply=queries.destination,
            raw=True,
        ),
        _row(LocatePbx, "LocationUrl", queries.location_url, reply=queries.url),
        _row(RunAdmin, "Admin", lambda do: {"xml": do.xml}, reply=queries.document),
        _row(AskVersion, "Version", lambda _: {}, reply=queries.version),
    )
)
"""Ping and Resync are missing: they are questions to the session itself. SetForwards is for forwards.py."""
