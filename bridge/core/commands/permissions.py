"""Decides whether the configuration permits a verb, for these users and on this form of topic. Pure.

Does not decide what may be dialled: dialling.py does.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.core.commands.dialling import DialRules
from bridge.core.commands.fields import Subject, Text
from bridge.core.commands.naming import known_user
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.model import PbxState, User
from bridge.core.rules import Rule, selects
from bridge.core.topics import TopicId


class Form(enum.StrEnum):
    """On which topics a grant applies: topics of users, topics of the PBX, or both."""

    USER = "user"
    PBX = "pbx"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Grant:
    """Verbs that are permitted on topics of one form, for the users that the rules select."""

    verbs: frozenset[str]
    users: tuple[Rule, ...] = ()
    form: Form = Form.ANY


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the configuration permits: verbs for all users, and further verbs by grants."""

    allow: frozenset[str] = frozenset(SETS["basic"])
    dialling: DialRules = field(default_factory=DialRules)
    grants: tuple[Grant, ...] = ()


def permits(permissions: Permissions, verb: str, fields: Mapping[str, object], state: PbxState) -> bool:
    """Whether a verb is permitted for the user or call in these fields."""
    if verb in permissions.allow:
        return True
    form = Form.USER if isinstance(fields.get("user"), TopicId) else Form.PBX
    granted = (
        grant for grant in permissions.grants if verb in grant.verbs and grant.form in {form, Form.ANY}
    )
    return any(not grant.users or _is_about(grant.users, verb, fields, state) for grant in granted)


def _is_about(rules: tuple[Rule, ...], verb: str, fields: Mapping[str, object], state: PbxState) -> bool:
    """Whether the rules select every user that a request acts upon, named directly or by a call."""
    named: list[User | None] = []
    for name, kind in VERBS[verb].fields.items():
        value = fields.get(name)
        if not isinstance(kind, Text) or not isinstance(value, str):
            continue
        if kind.subject is Subject.USER:
            named.append(known_user(state, value))
        elif kind.subject is Subject.CALL:
            call = state.call(value)
            named.append(state.users[call.user] if call else None)
    return bool(named) and all(user is not None and selects(rules, user.record) for user in named)
