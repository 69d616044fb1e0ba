"""A Debian 13 with Home Assistant in it: made once, kept in build/homeassistant. Starts nothing itself."""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.machine import unpack

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "locks" / "homeassistant.lock"
KEPT = ROOT / "build" / "homeassistant"
PYTHON = "/opt/homeassistant/bin/python"
CONFIG = "/config"
TOOLS = ("mmdebstrap", "unshare", "setpriv")
PIP = (PYTHON, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps")
LONGEST_INSTALL_S = 400
ENTER = """
root=$1 config=$2; shift 2
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
for each in /etc/resolv.conf /etc/ssl/certs; do
    if [ ! -e "$root$each" ]; then touch "$root$each"; fi
    mount --bind "$each" "$root$each"
done
mkdir -p "$root/config"
mount --bind "$config" "$root/config"
cd "$root"
exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"
"""
"""Its mounts are in a name space of their own, and end with it: no removal of the root can reach them."""


def inside(root: Path, config: Path, *words: str) -> tuple[str, ...]:
    """A command in that Debian, with a folder as its `CONFIG`. It shares our network, and dies with us."""
    mounts = ("unshare", "--mount", "--propagation=private", "bash", "-euc", ENTER, "inside")
    return ("setpriv", "--pdeathsig", "KILL", *mounts, str(root), str(config), *words)


async def installed() -> Path:
    """That Debian, made if need be. Skips where it cannot be had; fails in CI unless it never can.

    Several runs may want it at once: one makes it, the others wait.
    """
    if reason := missing():
        give_up = pytest.fail if os.environ.get("CI") == "true" and "install" in reason else pytest.skip
        give_up(f"Home Assistant cannot be installed: {reason}")
    KEPT.mkdir(parents=True, exist_ok=True)
    root = KEPT / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            await _make(root)
    return root


def missing() -> str:
    """Why it cannot be had here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if platform.machine() not in {"x86_64", "aarch64"}:
        return "there are no wheels for this processor"
    lacking = [name for name in TOOLS if shutil.which(name) is None]
    return f"install mmdebstrap and util-linux ({', '.join(lacking)})" if lacking else ""


async def _make(root: Path) -> None:
    """What an older lock or an interrupted installation has left goes first."""
    for other in KEPT.iterdir():
        if other.is_dir():
            shutil.rmtree(other)
    fresh = root.with_suffix(".fresh")
    await unpack("trixie", fresh)
    shutil.copy(LOCK, fresh / "root" / LOCK.name)
    nothing = fresh / "srv"
    _run(*inside(fresh, nothing, "python3", "-m", "venv", str(Path(PYTHON).parents[1])))
    _run(*inside(fresh, nothing, *PIP, "--only-binary=:all:", "--require-hashes", "-r", f"/root/{LOCK.name}"))
    fresh.rename(root)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_INSTALL_S, check=False)
    assert done.returncode == 0, f"Home Assistant cannot be installed: {done.stderr.strip()[-1500:]}"
