"""Which verbs the bus may use, for whom and on which topics: what the configuration grants. Pure.

What a verb may dial is decided elsewhere, see dialling.py; here is only who may ask for it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.commands.dialling import DialRules
from bridge.core.commands.naming import known_user
from bridge.core.commands.verbs import SETS
from bridge.core.model import PbxState, User
from bridge.core.rules import Rule, selects
from bridge.core.topics import TopicId


class Form(enum.StrEnum):
    """The form of the topic of a request: that of its user, that of the PBX, or either."""

    USER = "user"
    PBX = "pbx"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Grant:
    """Verbs that may be used on topics of one form, about users of whom the rules let one through."""

    verbs: frozenset[str]
    users: tuple[Rule, ...] = ()
    form: Form = Form.ANY


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the configuration lets the bus do: verbs for everybody, and more where a grant fits."""

    allow: frozenset[str] = frozenset(SETS["basic"])
    dialling: DialRules = field(default_factory=DialRules)
    grants: tuple[Grant, ...] = ()


def permits(permissions: Permissions, verb: str, fields: Mapping[str, object], state: PbxState) -> bool:
    """Tell whether a verb may be used for what these fields name."""
    if verb in permissions.allow:
        return True
    form = Form.USER if isinstance(fields.get("user"), TopicId) else Form.PBX
    granted = (
        grant for grant in permissions.grants if verb in grant.verbs and grant.form in {form, Form.ANY}
    )
    return any(not grant.users or _is_about(grant.users, fields, state) for grant in granted)


def _is_about(rules: tuple[Rule, ...], fields: Mapping[str, object], state: PbxState) -> bool:
    """All the users that a request names, itself or by a call, are among those of the rules."""
    named: list[User | None] = []
    if isinstance(user := fields.get("user"), str):
        named.append(known_user(state, user))
    if isinstance(call_id := fields.get("call"), str):
        call = state.call(call_id)
        named.append(state.users[call.user] if call else None)
    return bool(named) and all(user is not None and selects(rules, user.record) for user in named)
