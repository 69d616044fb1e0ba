"""The units of deploy/systemd on a real systemd: Debian 12 (252) and 13 (257, with notify-reload)."""

import os

import pytest

from tests.systemd.__main__ import run
from tests.systemd.machine import missing


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
async def test_the_units_keep_their_promises(suite: str) -> None:
    """Every check of checks.py; its lines are in the captured output."""
    if reason := missing():
        give_up = pytest.fail if os.environ.get("CI") == "true" and "install" in reason else pytest.skip
        give_up(f"no machine with systemd: {reason}")
    assert await run(suite) == []
