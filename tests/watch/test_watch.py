"""`innovaphone-mqtt watch` with a real broker and a running bridge: terminal, lines, JSON, lost brokers."""

import asyncio
import fcntl
import json
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.errors import LinkError
from bridge.mqtt.settings import BrokerSettings
from bridge.sim.pbx import SimPbx
from bridge.watch.run import Choice, Watch, show
from bridge.watch.screens import Lines
from bridge.watch.view import Filter
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.kit.shell import ask
from tests.running import bridge, configuration, pbx_section, program

HQ = "innovaphone/hq"
pytestmark = pytest.mark.broker


@asynccontextmanager
async def watching(
    *ports: int, chosen: Filter | None = None, whole: bool = False
) -> AsyncIterator[tuple[Watch, list[str], list[str]]]:
    """A running watch, what it says and what it complains about."""
    said: list[str] = []
    complained: list[str] = []
    watch = Watch("innovaphone", chosen or Filter(), Lines(said.append, complained.append, whole=whole))
    brokers = [BrokerSettings("127.0.0.1", port, client_id="watch") for port in ports]
    task = asyncio.create_task(watch.run(brokers, 0))
    try:
        yield watch, said, complained
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_call_is_seen_from_ringing_to_its_end(broker: Mosquitto, bus: Observer, pbx: SimPbx) -> None:
    """On the board while it rings and while they talk; in words beside it."""
    async with (
        bridge(configuration(broker.port, pbx_section(pbx))),
        watching(broker.port) as (watch, said, _),
    ):
        await eventually(lambda: (bus.now(f"{HQ}/info") or {}).get("settled"), "it is settled")
        await eventually(
            lambda: len(watch.board.people) == len(pbx.exchange.users), "all users are on the board"
        )
        _, placed = await ask(broker.port, "call", "anna", "22")
        await eventually(lambda: any("is called by" in line for line in said), "the call is told")
        words = {person.name: person.call_state for _, person in watch.board.by_attention()}
        assert words["Bert"] in {"ringing", "connected"}
        await ask(broker.port, "clear", "--call", placed["call"])
        await eventually(
            lambda: not any(person.busy for _, person in watch.board.by_attention()), "it is over"
        )
        await eventually(lambda: any("ended the call" in line for line in said), "its end is told")


async def test_json_for_pipes(broker: Mosquitto, bus: Observer) -> None:
    """Each message of the chosen users as one object: retained or not, JSON, text and erasures."""
    async with watching(broker.port, chosen=Filter(users=("Ann* M*",)), whole=True) as (watch, said, _):
        bus.publish(f"{HQ}/state", "online", retain=True)
        await eventually(lambda: watch.board.pbxs, "the state is heard")
        bus.publish(f"{HQ}/user/anna/state", {"name": "Anna M\x1b[2J"}, retain=True)
        bus.publish(f"{HQ}/user/bert/state", {"name": "Bert"}, retain=True)
        bus.publish(f"{HQ}/user/anna/event", "no JSON\x1b")
        bus.publish(f"{HQ}/user/anna/state", "", retain=True)
        await eventually(lambda: len(said) == 3, "three messages are printed")

    lines = [json.loads(line) for line in said]
    assert {line["broker"] for line in lines} == {f"127.0.0.1:{broker.port}"}
    assert [(line["topic"][len(HQ) :], line["payload"]) for line in lines] == [
        ("/user/anna/state", {"name": "Anna M\x1b[2J"}),
        ("/user/anna/event", "no JSON\x1b"),
        ("/user/anna/state", None),
    ]
    assert all(line.isprintable() for line in said)


async def test_two_brokers_and_one_fails(broker: Mosquitto, bus: Observer, tmp_path: Path) -> None:
    """What the other says stays; the one that returns is read again, and what has gone meanwhile is gone."""
    async with Mosquitto(tmp_path) as other, watching(broker.port, other.port) as (watch, _, complained):
        bus.publish(f"{HQ}/user/anna/state", {"name": "Anna"}, retain=True)
        async with Observer(other.port, judges=False) as there:
            there.publish("innovaphone/branch/user/carl/state", {"name": "Carl"}, retain=True)
            await eventually(lambda: len(watch.board.people) == 2, "users of both brokers")
            await other.kill()
            await eventually(lambda: complained, "it says that a broker is lost")
            assert {person.name for _, person in watch.board.by_attention()} == {"Anna", "Carl"}
            await other.start()
            await eventually(lambda: len(watch.board.people) == 1, "what the broker has forgotten is gone")


async def test_no_broker(broker: Mosquitto) -> None:
    """One must be reached: a wrong address is told at once, with exit code 2. Others may be away."""
    nobody = BrokerSettings("127.0.0.1", free_port(), client_id="watch")
    here = BrokerSettings("127.0.0.1", broker.port, client_id="watch")
    with pytest.raises(LinkError, match=f"{nobody.port}"):
        await show(Choice("innovaphone"), [nobody], 0, print, print)
    complained: list[str] = []
    await show(Choice("innovaphone"), [nobody, here], 0.5, print, complained.append)
    assert [str(nobody.port) in line for line in complained] == [True]
    code, output, errors = await program("watch", "--url", f"mqtt://127.0.0.1:{nobody.port}")

    assert (code, output) == (2, "")
    assert str(nobody.port) in errors
    assert len(errors.splitlines()) == 1


async def test_options_that_would_be_ignored_are_refused() -> None:
    """As by `command`: one line, exit code 78."""
    code, _, errors = await program("watch", "--url", "mqtt://127.0.0.1", "--json", "--busy")
    assert (code, errors.splitlines()[0]) == (78, "--json and --busy exclude each other")


async def test_the_terminal_is_drawn_and_left_as_it_was(broker: Mosquitto, bus: Observer) -> None:
    """In a real terminal: the board on the other screen, then back, without the cursor hidden."""
    bus.publish(f"{HQ}/state", "online", retain=True)
    bus.publish(f"{HQ}/user/anna/state", {"name": "Anna", "call_state": "ringing"}, retain=True)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "bridge",
            "watch",
            "--url",
            f"mqtt://127.0.0.1:{broker.port}",
            "--for",
            "1.5",
        ),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    screen = bytearray()
    reading = asyncio.get_running_loop().run_in_executor(None, _read, ours, screen)
    assert await process.wait() == 0
    await reading
    os.close(ours)

    text = screen.decode()
    assert "\x1b[?1049h" in text
    assert "Anna" in text
    assert text.rindex("\x1b[?1049l") > text.rindex("Anna")
    assert "\x1b[?25h" in text


def _read(file: int, screen: bytearray) -> None:
    """Read until the other side has closed, which Linux reports as an error."""
    try:
        while piece := os.read(file, 4096):
            screen += piece
    except OSError:
        return
