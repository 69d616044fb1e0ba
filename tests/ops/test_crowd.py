"""A crowd at the pages of the real program, on a system that has no thread left for it."""

import asyncio
import os
import shutil
import signal
import socket
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import pytest

from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually, free_port
from tests.pages import get, get_soon
from tests.running import Program, configuration, pbx_section

CROWD = 150
AS_NOBODY = (
    *("setpriv", "--reuid=65534", "--clear-groups"),
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
)
"""For root there is no limit of threads. The files of a test belong to root."""


@pytest.mark.broker
async def test_health_and_reconnect_need_no_thread(broker: Mosquitto, pbx: SimPbx, tmp_path: Path) -> None:
    """Half-open requests, no thread to be had, and the broker starts again: healthy, and back at once."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("root has no limit of threads, and there is no setpriv here")
    port = free_port()
    settings = {**configuration(broker.port, pbx_section(pbx)), "http": {"listen": f"127.0.0.1:{port}"}}
    program = Program(
        tmp_path, settings, prefix=AS_NOBODY if os.geteuid() == 0 else (), module="tests.ops.no_more_threads"
    )
    process = await program.start()
    async with Observer(broker.port) as bus:
        await eventually(
            lambda: bus.now("innovaphone/hq/state") == "online", "hq is online", within=2 * PATIENCE_S
        )
    process.send_signal(signal.SIGUSR1)
    with ExitStack() as stack:
        for _ in range(CROWD):
            visitor = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            visitor.send(b"GET /healthz HTTP/1.1\r\nHost: ")
        assert (await asyncio.to_thread(get, port, "/healthz"))[0] == HTTPStatus.OK
        await broker.kill()
        await eventually(lambda: "mqtt down" in program.log, "the broker is missed")
        await broker.start()
        async with Observer(broker.port) as bus:
            await eventually(
                lambda: bus.now("innovaphone/hq/state") == "online", "hq is back", within=2 * PATIENCE_S
            )
        await eventually(lambda: get_soon(port) == HTTPStatus.OK, "it is ready again")
    code, log = await program.end(signal.SIGTERM)
    assert (code, "Traceback" in log, '"bug"' in log) == (0, False, False), log
