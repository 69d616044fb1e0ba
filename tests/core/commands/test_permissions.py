"""Who may use a verb: everybody, or some, on the topics of some."""

import json

import pytest

from bridge.core.commands import checks
from bridge.core.commands import request as commands
from bridge.core.commands.answer import Address
from bridge.core.commands.permissions import Form, Grant, Permissions
from bridge.core.commands.request import Request
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.message import Incoming
from bridge.core.rules import Rule
from bridge.core.topics import Topics
from tests.core.builders import ANNA, PEOPLE, History, leg, user

TOPICS = Topics("b", "hq")
DOOR = user("g-door", "Door", short_name="door-1", type="ep", number="30")
STATE = History().start(*PEOPLE, DOOR).see(leg()).state
CALL = STATE.calls[ANNA][0].id
DOORS, ANNAS = (Rule(short_name="door-*"),), (Rule(short_name="anna"),)


def allowed(*grants: Grant, topic: str, **fields: str) -> bool:
    """The request is let through by these grants alone."""
    parsed = commands.parse(Incoming(f"b/hq/{topic}", json.dumps(fields).encode()), TOPICS, 0)
    assert isinstance(parsed, Request)
    refusal = checks.forbidden(parsed, Permissions(frozenset(), grants=grants), STATE)
    assert refusal is None or refusal.code == "not_permitted"
    return refusal is None


@pytest.mark.parametrize("verb", VERBS)
def test_a_refusal_names_the_set_that_would_grant_the_verb(verb: str) -> None:
    """So that nobody has to look for it."""
    refusal = checks.forbidden(Request(Address("any", verb), {}), Permissions(frozenset()), STATE)

    assert refusal is not None
    allowed = f"does not permit '{verb}' (set {VERBS[verb].group}) here"
    assert str(refusal) == f"the bridge's commands.allow {allowed}"


@pytest.mark.parametrize("form", list(Form))
def test_a_grant_is_for_topics_of_its_form(form: Form) -> None:
    """Whether the user is in the topic or in the fields."""
    grant = Grant(frozenset({"call"}), form=form)

    assert allowed(grant, topic="user/anna/command/call", number="22") is (form is not Form.PBX)
    assert allowed(grant, topic="command/call", user="anna", number="22") is (form is not Form.USER)
    assert not allowed(grant, topic="user/anna/command/clear")
    assert not allowed(topic="user/anna/command/call", number="22")


def test_a_grant_is_about_its_users() -> None:
    """About the caller, not the callee; nobody who is not there, and nothing that is about nobody."""
    grant = Grant(frozenset({"call", "clear", "ping"}), DOORS)

    assert allowed(grant, topic="user/door-1/command/call", number="22")
    assert allowed(grant, topic="command/call", user="door-1", to_user="bert")
    assert not allowed(grant, topic="command/call", user="bert", to_user="door-1")
    assert not allowed(grant, topic="command/call", user="door-2", number="22")
    assert not allowed(grant, topic="user/door%2D1/command/call", number="22")
    assert not allowed(grant, topic="command/ping")
    assert allowed(Grant(frozenset({"ping"})), topic="command/ping")
    assert allowed(Grant(frozenset(), DOORS), Grant(frozenset({"ping"})), topic="command/ping")


def test_a_call_belongs_to_its_user() -> None:
    """Named by its id alone, or with a user: both must be among those of the grant."""
    annas, doors = Grant(frozenset({"clear"}), ANNAS), Grant(frozenset({"clear"}), DOORS)

    assert allowed(annas, topic="command/clear", call=CALL)
    assert not allowed(doors, topic="command/clear", call=CALL)
    assert not allowed(doors, topic="user/door-1/command/clear", call=CALL)
    assert not allowed(annas, topic="command/clear", call="e-99")
    assert allowed(annas, topic="command/clear", call=CALL, user="anna")


def test_rights_do_not_come_with_an_upgrade() -> None:
    """The default and the set `basic` are the five verbs of 0.1.0 for good; any new verb is opted in to."""
    assert set(SETS["basic"]) == {"call", "clear", "presence", "resync", "ping"}
    assert Permissions().allow == set(SETS["basic"])
    assert {verb for verbs in SETS.values() for verb in verbs} == set(VERBS)
