"""Names that Home Assistant keeps for ever: of devices, entities and discovery topics. Renders no payload.

An id is made of the base topic, the PBX and the user's guid, so that nothing changes when a user is renamed.
"""

import string
from dataclasses import dataclass

from bridge.core.topics import Topics

ORIGIN = "innovaphone-mqtt"
"""Who wrote a discovery message: a message with another origin is never touched."""
_FREE = frozenset(string.ascii_letters + string.digits + "-")
_JOINT = "__"


def level(text: str) -> str:
    """The text as a level of a discovery topic, which may have letters, digits, - and _ only. Reversible."""
    return "".join(chr(byte) if chr(byte) in _FREE else f"_{byte:02x}" for byte in text.encode())


def pbx_id(topics: Topics) -> str:
    """The device of a PBX. The base topic tells two bridges with PBXs of the same name apart."""
    return f"{level(topics.base)}{_JOINT}{level(topics.pbx)}"


def user_id(topics: Topics, guid: str) -> str:
    """The device of a user."""
    return f"{pbx_id(topics)}{_JOINT}{level(guid)}"


def is_of_pbx(device: str, topics: Topics) -> bool:
    """Whether a device is this PBX or one of its users."""
    return device == pbx_id(topics) or device.startswith(f"{pbx_id(topics)}{_JOINT}")


def unique_id(device: str, key: str) -> str:
    """An entity, in all of Home Assistant."""
    return f"{device}{_JOINT}{key}"


@dataclass(frozen=True, slots=True)
class DiscoveryTopics:
    """The discovery topics below a prefix: one of each device, or one of each entity."""

    prefix: str

    def device(self, device: str) -> str:
        """The topic of a device with all its entities."""
        return f"{self.prefix}/device/{device}/config"

    def entity(self, platform: str, device: str, key: str) -> str:
        """The topic of one entity."""
        return f"{self.prefix}/{platform}/{device}/{key}/config"

    @property
    def status(self) -> str:
        """Where Home Assistant says `online` when it has started."""
        return f"{self.prefix}/status"
