"""What systemd hears of the real program, over a real socket."""

import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.core.status import LinkState
from bridge.ops.health import LinkStatus, SessionStatus
from bridge.ops.notify import Notifier, summary
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, eventually, free_port
from tests.running import Program, configuration, pbx_section

UP, DOWN = SessionStatus(up=True, reason="", since_ms=0), SessionStatus(up=False, reason="gone", since_ms=0)
GOOD = LinkStatus("hq", LinkState.ONLINE, UP, UP, "14r2", 9, 3, 0, {}, (), "")


class Systemd:
    """The listening end; keeps every datagram."""

    def __init__(self, socket_: socket.socket, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket_

    def listen(self) -> list[str]:
        """Everything so far."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    async def hears(self, times: int, line: str) -> None:
        """Wait until it was said so often."""
        await eventually(lambda: self.lines().count(line) >= times, f"{line} for the {times}th time")

    def lines(self) -> list[str]:
        """Everything so far, line by line."""
        return [line for datagram in self.listen() for line in datagram.splitlines()]


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A socket as systemd has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        address = str(tmp_path / "notify")
        listening.bind(address)
        listening.setblocking(False)  # noqa: FBT003  (the library's signature)
        yield Systemd(listening, address)


def now_us() -> int:
    """The clock that systemd means."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def environment(systemd: Systemd) -> Mapping[str, str]:
    """What a service finds in its environment."""
    return {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "3000000"}


@pytest.mark.broker
async def test_systemd_hears_how_it_goes(
    broker: Mosquitto, pbx: SimPbx, tmp_path: Path, systemd: Systemd
) -> None:
    """Ready, alive, how the link does, a reload from begin to end, one that fails too, the end."""
    program = Program(tmp_path, configuration(broker.port, pbx_section(pbx)))
    process = await program.start(environment=environment(systemd))
    await eventually(lambda: "READY=1" in systemd.lines(), "it is ready")
    await eventually(lambda: "STATUS=pbx=online mqtt=online calls=0 queue=0" in systemd.lines(), "it works")
    pbx.ring("Anna M\u00fcller", "0123")
    await eventually(lambda: "STATUS=pbx=online mqtt=online calls=1 queue=0" in systemd.lines(), "a call")
    await eventually(lambda: systemd.lines().count("WATCHDOG=1") > 1, "it is alive")

    for turn, text in enumerate((program.file.read_text(), "pbxs: ["), start=1):
        program.file.write_text(text)
        start_us = now_us()
        process.send_signal(signal.SIGHUP)
        await systemd.hears(turn + 1, "READY=1")
        begins = [each for each in systemd.listen() if each.startswith("RELOADING=1\n")]
        assert len(begins) == turn
        assert start_us <= int(begins[-1].partition("MONOTONIC_USEC=")[2]) <= now_us()

    code, _ = await program.end(signal.SIGTERM)
    assert (code, systemd.lines()[-1]) == (0, "STOPPING=1")


@pytest.mark.broker
async def test_a_pbx_that_is_down_is_no_reason_not_to_start(
    broker: Mosquitto, tmp_path: Path, systemd: Systemd, pbx: SimPbx
) -> None:
    """Ready and alive all the same, and the status says what is down."""
    gone = pbx_section(pbx, url=f"http://127.0.0.1:{free_port()}")
    program = Program(tmp_path, configuration(broker.port, gone))
    await program.start(environment=environment(systemd))
    await eventually(
        lambda: "STATUS=pbx=unreachable mqtt=online calls=0 queue=0" in systemd.lines(), "status"
    )
    assert "READY=1" in systemd.lines()
    await eventually(lambda: "WATCHDOG=1" in systemd.lines(), "it is alive")
    await program.end(signal.SIGTERM)


def test_the_watchdog_is_fed_only_while_everything_moves(systemd: Systemd) -> None:
    """And only by the process that it watches."""
    for given, moving, expected in (
        ({"WATCHDOG_USEC": "3000000"}, True, ["WATCHDOG=1"]),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, True, ["WATCHDOG=1"]),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, True, []),
        ({"WATCHDOG_USEC": "3000000"}, False, []),
        ({}, True, []),
    ):
        before = len(systemd.lines())
        notifier = Notifier({"NOTIFY_SOCKET": systemd.address, **given})
        notifier.beat((GOOD,), moving=moving)
        notifier.beat((GOOD,), moving=moving)
        assert systemd.lines()[before:] == [f"STATUS={summary((GOOD,))}", *expected, *expected]


@pytest.mark.parametrize("given", ["", "/there/is/nobody", "@nobody-listens-here", "x" * 200])
def test_nobody_listens(given: str) -> None:
    """Nothing happens."""
    notifier = Notifier({"NOTIFY_SOCKET": given} if given else {})
    notifier.ready()
    notifier.stopping()
    notifier.beat((GOOD,), moving=True)


def test_an_abstract_socket() -> None:
    """Containers have their sockets there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0innovaphone-mqtt-test-{os.getpid()}")
        listening.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@innovaphone-mqtt-test-{os.getpid()}"}).ready()
        assert listening.recv(100) == b"READY=1"


def test_many_links_in_one_line() -> None:
    """How many of them work."""
    links = (GOOD, replace(GOOD, pbx_session=DOWN, calls=1), replace(GOOD, broker_session=DOWN, outbox=7))

    assert summary(links) == "pbx=2/3 mqtt=2/3 calls=7 queue=7"
    assert summary(()) == "pbx=0/0 mqtt=0/0 calls=0 queue=0"
