"""Templates that Home Assistant runs to read our payloads and to write requests. Fixed texts, no values.

No value of a PBX becomes part of a template: a user's name could do anything there. A member of a key that
may be absent or null is read by `get`: Home Assistant logs a warning for any other, with each state.
"""

ACTIVITIES = (
    "available",
    "away",
    "busy",
    "dnd",
    "appointment",
    "breakfast",
    "dinner",
    "holiday",
    "in-transit",
    "looking-for-work",
    "lunch",
    "meal",
    "meeting",
    "on-the-phone",
    "other",
    "performance",
    "permanent-absence",
    "playing",
    "presentation",
    "shopping",
    "sleeping",
    "spectator",
    "steering",
    "travel",
    "tv",
    "unknown",
    "vacation",
    "working",
    "worship",
)
"""The activities that a PBX knows. Of any other one, Home Assistant shows that it is unknown."""
STATE_SIZE = 255
"""Home Assistant refuses longer states."""
NUMBER_SIZE = 64
_INBOUND = (
    "{% set calls = (([value_json.last_call] if value_json.last_call else []) + value_json.calls)"
    " | selectattr('direction', 'eq', 'inbound') | list %}"
)
LAST_CALLER = (
    _INBOUND + "{% if calls %}{% set remote = (calls | last).remote %}"
    "{% set nobody = 'anonymous' if remote.anonymous else 'unknown' %}"
    f"{{{{ (remote.name or remote.number or nobody)[:{STATE_SIZE}] }}}}"
    "{% else %}{{ this.state if this.state not in ['unavailable', 'unknown'] else None }}{% endif %}"
)
ACTIVITY = (
    "{% set activity = value_json.presence.activity %}"
    f"{{{{ activity if activity in {list(ACTIVITIES)!r} else None }}}}"
)
PRESENCE = "{{ value_json.presence | to_json }}"
LAST_CALL_END = "{{ value_json.last_call.ended_at if value_json.last_call else None }}"
LAST_CALL = "{{ (value_json.last_call or {}) | to_json }}"
SET_ACTIVITY = "{{ {'activity': value, 'note': this.attributes.get('note') or ''} | to_json }}"
SET_NOTE = "{{ {'activity': this.attributes.get('activity') or '', 'note': value} | to_json }}"
NOTE = f"{{{{ value_json.presence.note[:{STATE_SIZE}] }}}}"


def flag(condition: str) -> str:
    """ON or OFF."""
    return f"{{{{ 'ON' if {condition} else 'OFF' }}}}"


def forward(key: str) -> str:
    """Where this diversion goes, or empty."""
    return f"{{{{ ((value_json.get('forwards') or {{}}).get('{key}') or '')[:{NUMBER_SIZE}] }}}}"


def set_forward(key: str) -> str:
    """The request that changes this diversion."""
    return f"{{{{ {{'{key}': value}} | to_json }}}}"
