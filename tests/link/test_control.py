"""The verbs of the set `control` at a simulated PBX and a real broker: what is asked, what comes of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bridge.core.commands.verbs import SETS
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import bridge, configuration, pbx_section

pytestmark = pytest.mark.broker
PBX, USER = "innovaphone/hq", "innovaphone/hq/user"
HERE = {"hold", "retrieve"}
"""Verbs of the set that test_hold.py tests."""
TESTED = {
    *("answer", "display", "dtmf", "facility", "keypad", "media", "message", "park", "pickup"),
    *("redirect", "reroute", "transfer", "uui"),
}


class Desk:
    """Commands and calls of a running bridge that may use all verbs of the set."""

    def __init__(self, bus: Observer, pbx: SimPbx) -> None:
        self.bus = bus
        self.pbx = pbx

    def calls(self, user: str) -> list[Any]:
        """The running calls of a user."""
        return list((self.bus.now(f"{USER}/{user}/state") or {"calls": []})["calls"])

    async def has(self, user: str, *states: str) -> Any:
        """Wait until the calls of a user are in these states; the last of them."""
        await eventually(
            lambda: [call["state"] for call in self.calls(user)] == list(states), f"{user} {states}"
        )
        return self.calls(user)[-1] if states else None

    async def ask(self, verb: str, user: str = "", bare: str | None = None, **fields: object) -> Any:
        """Send a request, on the topic of a user where one is given, and wait for its reply."""
        before = len(self.bus.replies(verb))
        topic = f"{USER}/{user}/command/{verb}" if user else f"{PBX}/command/{verb}"
        self.bus.publish(topic, fields if bare is None else bare)
        await eventually(lambda: len(self.bus.replies(verb)) > before, f"{verb} is answered")
        return self.bus.replies(verb)[-1]

    async def done(self, verb: str, user: str = "", bare: str | None = None, **fields: object) -> Any:
        """The same for a request that must be carried out."""
        reply = await self.ask(verb, user, bare, **fields)
        assert reply["status"] == "ok", reply
        return reply

    def asked(self, operation: str) -> dict[str, object]:
        """The arguments of the last request for an operation."""
        return self.pbx.requests(operation)[-1].args

    async def ended(self, user: str) -> Any:
        """Wait until the last event of a user ends a call; the call."""
        await eventually(
            lambda: self.bus.types(user)[-1:] in (["ended"], ["missed"]), f"a call of {user} ends"
        )
        return self.bus.events(user)[-1]["call"]


@pytest.fixture
async def desk(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> AsyncIterator[Desk]:
    """The bridge, settled."""
    settings = configuration(broker.port, pbx_section(pbx))
    settings["commands"] = {"allow": ["basic", "control"], "facilities": [8, 999]}
    async with bridge(settings):
        await eventually(lambda: (bus.now(f"{PBX}/info") or {}).get("settled"), "it is settled")
        yield Desk(bus, pbx)


def test_every_verb_of_the_set_is_tested_here() -> None:
    """A new one is added to the list with its test."""
    assert set(SETS["control"]) == TESTED | HERE


async def test_what_is_said_within_a_call(desk: Desk) -> None:
    """Digits, texts, codes and what the phone shows, to either end of the one call of a user."""
    await desk.done("call", "anna", "08001234")
    call = await desk.has("anna", "connected")

    await desk.done("dtmf", "anna", "1*#D")
    assert (desk.asked("UserDTMF")["dtmf"], desk.asked("UserDTMF")["recv"]) == ("1*#D", "false")
    await desk.done("dtmf", call=call["id"], digits="5", towards="local")
    assert (desk.asked("UserDTMF")["dtmf"], desk.asked("UserDTMF")["recv"]) == ("5", "true")
    await desk.done("keypad", "anna", display="Gate 3")
    assert (desk.asked("UserInfo")["dsp"], desk.asked("UserInfo")["cdpn"]) == ("Gate 3", "")
    await desk.done("facility", "anna", code=8)
    assert desk.asked("UserRc")["rc"] == "8"
    await desk.done("display", "anna", number="0800-1234", name="ACME & Söhne")
    assert (desk.asked("UserCtComplete")["e164"], desk.asked("UserCtComplete")["h323"]) == (
        "08001234",
        "ACME & Söhne",
    )
    await desk.done("uui", "anna", text='{"ticket": "50 % <ü>"}', towards="local")
    await eventually(lambda: desk.calls("anna")[0]["uui"] == '{"ticket": "50 % <ü>"}', "the text arrives")


async def test_what_is_refused_within_a_call(desk: Desk) -> None:
    """What nobody has listed, and what the PBX was never asked for."""
    await desk.done("call", "anna", "08001234")
    await desk.has("anna", "connected")
    refused: dict[str, dict[str, Any]] = {
        "facility": {"code": 21},
        "keypad": {"key": "*21*0900#"},
        "display": {"number": "110"},
        "dtmf": {"digits": "12;"},
        "uui": {},
    }
    codes = {verb: (await desk.ask(verb, "anna", **fields))["code"] for verb, fields in refused.items()}

    assert codes == {
        "facility": "not_permitted",
        "keypad": "number_not_allowed",
        "display": "number_not_allowed",
        "dtmf": "invalid",
        "uui": "invalid",
    }
    operations = ("UserRc", "UserInfo", "UserCtComplete", "UserDTMF", "UserUUI")
    assert not any(desk.pbx.requests(operation) for operation in operations)


async def test_the_ringing_call_is_answered(desk: Desk) -> None:
    """Also by somebody who talks already: what rings is meant."""
    await desk.done("call", "anna", "08001234")
    await desk.has("anna", "connected")
    desk.pbx.ring("Anna Müller", "0123")
    await desk.has("anna", "connected", "ringing")
    assert (await desk.ask("clear", "anna"))["code"] == "unknown_call", "which of the two?"
    await desk.done("answer", "anna", "")
    await desk.has("anna", "connected", "connected")


async def test_digits_are_not_added_to_digits_that_nobody_has_reported(desk: Desk) -> None:
    """They would be judged without those before them."""
    await desk.done("call", "anna", "22")
    await desk.has("bert", "ringing")
    await desk.has("anna", "ringing")
    await desk.done("keypad", "anna", key="11")
    for verb, fields in (("keypad", {"number": "2"}), ("keypad", {"key": "2"}), ("dtmf", {"digits": "2"})):
        reply = await desk.ask(verb, "anna", **fields)
        assert (reply["code"], reply["retryable"]) == ("rate_limited", True)
    assert (len(desk.pbx.requests("UserInfo")), len(desk.pbx.requests("UserDTMF"))) == (1, 0)
    await desk.done("answer", "bert", "")
    await desk.has("anna", "connected")
    await desk.done("dtmf", "anna", "2")


@pytest.mark.parametrize(("verb", "operation"), [("redirect", "UserRedirect"), ("reroute", "UserReroute")])
async def test_a_ringing_call_is_sent_on(desk: Desk, verb: str, operation: str) -> None:
    """It rings at another user, whom it tells where it comes from; the first one has not missed it."""
    desk.pbx.ring("Anna Müller", "0123")
    await desk.has("anna", "ringing")
    assert (await desk.ask(verb, "anna", "112"))["code"] == "number_not_allowed"
    await desk.done(verb, "anna", "22")
    call = await desk.has("bert", "ringing")
    assert call["diverted_from"]["user"] == "anna"
    assert (await desk.ended("anna"))["outcome"] == "forwarded"
    assert desk.bus.now(f"{USER}/anna/state")["missed"] == 0
    await desk.done(verb, call=call["id"], name="Carla & Co")
    assert desk.asked(operation)["cn"] == "Carla & Co"
    call = await desk.has("carla%2Fx", "ringing")
    past: dict[str, Any] = {"facility": 999} if verb == "redirect" else {}
    await desk.done(verb, call=call["id"], to_user="anna", **past)
    await desk.has("anna", "ringing")


async def test_two_calls_are_joined(desk: Desk) -> None:
    """Media first, then both without the user, who need not name them: there are no others."""
    desk.pbx.ring("Anna Müller", "0123").answer()
    await desk.has("anna", "connected")
    await desk.done("hold", "anna", "")
    await desk.done("call", "anna", "22")
    await desk.has("bert", "ringing")
    await desk.done("answer", "bert", "")
    await desk.has("anna", "connected", "connected")
    first, second = (call["id"] for call in desk.calls("anna"))

    await desk.done("media", call=first, to_call=second, user_side=True)
    sides = desk.asked("UserMediaTransfer")
    assert (sides["user"], sides["peer"]) == ("true", "false")
    assert (await desk.ask("transfer", call=first, to_call=first))["code"] == "invalid"
    bert = desk.calls("bert")[0]["id"]
    assert (await desk.ask("transfer", call=first, to_call=bert))["code"] == "unknown_call"
    await desk.done("transfer", "anna", "")
    await eventually(lambda: "transferred" in desk.bus.types("bert"), "bert talks to the other one")
    assert desk.calls("bert")[0]["remote"]["number"] == "0123"
    assert desk.calls("bert")[0]["transferred_by"]["user"] == "anna"


async def test_a_call_is_picked_up(desk: Desk) -> None:
    """Where it rings: by its user, by its id, or whatever there is; the reply names the new call."""
    desk.pbx.change_user("Carla & Co", groups=(("all", True),))
    for fields in ({"from_user": "anna"}, {"call": ""}, {"group": "all"}, {}):
        desk.pbx.ring("Anna Müller", "0123")
        call = await desk.has("anna", "ringing")
        wanted = {"call": call["id"]} if "call" in fields else fields
        reply = await desk.done("pickup", "bert" if fields else "carla%2Fx", id=f"p-{call['id']}", **wanted)
        picker = "bert" if fields else "carla%2Fx"
        taken = await desk.has(picker, "connected")
        assert (taken["id"], taken["command_id"]) == (reply["call"], f"p-{call['id']}")
        assert taken["picked_up_from"]["user"] == "anna"
        assert (await desk.ended("anna"))["outcome"] == "answered_elsewhere"
        await desk.done("clear", picker)
        await desk.has(picker)
    assert (await desk.ask("pickup", "bert"))["code"] == "refused"
    assert desk.bus.now(f"{USER}/anna/state")["missed"] == 0


@pytest.mark.parametrize("at", ["anna", "bert"])
async def test_a_parked_call_keeps_its_story(desk: Desk, at: str) -> None:
    """It leaves its user, waits at one of them and is taken by a third: one conversation."""
    desk.pbx.ring("Anna Müller", "0123", "ACME").answer()
    first = await desk.has("anna", "connected")
    reply = await desk.done("park", "anna", id="park-1", **({} if at == "anna" else {"at": at}))
    waiting = await desk.has(at, "parked")
    assert (waiting["id"], waiting["command_id"]) == (reply["call"], "park-1")
    await eventually(lambda: "ended" in desk.bus.types("anna"), "the first call ends")
    (talked,) = (each["call"] for each in desk.bus.events("anna") if each["event_type"] == "ended")
    assert (talked["id"], talked["outcome"], talked["parked_at"]["user"]) == (first["id"], "answered", at)

    reply = await desk.done("pickup", "carla%2Fx", id="take-1", call=waiting["id"])
    taken = await desk.has("carla%2Fx", "connected")
    assert (taken["id"], taken["command_id"]) == (reply["call"], "take-1")
    assert (taken["picked_up_from"]["user"], taken["remote"]["name"]) == (at, "ACME")
    await desk.has(at)
    assert (await desk.ended(at))["outcome"] == "answered_elsewhere"
    assert {call["conference"] for call in (first, waiting, taken)} == {first["conference"]}
    assert "missed" not in desk.bus.types()


@pytest.mark.parametrize(
    ("fields", "outcome", "code"),
    [
        ({"to_user": "bert"}, "answered", None),
        ({"name": "Bert O'Neil"}, "answered", None),
        ({"number": "23"}, "failed", 20),
    ],
)
async def test_a_text_message_is_delivered(
    desk: Desk, fields: dict[str, str], outcome: str, code: int | None
) -> None:
    """Its events carry the id of the command, and no state has it; Carla's phone is off."""
    desk.pbx.change_user("Carla & Co", registered=False)
    state = desk.bus.now(f"{USER}/anna/state")
    reply = await desk.done("message", "anna", id="m-1", text="Tür 50 % <auf> & zu", **fields)
    await eventually(lambda: desk.bus.types("anna") == ["outgoing", "ended"], "its end is told")
    events = desk.bus.events("anna")

    assert all(event["text_message"] for event in events)
    assert {(event["call"]["id"], event["call"]["command_id"]) for event in events} == {
        (reply["call"], "m-1")
    }
    assert events[-1]["call"]["outcome"] == outcome
    assert (events[-1]["call"]["cause"] or {}).get("code") == code
    assert desk.bus.now(f"{USER}/anna/state") == state
    delivered = [("Bert O'Neil", "anna", "Tür 50 % <auf> & zu")] if outcome == "answered" else []
    assert desk.pbx.exchange.messages == delivered


async def test_a_text_message_goes_where_a_call_may_go(desk: Desk) -> None:
    """And in nobody's name but the user's."""
    refused = [
        ({"number": "112"}, "number_not_allowed"),
        ({"number": "22", "from": "110"}, "number_not_allowed"),
        ({"to_user": "night"}, "not_permitted"),
        ({"name": "Nobody"}, "not_permitted"),
        ({"number": "4711"}, "refused"),
    ]
    for fields, code in refused:
        assert (await desk.ask("message", "anna", text="Hello", **fields))["code"] == code
    assert len(desk.pbx.requests("UserMessage")) == 1


async def test_a_call_is_parked_nowhere_else(desk: Desk) -> None:
    """Not at a user who is not there; the PBX is not asked."""
    desk.pbx.ring("Anna Müller", "0123").answer()
    await desk.has("anna", "connected")

    assert (await desk.ask("park", "anna", at="zoe"))["code"] == "unknown_user"
    assert not desk.pbx.requests("UserPark")
