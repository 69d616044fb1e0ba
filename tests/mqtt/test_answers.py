"""What strangers make the bridge publish: replies on topics that they choose, deletions of retained commands.

Whatever the broker makes of it, the bridge stays on the bus, and others get their replies.
"""

import json
from pathlib import Path

import pytest
import structlog
from structlog.typing import EventDict

from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import MAY_NOT_CLEAR, bridge, configuration, pbx_section

ROOT = "innovaphone/hq"
PING = f"{ROOT}/command/ping"
PATIENCE_S = 30.0
LEVELS = (9, 20, 21, 128, 200, 202)
"""Up to 20 the bridge lets a request name; Mosquitto ends the session of whoever publishes above 200."""
NARROW = f"""
{MAY_NOT_CLEAR}topic readwrite innovaphone/reply/hers/#
user hers
topic readwrite innovaphone/#
topic readwrite observer/#
user stranger
topic write innovaphone/+/command/#
topic write innovaphone/+/user/+/command/+
topic read innovaphone/reply/#
"""
"""The bridge may not write most of what a request can name, nor delete what is retained as a command."""


def ups(log: list[EventDict]) -> int:
    """How many MQTT sessions there were."""
    return sum(each["event"] == "mqtt up" for each in log)


@pytest.mark.broker
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_stranger_with_one_right_ends_no_session(tmp_path: Path, pbx: SimPbx, protocol: str) -> None:
    """At a Mosquitto with an access list: deep and forbidden topics, retained commands, long verbs."""
    (tmp_path / "acl").write_text(NARROW)
    async with Mosquitto(tmp_path, f"acl_file {tmp_path / 'acl'}") as broker:
        settings = configuration(broker.port, pbx_section(pbx))
        settings["mqtt"] |= {"protocol": protocol, "username": "bridge", "password": "x"}
        async with (
            Observer(broker.port, credentials=("hers", "x")) as hers,
            Observer(broker.port, topics="innovaphone/reply/#", credentials=("stranger", "x")) as stranger,
        ):
            with structlog.testing.capture_logs() as log:
                async with bridge(settings):
                    await eventually(lambda: hers.now(f"{ROOT}/state") == "online", "it is online")
                    for levels in LEVELS:
                        for root in ("a", "innovaphone/reply", "innovaphone/reply/hers"):
                            topic = "/".join([root, *"a" * (levels - len(root.split("/")))])
                            await ask_there(broker.port, topic)
                    for verb in ("x" * 128, "x" * 10_000, "clear", "ü" * 128):
                        stranger.publish(f"{ROOT}/command/{verb}", {"id": "v"}, retain=True)
                        stranger.publish(f"{ROOT}/user/anna/command/{verb}", {"id": "v"})
                    hers.publish(PING, {"id": "mine"})
                    await eventually(
                        lambda: [each for each in hers.replies("ping") if each["id"] == "mine"],
                        "she has her reply",
                    )
                    assert [m.payload for m in hers.messages if m.topic == f"{ROOT}/state"][-1] == b"online"
    assert ups(log) == 1


async def ask_there(port: int, response: str) -> None:
    """As a stranger of its own: a newer Mosquitto ends the session of whoever names so deep a topic."""
    async with Observer(port, topics="innovaphone/reply/#", credentials=("stranger", "x")) as stranger:
        is_taken = stranger.send_bytes(PING, b'{"id":"x"}', response=response)
        await eventually(lambda: is_taken() or not stranger.subscribed, "the broker takes it, or leaves")


class Stage:
    """A bridge at a peer that ends sessions."""

    def __init__(self, peer: Peer, log: list[EventDict]) -> None:
        self._peer = peer
        self._log = log

    async def online(self) -> None:
        """Wait until the bridge serves in its latest session."""
        await eventually(self._is_online, "it is online", PATIENCE_S)

    def _is_online(self) -> bool:
        online = self._peer.payloads(f"{ROOT}/state")[-1:] == [b"online"]
        return online and ups(self._log) == self._sessions

    async def ask(self, number: int, response: str = "") -> None:
        """Ask for a reply until a request was answered: one that met the end of a session is lost."""
        before, asked_in = self._answered, 0

        def answered() -> bool:
            nonlocal asked_in
            if self._is_online() and asked_in != self._sessions:
                asked_in = self._sessions
                payload = json.dumps({"id": f"{number} {response}"}).encode()
                self._peer.send_publish(PING, payload, response=response)
            return self._answered > before

        await eventually(answered, "the request was answered", PATIENCE_S)

    @property
    def _sessions(self) -> int:
        return sum("probe" not in each.client_id for each in self._peer.connects)

    @property
    def _answered(self) -> int:
        return sum(each["event"] == "command" for each in self._log)

    @property
    def held_back(self) -> list[str]:
        """The kinds of answers that are held back."""
        return [each["kind"] for each in self._log if each["event"] == "answers held back"]


@pytest.mark.parametrize("closes_with", [None, 0x82, 0x87, 0x90])
async def test_a_broker_with_fewer_levels(pbx: SimPbx, closes_with: int | None) -> None:
    """It ends three sessions, with or without a word; then it is not given such a topic any more."""
    hers = "innovaphone/reply/hers"
    async with Peer(Habits(closes_above_levels=8, closes_with=closes_with)) as peer:
        with structlog.testing.capture_logs() as log:
            stage = Stage(peer, log)
            async with bridge(configuration(peer.port, pbx_section(pbx))):
                await stage.ask(0, hers)
                await eventually(lambda: peer.payloads(hers), "she has her reply")
                for number in range(6):
                    await stage.ask(number, f"innovaphone/reply/a/b/c/d/e/f/g/{number}")
                    await stage.ask(number)
                await stage.ask(7, hers)
                await eventually(lambda: len(peer.payloads(hers)) == 2, "she has replies still")
    assert len(peer.poisoned) == 3
    assert stage.held_back == ["chosen_reply"]


@pytest.mark.parametrize(
    ("topic", "kind"), [(f"{ROOT}/response/ping", "reply"), (f"{ROOT}/command/clear", "erasure")]
)
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_closes_at_a_missing_right(
    pbx: SimPbx, topic: str, kind: str, protocol: str
) -> None:
    """No right to reply, or to delete retained commands: that costs three sessions, not the service."""
    async with Peer(Habits(closes_at=frozenset({topic}), keeps=True)) as peer:
        peer.kept[f"{ROOT}/command/clear"] = b"x"
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = protocol
        with structlog.testing.capture_logs() as log:
            stage = Stage(peer, log)
            async with bridge(settings):
                while not stage.held_back:
                    await stage.ask(1)
                for number in range(3):
                    await stage.ask(number)
                await stage.online()
    assert peer.poisoned == [topic] * 3
    assert stage.held_back == [kind]
