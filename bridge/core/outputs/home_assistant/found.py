"""Recognises what an earlier run left for Home Assistant, by its origin and by the PBX. Erases nothing."""

from collections.abc import Mapping

from bridge.core.outputs.consumer import Consumer, Finding
from bridge.core.outputs.home_assistant import entities, names
from bridge.core.outputs.home_assistant.devices import Discovery, Mode
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.topics import Topics

NAME = "Home Assistant"
_PLATFORMS = tuple(dict.fromkeys(each.platform for each in (*entities.OF_USER, *entities.OF_PBX)))


def consumer(discovery: Discovery, topics: Topics) -> Consumer:
    """Home Assistant, while discovery is on: messages of the other mode are outdated."""
    of_devices, of_entities = _filters(discovery.topics)
    return Consumer(
        NAME,
        (*of_devices, *of_entities),
        names.ORIGIN.encode(),
        lambda topic, payload: _finding(discovery.topics, topics, topic, payload, discovery.mode),
        written=of_devices if discovery.mode is Mode.DEVICE else of_entities,
        birth=discovery.topics.status,
    )


def former(prefix: DiscoveryTopics, topics: Topics) -> Consumer:
    """Home Assistant, once discovery is off: all messages are outdated."""
    of_devices, of_entities = _filters(prefix)
    return Consumer(
        NAME,
        (*of_devices, *of_entities),
        names.ORIGIN.encode(),
        lambda topic, payload: _finding(prefix, topics, topic, payload, None),
    )


def _filters(prefix: DiscoveryTopics) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where messages of devices are, and those of entities."""
    return (prefix.device("+"),), tuple(prefix.entity(platform, "+", "+") for platform in _PLATFORMS)


def _finding(
    prefix: DiscoveryTopics, topics: Topics, topic: str, payload: Mapping[str, object], wanted: Mode | None
) -> Finding:
    """Ours is what has our origin, names a device of this PBX, and lies on the topic of that device."""
    device = _device(payload)
    if device is None or not names.is_of_pbx(device, topics):
        return Finding.FOREIGN
    mode = _mode(prefix, topic, device)
    if mode is None:
        return Finding.FOREIGN
    return Finding.OURS if mode is wanted else Finding.OUTDATED


def _device(payload: Mapping[str, object]) -> str | None:
    """The id of the device in a message with our origin."""
    origin, device = payload.get("origin"), payload.get("device")
    if not isinstance(origin, dict) or origin.get("name") != names.ORIGIN or not isinstance(device, dict):
        return None
    match device.get("identifiers"):
        case [str(identifier)]:
            return identifier
        case _:
            return None


def _mode(prefix: DiscoveryTopics, topic: str, device: str) -> Mode | None:
    """In which mode this topic belongs to this device."""
    if topic == prefix.device(device):
        return Mode.DEVICE
    match topic.removeprefix(f"{prefix.prefix}/").split("/"):
        case [platform, owner, key, "config"] if owner == device and topic == prefix.entity(
            platform, owner, key
        ):
            return Mode.COMPONENT
        case _:
            return None
