"""Every verb from the shell, by a broker and the bridge, reaches its operation at the simulated PBX."""

from typing import Any

import pytest

from bridge.core.commands.verbs import SETS, VERBS
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.shell import ask
from tests.running import bridge, configuration, pbx_section

pytestmark = [pytest.mark.broker, pytest.mark.slow]
ANNA, BERT = "Anna Müller", "Bert O'Neil"
SHOW = "<show><user cn='API'/></show>"


class Shell:
    """A shell at the broker of a bridge, and what it has reached so far."""

    def __init__(self, port: int, bus: Observer, pbx: SimPbx) -> None:
        self.bus = bus
        self.pbx = pbx
        self.used: set[str] = set()
        self._port = port

    async def do(self, verb: str, *words: str, reaches: str) -> Any:
        """A verb that must be done, and must reach an operation."""
        before = len(self.pbx.requests(reaches))
        code, reply = await ask(self._port, verb, *words)
        assert (code, reply["status"]) == (0, "ok"), reply
        await eventually(lambda: len(self.pbx.requests(reaches)) > before, f"{verb} reaches {reaches}")
        self.used.add(verb)
        return reply

    async def calls(self, user: str, *states: str) -> list[str]:
        """The calls of a user by id, once they are in these states."""

        def now() -> list[Any]:
            return list((self.bus.now(f"innovaphone/hq/user/{user}/state") or {"calls": []})["calls"])

        await eventually(lambda: [call["state"] for call in now()] == list(states), f"{user}: {states}")
        return [call["id"] for call in now()]


async def within_a_call(shell: Shell) -> None:
    """What needs one call."""
    await shell.do("call", "anna", "08001234", reaches="UserCall")
    await shell.calls("anna", "connected")
    await shell.do("dtmf", "anna", "12#", reaches="UserDTMF")
    await shell.do("uui", "anna", "ticket 7", reaches="UserUUI")
    await shell.do("keypad", "anna", "--display", "Gate 3", reaches="UserInfo")
    await shell.do("facility", "anna", "--code", "8", reaches="UserRc")
    await shell.do("display", "anna", "--number", "08001234", "--name", "ACME", reaches="UserCtComplete")
    await shell.do("hold", "anna", "--remote-music", reaches="UserHold")
    await shell.do("retrieve", "anna", reaches="UserRetrieve")
    await shell.do("park", "anna", "--at", "bert", reaches="UserPark")
    (parked,) = await shell.calls("bert", "parked")
    await shell.do("pickup", "carla/x", "--call", parked, reaches="UserPickup")
    await shell.calls("carla%2Fx", "connected")
    await shell.do("clear", "carla/x", reaches="UserClear")
    await shell.calls("carla%2Fx")


async def between_calls(shell: Shell) -> None:
    """What needs a ringing one, or two."""
    shell.pbx.ring(ANNA, "0123")
    await shell.calls("anna", "ringing")
    await shell.do("redirect", "anna", "--to-user", "bert", reaches="UserRedirect")
    await shell.calls("bert", "ringing")
    await shell.do("reroute", "bert", "--to-user", "anna", reaches="UserReroute")
    await shell.calls("anna", "ringing")
    await shell.do("answer", "anna", reaches="UserConnect")
    await shell.calls("anna", "connected")
    await shell.do("call", "anna", "08001234", reaches="UserCall")
    first, second = await shell.calls("anna", "connected", "connected")
    pair = ("--call", first, "--to-call", second)
    await shell.do("media", *pair, "--user-side", "--remote-side", reaches="UserMediaTransfer")
    await shell.do("transfer", *pair, reaches="UserTransfer")


async def without_a_call(shell: Shell) -> None:
    """Presence, messages, questions, configuration, the session."""
    await shell.do("presence", "anna", "away", reaches="SetPresence")
    await shell.do("message", "anna", "--to-user", "bert", "--text", "Lunch?", reaches="UserMessage")
    found = await shell.do("find", "--number", "22", reaches="FindUser")
    assert [user["name"] for user in found["result"]["users"]] == [BERT]
    await shell.do("calls", "anna", reaches="Calls")
    await shell.do("devices", "anna", reaches="Devices")
    await shell.do("localize", "anna", "08001234", reaches="UserLocalNum")
    await shell.do("reachable", "anna", "22", reaches="UserFindDestination")
    located = await shell.do("locate", "--location", "sim", reaches="LocationUrl")
    assert located["result"]["url"] == shell.pbx.soap_url.replace("http:", "https:")
    await shell.do("version", reaches="Version")
    await shell.do("forward", "anna", "--always", "08001234", reaches="Admin")
    assert [one.e164 for one in shell.pbx.exchange.users[ANNA].forwards] == ["08001234"]
    await shell.do("admin", "--xml", SHOW, reaches="Admin")
    await shell.do("ping", reaches="Echo")
    await shell.do("resync", reaches="Initialize")


async def test_every_verb_reaches_the_pbx(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """With all rights that a configuration can give."""
    rights = {"allow": [*SETS], "numbers": {"allow": ["*"]}, "facilities": [8], "types": ["*"]}
    section = pbx_section(pbx, forwards=True)
    async with bridge(configuration(broker.port, section, commands=rights)):
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "it is settled")
        shell = Shell(broker.port, bus, pbx)
        await within_a_call(shell)
        await between_calls(shell)
        await without_a_call(shell)

    assert shell.used == set(VERBS)
