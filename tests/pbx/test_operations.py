"""The table from actions to SOAP operations: complete, and each request fits the PBX's description."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bridge.core.commands.verb import Action, Context, Fields
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.forward import SetForwards
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.resync import Resync
from bridge.pbx import operations
from bridge.pbx.operations import OPERATIONS
from tests.core.builders import History, leg
from tests.pbx.attempt import SOAP

FOR_THE_SESSION = {Ping, Resync, SetForwards}
REQUESTS: list[tuple[str, Fields, str]] = [
    ("call", {"user": "anna", "number": "0123"}, "<e164"),
    ("call", {"user": "anna", "to_user": "bert"}, "bert"),
    ("call", {"user": "anna", "number": "0123", "anonymous": True, "from_number": "5"}, ">r5<"),
    ("clear", {"user": "anna", "cause": 17}, ">17<"),
    ("clear", {"user": "anna"}, ">26<"),
    ("hold", {"user": "anna"}, ">false<"),
    ("hold", {"user": "anna", "remote_music": True}, ">true<"),
    ("retrieve", {"user": "anna"}, ">7<"),
    ("presence", {"user": "anna", "activity": "away", "note": "n"}, ">away<"),
    ("presence", {"user": "anna", "status": "open"}, ">open<"),
    ("find", {}, "<nohide>false<"),
    (
        "find",
        {"short_name": "anna", "limit": 3, "hidden": True},
        "<count>3</count><next>0</next><nohide>true<",
    ),
    ("find", {"number": "2", "after": "21"}, "<e164>21</e164><count>20</count><next>1<"),
    ("calls", {"user": "anna"}, "<user>Anna Ex<"),
    ("devices", {"user": "anna"}, "<user>Anna Ex<"),
    ("localize", {"user": "anna", "number": "0123"}, "<num>0123<"),
    ("reachable", {"user": "anna", "short_name": "bert"}, "<h323>bert<"),
    ("reachable", {"user": "anna", "number": "2 2"}, "<e164>22<"),
    ("locate", {"location": "branch"}, "<loc>branch</loc><tls>true<"),
    ("locate", {"location": "branch", "tls": False}, "<tls>false<"),
    ("version", {}, "Version"),
    ("admin", {"xml": "<show/>"}, "<xml>&lt;show/&gt;<"),
]


def planned(verb: str, fields: Fields) -> Action:
    """What a verb wants done for Anna, who has one call."""
    return VERBS[verb].plan(Context(History().start().see(leg()).state, "hq"), fields)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_one_action_with_a_row(verb: str) -> None:
    """Or a request would be accepted and then fail as a bug."""
    module = f"bridge.core.commands.verbs.{verb}"

    assert len([each for each in {*OPERATIONS, *FOR_THE_SESSION} if each.__module__ == module]) == 1


@pytest.mark.parametrize(("verb", "fields", "part"), REQUESTS)
def test_a_request_fits_the_description_of_the_pbx(verb: str, fields: Fields, part: str) -> None:
    """Zeep refuses a name or a value that the WSDL does not have."""
    action = planned(verb, fields)
    operation = OPERATIONS[type(action)]
    handle = {"user": 3} if operation.user else {"session": 5} if operation.in_session else {}

    assert part in SOAP.request(operation.name, **handle, **operation.arguments(action))[0].decode()


def test_the_example_of_the_page_works() -> None:
    """docs/adding-a-verb.md: its file and its row are what the program takes."""
    page = (Path(__file__).parents[2] / "docs" / "adding-a-verb.md").read_text(encoding="utf-8")
    file, row = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    module = ModuleType("dtmf")
    sys.modules["dtmf"] = module  # a dataclass looks its module up
    try:
        exec(file, module.__dict__)  # noqa: S102  (our own page)
    finally:
        del sys.modules["dtmf"]
    context = Context(History().start().see(leg()).state, "hq")
    action = module.VERB.plan(context, {"user": "anna", "digits": "42#"})
    kind, operation = eval(row, {**vars(operations), **vars(module)})  # noqa: S307  (our own page)

    assert type(action) is kind
    assert b">42#<" in SOAP.request(operation.name, **operation.arguments(action))[0]
