"""What drills ask of the system: commands, namespaces, rights. Knows nothing of the bridge."""

import asyncio
import functools
import os
import shutil
import subprocess
import sys


@functools.cache
def no_root() -> str:
    """Why nothing can be mounted here, and no network made. What can be installed says so."""
    if sys.platform != "linux":
        return "needs Linux"
    lacking = [name for name in ("mount", "ip", "unshare") if shutil.which(name) is None]
    if lacking:
        return f"install {', '.join(lacking)} (util-linux, iproute2)"
    if os.geteuid() != 0:
        return "needs root, to mount a file system and to make a network"
    tried = subprocess.run(["unshare", "--mount", "--net", "true"], check=False, capture_output=True)
    return "" if tried.returncode == 0 else "this system lets not even root mount or make a network"


async def command(*words: str) -> None:
    """Run a command of the system that must not fail."""
    process = await asyncio.create_subprocess_exec(*words)
    assert await process.wait() == 0, f"{' '.join(words)} failed"
