"""Tries the units on a real systemd: `tests/systemd/run [SUITE ...]`, Debian's bookworm by default."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.systemd.checks import CHECKS
from tests.systemd.machine import machine, missing


async def run(suite: str) -> list[str]:
    """One line for each check; the names of those that failed. A failure does not end the rest."""
    failed = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="innovaphone-mqtt-") as folder:
        async with machine(suite, Path(folder)) as on:
            say(f"{suite}: systemd {await on.version()} is up after {time.monotonic() - start:.0f} s")
            for check in CHECKS:
                start = time.monotonic()
                try:
                    await check(on)
                    result = "good"
                except (AssertionError, pytest.fail.Exception) as error:
                    failed.append(check.__name__)
                    result = f"FAILED: {error}"
                say(f"{suite}: {check.__name__:38}{time.monotonic() - start:5.1f} s  {result}")
    return failed


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """1 when a check failed."""
    if reason := missing():
        say(f"left out: {reason}")
        return 0
    failed = [check for suite in sys.argv[1:] or ["bookworm"] for check in asyncio.run(run(suite))]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
