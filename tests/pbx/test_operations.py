"""The table from actions to SOAP operations: complete, and each request fits the PBX's description."""

import re
from pathlib import Path

import pytest

from bridge.core.commands.verb import Action, Context, Fields
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.forward import SetForwards
from bridge.core.commands.verbs.ping import Ping
from bridge.core.commands.verbs.resync import Resync
from bridge.core.value import evolve
from bridge.pbx.operations import OPERATIONS
from tests.core.builders import PEOPLE, History, leg, user
from tests.pbx.attempt import SOAP

FOR_THE_SESSION = {Ping, Resync, SetForwards}
REQUESTS: list[tuple[str, Fields, str]] = [
    ("call", {"user": "anna", "number": "0123"}, "<e164"),
    ("call", {"user": "anna", "to_user": "bert"}, "bert"),
    ("call", {"user": "anna", "number": "0123", "anonymous": True, "from_number": "5"}, ">r5<"),
    ("clear", {"user": "anna", "cause": 17}, ">17<"),
    ("clear", {"user": "anna"}, ">26<"),
    ("answer", {"user": "anna"}, ">7<"),
    ("transfer", {"call": "e-1", "to_call": "e-2"}, "<a>7</a><b>8</b>"),
    ("transfer", {"to_call": "e-1"}, "<a>8</a><b>7</b>"),
    ("media", {"call": "e-1", "remote_side": True}, "<b>8</b><user>false</user><peer>true</peer>"),
    ("redirect", {"call": "e-1", "number": "0123", "facility": 999}, "<rc>999</rc>"),
    ("redirect", {"call": "e-1", "name": "O'Neil & Söhne"}, "<cn>O'Neil &amp; Söhne</cn>"),
    ("reroute", {"call": "e-1", "to_user": "bert"}, "<h323>bert</h323>"),
    ("pickup", {"user": "bert"}, "<cn></cn><call>0</call><group></group>"),
    ("pickup", {"user": "bert", "call": "e-1"}, "<call>7</call>"),
    ("pickup", {"user": "bert", "from_user": "anna"}, "<cn>Anna Ex</cn>"),
    ("pickup", {"user": "bert", "group": "sales"}, "<group>sales</group>"),
    ("park", {"call": "e-1"}, "<cn>Anna Ex</cn><position>-1</position>"),
    ("park", {"call": "e-1", "at": "bert", "position": 0}, "<cn>Bert Ypsilon</cn><position>0</position>"),
    ("dtmf", {"call": "e-1", "digits": "1#A"}, "<recv>false</recv><dtmf>1#A</dtmf>"),
    ("dtmf", {"call": "e-1", "digits": "1", "towards": "local"}, "<recv>true</recv>"),
    ("uui", {"call": "e-1", "text": "50 % <ü>"}, "<uui>50 % &lt;ü&gt;</uui>"),
    ("keypad", {"call": "e-1", "number": "0-1", "key": "*21#"}, "<cdpn>01</cdpn><key>*21#</key><dsp></dsp>"),
    ("keypad", {"call": "e-1", "display": "Hi"}, "<cdpn></cdpn><key></key><dsp>Hi</dsp>"),
    ("facility", {"call": "e-1", "code": 36}, "<rc>36</rc>"),
    ("display", {"call": "e-1", "number": "0-1", "name": "A"}, "<e164>01</e164><h323>A</h323>"),
    ("message", {"user": "anna", "number": "1", "text": "a"}, "<e164>1</e164><h323></h323><msg>a</msg>"),
    ("message", {"user": "anna", "name": "Bert Ypsilon", "text": "a"}, "<e164></e164><h323>bert</h323>"),
    ("message", {"user": "anna", "name": "Line", "text": "a", "from": "5"}, "<e164>9</e164><h323></h323>"),
    ("message", {"user": "anna", "to_user": "bert", "text": "a", "from": "5"}, "<src_e164>5</src_e164>"),
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
    """What a verb wants done for Anna, who has one call, or two where one is named."""
    line = evolve(user("g-line", "Line", number="9"), short_name="")
    history = History().start(*PEOPLE, line).see(leg())
    if fields.get("user") != "anna":
        history.see(leg(8, conference="c2"))
    return VERBS[verb].plan(Context(history.state, "hq"), fields)


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

    body = SOAP.request(operation.name, **handle, **operation.arguments(action))[0].decode()
    assert part in re.sub(r"<(\w+)/>", r"<\1></\1>", body)


def test_the_page_shows_the_program() -> None:
    """docs/adding-a-verb.md explains a file and a row that exist."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "adding-a-verb.md").read_text(encoding="utf-8")
    file, row = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert file == (root / "bridge/core/commands/verbs/dtmf.py").read_text(encoding="utf-8")
    table = (root / "bridge/pbx/operations.py").read_text(encoding="utf-8")
    assert "".join(row.split()) in "".join(table.split())
