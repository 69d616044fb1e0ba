"""For tests: one session with a PBX until it ends. As a program: several, and the memory they took."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bridge.core.backend import IgnoreEvents
from bridge.core.records import Batch
from bridge.core.status import About
from bridge.errors import LinkError
from bridge.pbx.client import Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.session import Session, SessionSettings, session
from bridge.pbx.soap import Soap

SOAP = Soap()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended, whom it had seen, how long it took, log-in and all, its CPU time, the firmware.

    Other programs on the machine add to `seconds`, never to `cpu_s`.
    """

    error: LinkError
    names: tuple[str, ...]
    seconds: float
    cpu_s: float
    firmware: str


class Witness(IgnoreEvents):
    """What a session reports; it is asked to end when the list of users is complete."""

    def __init__(self, opened: Session) -> None:
        self._session = opened
        self.names: tuple[str, ...] = ()
        self.firmware = ""

    def began(self, about: About) -> None:
        """The first Poll is next."""
        self.firmware = about.firmware

    def reported(self, batch: Batch) -> None:
        """Note the users."""
        self.names += tuple(record.name for record in batch.users)
        if batch.list_complete:
            self._session.resync()


async def attempt(url: str, *, within_s: float) -> Ending:
    """Serve one session until it breaks or has read the list; each request may take so long."""
    client = Client(SOAP, Endpoint(url, "admin", "secret"), poll_s=within_s, request_s=within_s)
    async with client, session(client, SessionSettings("API")) as opened:
        witness, started, worked = Witness(opened), time.monotonic(), time.process_time()
        try:
            await opened.serve(witness)
        except LinkError as error:
            seconds, cpu_s = time.monotonic() - started, time.process_time() - worked
            return Ending(error, witness.names, seconds, cpu_s, witness.firmware)
    raise AssertionError("a session ended without a reason")


async def _peaks(url: str, times: int) -> list[int]:
    """The most memory this process has had after each of so many sessions, in bytes."""
    peaks = []
    for _ in range(times):
        await attempt(url, within_s=5)
        peaks.append(_peak())
    return peaks


def _peak() -> int:
    """Of this program alone: what getrusage tells begins with what the process had that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    json.dump(asyncio.run(_peaks(sys.argv[1], int(sys.argv[2]))), sys.stdout)
