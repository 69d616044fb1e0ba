"""What holds for every verb of the table, however it is called: permissions, and what the log says of it.

A verb that forgets one of these fails here; nothing is written for one verb.
"""

import json
from collections.abc import Mapping
from itertools import product

import pytest

from bridge.core.commands import checks
from bridge.core.commands import request as commands
from bridge.core.commands.dialling import REACHED, dialled
from bridge.core.commands.fields import Dials
from bridge.core.commands.permissions import Form, Grant, Permissions, permits
from bridge.core.commands.request import Request
from bridge.core.commands.verbs import VERBS
from bridge.core.message import Incoming
from bridge.core.rules import Rule
from bridge.core.topics import Topics
from tests.kit.request_forms import BERTS, CALL, OPEN, STATE, forms

TOPICS = Topics("b", "hq")
EACH = [
    pytest.param(verb, fields, id=f"{verb}-{'-'.join(fields)}") for verb in VERBS for fields in forms(verb)
]
"""Every smallest request of every verb."""
NAMES = ("user", "call")
"""A field whose name ends in one of these names a user, or a call of a user."""
BY_NAME = {"user": ("anna", "bert"), "call": (CALL, BERTS[0])}
ANNAS, DOORS = (Rule(short_name="anna"),), (Rule(short_name="door-*"),)
ANYBODY = (Rule(short_name="*"),)
Fields = Mapping[str, object]


def owned(verb: str) -> dict[str, tuple[str, str]]:
    """The fields that name whom a verb acts upon, with Anna's value and Bert's. A callee is not acted on."""
    return {
        name: BY_NAME[end]
        for name, kind in VERBS[verb].fields.items()
        for end in NAMES
        if name.split("_")[-1] == end and kind.dials is not Dials.USER
    }


def let_through(verb: str, fields: Fields, permissions: Permissions, *, form: Form = Form.PBX) -> bool:
    """Whether the door lets a request through, on a topic of this form. No rule of dialling is in the way."""
    body = dict(fields)
    user = f"user/{body.pop('user')}/" if form is Form.USER else ""
    parsed = commands.parse(Incoming(f"b/hq/{user}command/{verb}", json.dumps(body).encode()), TOPICS, 0)
    assert isinstance(parsed, Request), parsed
    refusal = checks.forbidden(parsed, permissions, STATE)
    assert refusal is None or refusal.code == "not_permitted"
    return refusal is None


def only(*grants: Grant, allow: frozenset[str] = frozenset()) -> Permissions:
    """These grants, and rules under which anything may be dialled."""
    return Permissions(allow, OPEN, grants)


@pytest.mark.parametrize(("verb", "fields"), EACH)
def test_no_verb_goes_without_permission(verb: str, fields: Fields) -> None:
    """All others are permitted: it is refused. It alone is: it goes, by a word or by a grant."""
    others = frozenset(VERBS) - {verb}

    assert not let_through(verb, fields, only(Grant(others), allow=others))
    assert let_through(verb, fields, only(allow=frozenset({verb})))
    assert let_through(verb, fields, only(Grant(frozenset({verb}))))


@pytest.mark.parametrize(("verb", "fields"), EACH)
def test_the_form_of_the_topic_counts_for_every_verb(verb: str, fields: Fields) -> None:
    """A user in the topic or in the fields; who has no user in the fields has no topic of a user either."""
    for granted in Form:
        permissions = only(Grant(frozenset({verb}), form=granted))
        assert let_through(verb, fields, permissions) is (granted is not Form.USER)
        if "user" in fields:
            assert let_through(verb, fields, permissions, form=Form.USER) is (granted is not Form.PBX)


@pytest.mark.parametrize(("verb", "fields"), EACH)
def test_a_grant_for_some_users_is_no_grant_for_others(verb: str, fields: Fields) -> None:
    """Whoever is named is none of them; what names nobody belongs to nobody."""
    names_somebody = bool(owned(verb).keys() & fields.keys())

    assert not let_through(verb, fields, only(Grant(frozenset({verb}), DOORS)))
    assert let_through(verb, fields, only(Grant(frozenset({verb}), ANYBODY))) is names_somebody


@pytest.mark.parametrize("verb", [verb for verb in VERBS if owned(verb)])
def test_everybody_whom_a_request_acts_upon_counts(verb: str) -> None:
    """Two calls, a user and a call, a user whose call is taken: one that is not Anna's is one too many."""
    grant = only(Grant(frozenset({verb}), ANNAS))
    names = owned(verb)
    for chosen in product((0, 1, None), repeat=len(names)):
        fields = {
            name: values[each]
            for (name, values), each in zip(names.items(), chosen, strict=True)
            if each is not None
        }
        if fields:
            assert permits(grant, verb, fields, STATE) is (1 not in chosen), fields


@pytest.mark.parametrize(("verb", "fields"), EACH)
def test_the_log_names_what_every_verb_wants_to_reach(verb: str, fields: Fields) -> None:
    """Numbers, users, names, and the call; a request that reaches nobody has no target."""
    parsed = commands.parse(Incoming(f"b/hq/command/{verb}", json.dumps(fields).encode()), TOPICS, 0)
    kinds = VERBS[verb].fields

    assert parsed.address.dialled == dialled(kinds, fields)
    assert set(parsed.address.dialled) == {fields[name] for name in fields if kinds[name].dials in REACHED}
    assert (parsed.address.call, parsed.address.user) == (fields.get("call"), fields.get("user"))
