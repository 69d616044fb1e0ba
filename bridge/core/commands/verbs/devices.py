"""`devices`: ask the PBX for the configured devices of a user."""

from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.fields import USER
from bridge.core.commands.found import with_room
from bridge.core.commands.naming import find_user
from bridge.core.commands.verb import Action, Context, Fields, Verb, names_user, text
from bridge.core.message import Json
from bridge.core.model import User


@dataclass(frozen=True, slots=True)
class ListDevices(Action):
    """Read the devices of a user."""

    user: User


class Device(TypedDict):
    """A device: its name in the configuration of the PBX, as `device` of a PBX takes it, and its text."""

    device: str
    text: str


class DeviceList(TypedDict):
    """Devices. `left_out`: how many more there are."""

    devices: list[Device]
    left_out: int


class Devices(TypedDict):
    """The devices of a user."""

    result: DeviceList


def _render(_context: Context, _fields: Fields, answer: Json) -> Json:
    listed = answer.get("devices")
    found = listed if isinstance(listed, tuple) else ()
    shown = with_room([Device(device=device, text=words) for device, words in found])
    return {"result": {"devices": shown, "left_out": len(found) - len(shown)}}


VERB = Verb(
    group="query",
    about="ask the PBX for the configured devices of a user",
    plan=lambda context, fields: ListDevices(find_user(context.state, context.pbx, text(fields, "user"))),
    fields={"user": USER},
    bare="",
    check=names_user,
    reply=Devices,
    render=_render,
)
