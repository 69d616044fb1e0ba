"""The example for a shell, run as it is: it sees the PBX, places a call, hangs up, and hears the replies."""

import asyncio
import json
import shutil

import pytest

from tests.brokers.servers import missing
from tests.bus import Mosquitto, Observer
from tests.examples.office import EXAMPLES, demo

pytestmark = pytest.mark.broker


async def test_the_session(broker: Mosquitto, bus: Observer) -> None:
    """Each request is accepted, and the call is that of the reply."""
    if shutil.which("mosquitto_rr") is None:
        missing("mosquitto_rr is not installed (apt install mosquitto-clients)")
    async with demo(broker, bus):
        process = await asyncio.create_subprocess_exec(
            str(EXAMPLES / "session.sh"),
            str(broker.port),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
    said = [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]
    placed, state, cleared, presence = said

    assert (err, process.returncode) == (b"", 0)
    assert "innovaphone/office/state online" in out.decode()
    assert "innovaphone/office/user/anna/state" in out.decode()
    assert [each["status"] for each in (placed, cleared, presence)] == ["ok"] * 3
    assert [call["id"] for call in state["calls"]] in ([placed["call"]], [])
    assert bus.events("reception", "office")[0]["call"]["remote"]["number"] == "08001234"
