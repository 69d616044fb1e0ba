"""The entities of users and PBXs in Home Assistant, as tables. Decides for nobody which of them appear."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.model import EventType
from bridge.core.outputs.home_assistant import templates

CALL_STATES = ("idle", "ringing", "dialing", "connected", "held")
EMPTY_REQUEST = "{}"
"""A request for which the user in the topic is enough."""
DIAGNOSTIC, CONFIG = "diagnostic", "config"


class Source(enum.Enum):
    """The topic that an entity shows."""

    STATE = "state"
    EVENT = "event"
    INFO = "info"


class Kind(enum.Enum):
    """Which users have an entity: all, those with calls, Boolean objects, those with known diversions."""

    ALL = "all"
    CALLS = "calls"
    SWITCH = "switch"
    FORWARDS = "forwards"


@dataclass(frozen=True, slots=True)
class Entity:
    """One entity. `verb`: the command that it sends, without which it does not appear.

    `attributes`: a template for its attributes, from the same topic. `options`: what else its platform takes.
    """

    platform: str
    key: str
    name: str
    icon: str = ""
    source: Source | None = Source.STATE
    kind: Kind = Kind.ALL
    verb: str | None = None
    template: str | None = None
    attributes: str | None = None
    category: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def fixed(self) -> dict[str, object]:
        """The options that are the same for all users."""
        given = {
            "name": self.name,
            "qos": 1,
            "value_template": self.template,
            "json_attributes_template": self.attributes,
            "icon": self.icon,
            "entity_category": self.category,
        }
        return {**{key: value for key, value in given.items() if value}, **self.options}


def _forward(key: str, name: str) -> Entity:
    """A diversion: the number where calls go, or empty."""
    return Entity(
        "text",
        f"forward_{key}",
        name,
        "mdi:phone-forward",
        kind=Kind.FORWARDS,
        verb="forward",
        template=templates.forward(key),
        category=CONFIG,
        options={"command_template": templates.set_forward(key), "max": templates.NUMBER_SIZE},
    )


OF_USER = (
    Entity(
        "event",
        "call",
        "Call",
        "mdi:phone",
        Source.EVENT,
        options={"event_types": [kind.value for kind in EventType]},
    ),
    Entity(
        "sensor",
        "call_state",
        "Call state",
        "mdi:phone",
        kind=Kind.CALLS,
        template="{{ value_json.call_state }}",
        options={"device_class": "enum", "options": list(CALL_STATES)},
    ),
    Entity(
        "binary_sensor",
        "ringing",
        "Ringing",
        "mdi:phone-ring",
        kind=Kind.CALLS,
        template=templates.flag("value_json.call_state == 'ringing'"),
    ),
    Entity(
        "binary_sensor",
        "in_call",
        "In call",
        "mdi:phone-in-talk",
        kind=Kind.CALLS,
        template=templates.flag("value_json.call_state in ['connected', 'held']"),
    ),
    Entity(
        "binary_sensor",
        "registered",
        "Registered",
        kind=Kind.CALLS,
        template=templates.flag("value_json.registered"),
        category=DIAGNOSTIC,
        options={"device_class": "connectivity"},
    ),
    Entity(
        "sensor",
        "last_caller",
        "Last caller",
        "mdi:account-voice",
        kind=Kind.CALLS,
        template=templates.LAST_CALLER,
    ),
    Entity(
        "sensor",
        "last_call_end",
        "Last call end",
        "mdi:phone-hangup",
        kind=Kind.CALLS,
        template=templates.LAST_CALL_END,
        attributes=templates.LAST_CALL,
        options={"device_class": "timestamp"},
    ),
    Entity(
        "sensor",
        "missed",
        "Missed calls",
        "mdi:phone-missed",
        kind=Kind.CALLS,
        template="{{ value_json.missed }}",
        options={"state_class": "total_increasing"},
    ),
    Entity(
        "select",
        "presence",
        "Presence",
        "mdi:account-clock",
        kind=Kind.CALLS,
        verb="presence",
        template=templates.ACTIVITY,
        attributes=templates.PRESENCE,
        options={"options": list(templates.ACTIVITIES), "command_template": templates.SET_ACTIVITY},
    ),
    Entity(
        "text",
        "note",
        "Presence note",
        "mdi:text-account",
        kind=Kind.CALLS,
        verb="presence",
        template=templates.NOTE,
        attributes=templates.PRESENCE,
        options={"command_template": templates.SET_NOTE, "max": templates.STATE_SIZE},
    ),
    Entity(
        "text",
        "dial",
        "Dial",
        "mdi:dialpad",
        None,
        Kind.CALLS,
        "call",
        options={"min": 1, "max": templates.NUMBER_SIZE},
    ),
    Entity(
        "button",
        "hang_up",
        "Hang up",
        "mdi:phone-hangup",
        None,
        Kind.CALLS,
        "clear",
        options={"payload_press": EMPTY_REQUEST},
    ),
    Entity(
        "button",
        "answer",
        "Answer",
        "mdi:phone-check",
        None,
        Kind.CALLS,
        "answer",
        options={"payload_press": EMPTY_REQUEST},
    ),
    Entity(
        "binary_sensor",
        "switch",
        "Switch",
        "mdi:toggle-switch",
        kind=Kind.SWITCH,
        template=templates.flag("(value_json.get('switch') or {}).get('on')"),
        attributes="{{ (value_json.get('switch') or {}) | to_json }}",
    ),
    _forward("always", "Forward always"),
    _forward("busy", "Forward when busy"),
    _forward("no_answer", "Forward on no answer"),
)
"""The entities of a user, in the order of the page."""

OF_PBX = (
    Entity(
        "binary_sensor",
        "link",
        "Link",
        category=DIAGNOSTIC,
        options={
            "device_class": "connectivity",
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [],
        },
    ),
    Entity(
        "sensor",
        "calls",
        "Active calls",
        "mdi:phone-in-talk",
        Source.INFO,
        template="{{ value_json.calls }}",
        options={"state_class": "measurement"},
    ),
    Entity(
        "button",
        "resync",
        "Resync",
        "mdi:sync",
        None,
        verb="resync",
        category=CONFIG,
        options={"payload_press": EMPTY_REQUEST},
    ),
)
"""The entities of a PBX. Its link is never unavailable: that is when it matters."""
FIXED = {each.key: each.fixed for each in (*OF_USER, *OF_PBX)}
"""The fixed options of each entity, made once: thousands of users may appear."""
