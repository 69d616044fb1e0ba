"""Where and how a bench was run: the machine, the date, the command. Measures nothing."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path


def about(module: str) -> dict[str, object]:
    """When, where and how it was measured: the command of a module, without the paths of this machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    mosquitto = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, "
        f"CPython {platform.python_version()}, {mosquitto.partition(chr(10))[0]}",
        "command": shlex.join(["python", "-m", module, *(each.rpartition("/")[2] for each in sys.argv[1:])]),
    }
