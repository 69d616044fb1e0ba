"""How each action is asked of the PBX: a table from actions to SOAP operations and arguments. Pure.

A verb whose action is one operation needs one row here, and nothing else in this room.
The vendor's argument names end here. Sessions, handles of users and the network are session.py's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from bridge.core.commands.callee import Callee
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.admin import RunAdmin
from bridge.core.commands.verbs.answer import AnswerCall
from bridge.core.commands.verbs.call import PlaceCall
from bridge.core.commands.verbs.calls import ListCalls
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.devices import ListDevices
from bridge.core.commands.verbs.display import ShowParty
from bridge.core.commands.verbs.dtmf import SendDigits
from bridge.core.commands.verbs.facility import SendFacility
from bridge.core.commands.verbs.find import FindUsers
from bridge.core.commands.verbs.hold import Hold
from bridge.core.commands.verbs.keypad import SendInformation
from bridge.core.commands.verbs.localize import LocalizeNumber
from bridge.core.commands.verbs.locate import LocatePbx
from bridge.core.commands.verbs.media import JoinMedia
from bridge.core.commands.verbs.message import SendMessage
from bridge.core.commands.verbs.park import Park
from bridge.core.commands.verbs.pickup import PickUp
from bridge.core.commands.verbs.presence import SetPresence
from bridge.core.commands.verbs.reachable import FindDestination
from bridge.core.commands.verbs.redirect import Redirect
from bridge.core.commands.verbs.reroute import Reroute
from bridge.core.commands.verbs.retrieve import Retrieve
from bridge.core.commands.verbs.transfer import Transfer
from bridge.core.commands.verbs.uui import SendUserText
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
    `starts_call`: the user who has a new call now; its leg is the answer.
    `sends_text`: that call is no conversation but a text message.
    `in_session`: the handle of the session is the argument `session`.
    `reply`: the fields of the reply, from an answer that was no refusal.
    `raw`: `reply` reads the XML of the answer, for what decode.py reads.
    """

    name: str
    arguments: Callable[[Any], Arguments]
    refusal: str = ""
    user: Callable[[Any], User] | None = None
    starts_call: Callable[[Any], User] | None = None
    in_session: bool = False
    reply: Callable[[Any], Json] = lambda _: {}
    raw: bool = False
    sends_text: bool = False


def _row(
    kind: type[Kind],
    name: str,
    arguments: Callable[[Kind], Arguments],
    *,
    refusal: str = "",
    user: Callable[[Kind], User] | None = None,
    starts_call: Callable[[Kind], User] | None = None,
    in_session: bool = False,
    reply: Callable[[Any], Json] = lambda _: {},
    raw: bool = False,
    sends_text: bool = False,
) -> tuple[type[Action], Operation]:
    """A row of the table; here the types of an action and of its functions are held together."""
    return kind, Operation(name, arguments, refusal, user, starts_call, in_session, reply, raw, sends_text)


def _to(callee: Callee) -> Arguments:
    return {"cn": callee.name, "e164": callee.number, "h323": callee.short_name}


def _user_call(action: PlaceCall) -> Arguments:
    """A leading r withholds the caller's number (docs/wire.md#call-control)."""
    return {
        **_to(action.callee),
        "reg": 0,
        "info": [],
        "rc": action.facility,
        "srce164": ("r" if action.anonymous else "") + action.from_number,
    }


def _user_info(action: SendInformation) -> Arguments:
    return {
        "call": action.call.leg_handle,
        "recv": action.to_user,
        "cdpn": action.number,
        "key": action.key,
        "dsp": action.display,
    }


def _user_pickup(action: PickUp) -> Arguments:
    return {
        "cn": action.from_user.record.name if action.from_user else "",
        "call": action.call.leg_handle if action.call else 0,
        "group": action.group,
        "reg": 0,
        "info": [],
    }


def _user_message(action: SendMessage) -> Arguments:
    return {
        "e164": action.callee.number,
        "h323": action.callee.short_name,
        "msg": action.text,
        "src_e164": action.from_number,
        "src_h323": "",
    }


def _media_transfer(action: JoinMedia) -> Arguments:
    a, b = (call.leg_handle for call in action.calls)
    return {"a": a, "b": b, "user": action.user_side, "peer": action.remote_side}


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
            starts_call=lambda do: do.user,
        ),
        _row(AnswerCall, "UserConnect", lambda do: {"call": do.call.leg_handle}),
        # Cause 26 frees the phone at once, others leave it with a tone (docs/wire.md#call-control).
        _row(HangUp, "UserClear", lambda do: {"call": do.call.leg_handle, "cause": do.cause, "info": []}),
        _row(Hold, "UserHold", lambda do: {"call": do.call.leg_handle, "remote": do.remote_music}),
        _row(Retrieve, "UserRetrieve", lambda do: {"call": do.call.leg_handle}),
        _row(
            Transfer,
            "UserTransfer",
            lambda do: {"a": do.call.leg_handle, "b": do.to_call.leg_handle},
        ),
        _row(JoinMedia, "UserMediaTransfer", _media_transfer),
        _row(
            Redirect,
            "UserRedirect",
            lambda do: {"call": do.call.leg_handle, **_to(do.callee), "info": [], "rc": do.facility},
            refusal="the PBX did not redirect the call",
        ),
        _row(
            Reroute,
            "UserReroute",
            lambda do: {"call": do.call.leg_handle, **_to(do.callee), "info": []},
            refusal="the PBX did not reroute the call",
        ),
        _row(
            PickUp,
            "UserPickup",
            _user_pickup,
            refusal="there is no call that this user could pick up",
            user=lambda do: do.user,
            starts_call=lambda do: do.user,
        ),
        _row(
            Park,
            "UserPark",
            lambda do: {"call": do.call.leg_handle, "cn": do.at.record.name, "position": do.position},
            refusal="the PBX did not park the call",
            starts_call=lambda do: do.at,
        ),
        _row(
            SendDigits,
            "UserDTMF",
            lambda do: {"call": do.call.leg_handle, "recv": do.to_user, "dtmf": do.digits},
        ),
        _row(
            SendUserText,
            "UserUUI",
            lambda do: {"call": do.call.leg_handle, "recv": do.to_user, "uui": do.text},
        ),
        _row(SendInformation, "UserInfo", _user_info),
        _row(SendFacility, "UserRc", lambda do: {"call": do.call.leg_handle, "rc": do.code}),
        _row(
            ShowParty,
            "UserCtComplete",
            lambda do: {"call": do.call.leg_handle, "e164": do.number, "h323": do.name},
        ),
        _row(
            SendMessage,
            "UserMessage",
            _user_message,
            refusal="the PBX did not take the message",
            user=lambda do: do.user,
            starts_call=lambda do: do.user,
            sends_text=True,
        ),
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
