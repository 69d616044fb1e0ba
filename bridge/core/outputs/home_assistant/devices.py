"""The discovery messages of a PBX and its users, rendered for Home Assistant. Sends nothing."""

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.core import topics as names_of_topics
from bridge.core.commands.dialling import ANY
from bridge.core.commands.permissions import Permissions, permits
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Json
from bridge.core.outputs.home_assistant import entities, names
from bridge.core.outputs.home_assistant.entities import Entity, Kind, Source
from bridge.core.outputs.output import View
from bridge.core.records import UserRecord
from bridge.core.rules import Rule, selects
from bridge.core.topics import TopicId, Topics

MANUFACTURER = "innovaphone"
MODELS = {"ep": "Phone", "gw": "Trunk", "waiting": "Queue", "broadcast": "Group"}
DIALS = "call"
_VERBS = frozenset(each.verb for each in entities.OF_USER if each.verb is not None)


class Mode(enum.StrEnum):
    """One message for each device, or one for each entity, which Home Assistant before 2024.11 needs."""

    DEVICE = "device"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True)
class Discovery:
    """What the configuration says. `users`: who appears; nobody without a rule.

    `forwards`: the states of users have their diversions.
    """

    mode: Mode
    topics: names.DiscoveryTopics
    users: tuple[Rule, ...] = ()
    permissions: Permissions = field(default_factory=Permissions)
    forwards: bool = False

    def exposes(self, record: UserRecord) -> bool:
        """Whether a user appears in Home Assistant."""
        return bool(self.users) and selects(self.users, record)


@dataclass(frozen=True, slots=True)
class _Place:
    """A device and the topics of its entities: `root` of its commands, and where each source is.

    `entity_start`: how the ids of its entities begin, as far as Home Assistant lets us choose them.
    """

    device: Json
    id: str
    entity_start: str
    root: str
    sources: Mapping[Source, str]


def of_pbx(discovery: Discovery, view: View) -> dict[str, Json | None]:
    """The retained messages of the PBX itself, by topic. None: the topic is to be empty."""
    topics = view.topics
    device = {
        "identifiers": [names.pbx_id(topics)],
        "name": f"PBX {topics.pbx}",
        "manufacturer": MANUFACTURER,
        "model": "PBX",
        **({"sw_version": view.about.firmware} if view.about.firmware else {}),
        **({"serial_number": view.about.serial} if view.about.serial else {}),
    }
    place = _Place(
        device,
        names.pbx_id(topics),
        topics.pbx,
        topics.root,
        {Source.STATE: topics.state, Source.INFO: topics.info},
    )
    wanted = [
        each
        for each in entities.OF_PBX
        if each.verb is None or permits(discovery.permissions, each.verb, {}, view.state)
    ]
    return _messages(discovery, view, place, entities.OF_PBX, wanted)


def of_user(discovery: Discovery, view: View, guid: str) -> dict[str, Json | None]:
    """The retained messages of a user, by topic; none at all for one who does not appear."""
    record = view.state.users[guid].record
    if not discovery.exposes(record):
        return {}
    topics, topic_id = view.topics, view.state.topics[guid]
    device = {
        "identifiers": [names.user_id(topics, guid)],
        "name": record.display_name or record.name or names_of_topics.decode(topic_id),
        "manufacturer": MANUFACTURER,
        "model": "Switch" if record.is_switch else MODELS.get(record.type, record.type or "User"),
        "via_device": names.pbx_id(topics),
    }
    place = _Place(
        device,
        names.user_id(topics, guid),
        f"{topics.pbx}_{names_of_topics.decode(topic_id)}".lower().replace(" ", "_"),
        f"{topics.root}/user/{topic_id}",
        {Source.STATE: topics.user_state(topic_id), Source.EVENT: topics.user_event(topic_id)},
    )
    kinds, verbs = _kinds(discovery, record), _permitted(discovery, view, record, topic_id)
    wanted = [each for each in entities.OF_USER if each.kind in kinds and each.verb in verbs]
    return _messages(discovery, view, place, entities.OF_USER, wanted)


def topics_of_user(discovery: Discovery, topics: Topics, guid: str) -> Iterator[str]:
    """Every topic where a message of this user may be."""
    device = names.user_id(topics, guid)
    if discovery.mode is Mode.DEVICE:
        yield discovery.topics.device(device)
    else:
        yield from (discovery.topics.entity(each.platform, device, each.key) for each in entities.OF_USER)


def _kinds(discovery: Discovery, record: UserRecord) -> frozenset[Kind]:
    """The kinds of entities that fit a user."""
    if record.is_switch:
        return frozenset({Kind.ALL, Kind.SWITCH})
    return frozenset({Kind.ALL, Kind.CALLS, *([Kind.FORWARDS] if discovery.forwards else [])})


def _permitted(discovery: Discovery, view: View, record: UserRecord, topic_id: str) -> set[str | None]:
    """The verbs that are permitted on a user's topic, and None, which stands for no verb."""
    permissions, fields = discovery.permissions, {"user": TopicId(topic_id)}
    found = {verb for verb in _VERBS & VERBS.keys() if permits(permissions, verb, fields, view.state)}
    silent = not {ANY, record.type} & permissions.dialling.types
    return {None, *(found - {DIALS} if silent else found)}


def _messages(
    discovery: Discovery, view: View, place: _Place, table: Iterable[Entity], wanted: Iterable[Entity]
) -> dict[str, Json | None]:
    configs = {each.key: _config(each, place) for each in wanted}
    common = _common(view, place)
    if discovery.mode is Mode.DEVICE:
        # Home Assistant removes an entity only if it is told so: an entity without options is to go.
        components = {each.key: {"platform": each.platform, **configs.get(each.key, {})} for each in table}
        return {discovery.topics.device(place.id): {**common, "components": components}}
    return {
        discovery.topics.entity(each.platform, place.id, each.key): (
            {**common, **configs[each.key], "object_id": f"{place.entity_start}_{each.key}"}
            if each.key in configs
            else None
        )
        for each in table
    }


def _common(view: View, place: _Place) -> Json:
    return {
        "device": place.device,
        "origin": {"name": names.ORIGIN, "sw_version": view.version},
        "availability": [{"topic": view.topics.state}],
    }


def _config(entity: Entity, place: _Place) -> Json:
    """The options of one entity."""
    config: dict[str, object] = {
        **entities.FIXED[entity.key],
        "unique_id": names.unique_id(place.id, entity.key),
        "default_entity_id": f"{entity.platform}.{place.entity_start}_{entity.key}",
    }
    if entity.source is not None:
        config["state_topic"] = place.sources[entity.source]
        if entity.attributes is not None:
            config["json_attributes_topic"] = place.sources[entity.source]
    if entity.verb is not None:
        config["command_topic"] = f"{place.root}/command/{entity.verb}"
    return config
