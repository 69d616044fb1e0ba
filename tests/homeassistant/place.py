"""A Debian 13 with Home Assistant in it: made once, kept in build/homeassistant. Starts nothing itself."""

import asyncio
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.systemd.machine import unpack

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "locks" / "homeassistant.lock"
KEPT = ROOT / "build" / "homeassistant"
PYTHON = "/opt/homeassistant/bin/python"
CONFIG = "/config"
TOOLS = ("mmdebstrap", "unshare", "setpriv")
CACHE = "pip"
"""Beside the roots: what a slow registry delivered before an installation failed is not asked for again."""
PATIENT = ("--retries", "10", "--timeout", "30", "--cache-dir", CONFIG)
PIP = (PYTHON, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", *PATIENT)
LONGEST_INSTALL_S = 400
Make = Callable[[Path, Path], Awaitable[None]]
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


@asynccontextmanager
async def installed() -> AsyncIterator[Path]:
    """That Debian, made if need be. Skips where it cannot be had; fails in CI unless it never can."""
    if reason := missing():
        give_up = pytest.fail if os.environ.get("CI") == "true" and "install" in reason else pytest.skip
        give_up(f"Home Assistant cannot be installed: {reason}")
    async with kept(KEPT, hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16], _make) as root:
        yield root


@asynccontextmanager
async def kept(folder: Path, name: str, make: Make) -> AsyncIterator[Path]:
    """The root of this name, which nobody removes until the end of the block.

    Several runs may want it at once: one makes it, the others wait. Other roots go once this one is there.
    """
    root, cache = folder / name, folder / CACHE
    cache.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        while not root.is_dir():
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            if not root.is_dir():
                await make(root, cache)
                _remove_others(folder, root, cache)
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_SH)
        yield root


def _remove_others(folder: Path, *used: Path) -> None:
    """Roots of other locks."""
    for other in folder.iterdir():
        if other.is_dir() and other not in used:
            shutil.rmtree(other)


def missing() -> str:
    """Why it cannot be had here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    if platform.machine() not in {"x86_64", "aarch64"}:
        return "there are no wheels for this processor"
    lacking = [name for name in TOOLS if shutil.which(name) is None]
    return f"install mmdebstrap and util-linux ({', '.join(lacking)})" if lacking else ""


async def _make(root: Path, cache: Path) -> None:
    """What an interrupted installation has left goes first; what it has downloaded stays in the cache."""
    fresh = root.with_suffix(".fresh")
    if fresh.is_dir():
        shutil.rmtree(fresh)
    await unpack("trixie", fresh)
    shutil.copy(LOCK, fresh / "root" / LOCK.name)
    _run(*inside(fresh, cache, "python3", "-m", "venv", str(Path(PYTHON).parents[1])))
    _run(*inside(fresh, cache, *PIP, "--only-binary=:all:", "--require-hashes", "-r", f"/root/{LOCK.name}"))
    fresh.rename(root)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_INSTALL_S, check=False)
    assert done.returncode == 0, f"Home Assistant cannot be installed: {done.stderr.strip()[-1500:]}"
