"""Requests to dial, as the PBX sees them: nothing that is refused, of the rest exactly what was judged."""

from typing import Any

import pytest

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
GROUP = (("all", False),)
PEOPLE = (
    *STAFF,
    SimUser("Trunk", "trunk", "0", type="gw", groups=GROUP),
    SimUser("Hidden Phone", "hidden", "24", groups=GROUP),
)
RULES = {"numbers": {"allow": ["2?"]}, "from_numbers": ["+49703173*"], "facilities": [2]}
REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"user": "anna", "number": "0900123"}, "number_not_allowed"),
    ({"user": "anna", "to_user": "trunk"}, "not_permitted"),
    ({"user": "anna", "name": "Trunk"}, "not_permitted"),
    ({"user": "trunk", "number": "22"}, "not_permitted"),
    ({"user": "anna", "name": "Hidden Phone"}, "number_not_allowed"),
    ({"user": "anna", "to_user": "hidden"}, "unknown_user"),
    ({"user": "hidden", "number": "22"}, "unknown_user"),
    ({"user": "anna", "to_user": "night"}, "not_permitted"),
    ({"user": "anna", "number": "22", "from_number": "110"}, "number_not_allowed"),
    ({"user": "anna", "to_user": "bert", "facility": 21}, "not_permitted"),
    ({"user": "anna", "number": "22", "facility": 3}, "not_permitted"),
    ({"user": "anna", "number": "2*0900"}, "number_not_allowed"),
)
SENT: tuple[dict[str, Any], ...] = (
    {"user": "anna", "number": "2 2", "from_number": "+49 (0) 7031/73-009", "facility": 2},
)


async def test_only_what_was_judged_reaches_the_pbx(broker: Mosquitto, bus: Observer) -> None:
    """One bridge, one by one; then the calls that may be placed."""
    async with SimPbx(PEOPLE, FAST) as pbx:
        section = pbx_section(pbx, users=[{"exclude": True, "short_name": "hidden"}])
        async with bridge(configuration(broker.port, section, commands=RULES)):
            await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "the PBX is online")
            for count, (request, code) in enumerate(REFUSED, 1):
                reply = await answer(bus, request, count)
                assert reply["code"] == code, request
            assert pbx.requests("UserCall") == []
            for count, request in enumerate(SENT, len(REFUSED) + 1):
                assert (await answer(bus, request, count))["status"] == "ok"

    (call,) = pbx.requests("UserCall")
    wanted = {"e164": "22", "h323": "", "cn": "", "srce164": "0049703173009", "rc": "2"}
    assert {name: call.args[name] for name in wanted} == wanted


async def answer(bus: Observer, request: dict[str, Any], count: int) -> Any:
    """The reply to a request to call, the last of so many."""
    bus.publish("innovaphone/hq/command/call", request)
    await eventually(lambda: len(bus.replies("call")) == count, f"a reply to {request}")
    return bus.replies("call")[-1]
