"""A small Debian with a real systemd in a container: made, given the program, booted, switched off."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bus import eventually, free_port

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")
PARTS = "systemd,systemd-sysv,dbus,python3,python3-venv,procps,ca-certificates,mosquitto"
CERTIFICATES = "/etc/ssl/certs"
PROGRAM = "/opt/innovaphone-mqtt"
CONFIG = "/etc/innovaphone-mqtt"
LATER = 60.0


def missing() -> str:
    """Why there can be no such machine here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    lacking = [name for name in TOOLS if shutil.which(name) is None]
    return f"install systemd-container and mmdebstrap ({', '.join(lacking)})" if lacking else ""


async def output(*words: str) -> tuple[int, str]:
    """Run a command: its exit code, and all it said."""
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *words, stdin=nothing, stdout=pipe, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace").strip()


async def must(*words: str) -> str:
    """Run a command that must not fail; what it says."""
    code, said = await output(*words)
    assert code == 0, f"{' '.join(words[:6])}...: {said[-1500:]}"
    return said


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that runs. It shares the loopback network with its host."""

    root: Path
    leader: int
    broker_port: int
    pbx_port: int

    async def run(self, *words: str) -> tuple[int, str]:
        """Run a command in it."""
        return await output("nsenter", "-t", str(self.leader), "-a", *words)

    async def must(self, *words: str) -> str:
        """Run a command in it that must not fail."""
        return await must("nsenter", "-t", str(self.leader), "-a", *words)

    async def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return await self.must("systemctl", "show", "--value", "-p", name, unit)

    async def becomes(self, unit: str, name: str, pattern: str) -> None:
        """Wait until a property of a unit has this form."""
        end = time.monotonic() + LATER
        while not re.fullmatch(pattern, found := await self.show(unit, name)):
            if time.monotonic() > end:
                log = await self.journal(unit)
                raise AssertionError(f"{unit}: {name} is '{found}', not '{pattern}': {log[-1500:]}")

    async def journal(self, unit: str) -> str:
        """What a unit has written."""
        return await self.must("journalctl", "--no-pager", "-o", "cat", "-u", unit)

    async def version(self) -> int:
        """That of its systemd."""
        return int((await self.must("systemctl", "--version")).split()[1])

    def configure(self, name: str, settings: dict[str, Any], *, secrets: dict[str, str], folder: str) -> None:
        """Write a configuration for everybody to read, and secrets for root only."""
        place = self.root / CONFIG.removeprefix("/")
        (place / name).write_text(json.dumps(settings))
        (place / folder).mkdir(mode=0o700, exist_ok=True)
        for key, secret in secrets.items():
            (place / folder / key).write_text(f"{secret}\n")
            (place / folder / key).chmod(0o600)

    def settings(self, *pbxs: str) -> dict[str, Any]:
        """A configuration for some PBXs, all of them the simulated one, passwords as credentials."""
        section = {"username": "admin", "session_user": "API", "url": f"http://127.0.0.1:{self.pbx_port}"}
        sections = [
            {**section, "name": pbx, "password_file": f"$CREDENTIALS_DIRECTORY/secret_{pbx}"} for pbx in pbxs
        ]
        mqtt = {"url": f"mqtt://127.0.0.1:{self.broker_port}"}
        return {"mqtt": mqtt, "pbxs": sections, "http": {"listen": f"127.0.0.1:{_port_for_pages(*pbxs)}"}}


def _port_for_pages(*pbxs: str) -> int:
    """A free port where the units let a service listen, another one for each."""
    start = sum(map(ord, "".join(pbxs)))
    for port in (9600 + (start + step) % 100 for step in range(100)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("ports 9600 to 9699 are all in use")


@asynccontextmanager
async def machine(suite: str, folder: Path) -> AsyncIterator[Machine]:
    """A booted machine with program, units, broker and simulated PBX."""
    root = folder / "root"
    await unpack(suite, root)
    with _own_cgroups(f"bridge-{os.getpid()}") as enter:
        await _install(root, enter)
        async with _boot(root, enter) as running:
            yield running


@contextlib.contextmanager
def _own_cgroups(name: str) -> Iterator[tuple[str, ...]]:
    """New cgroups, and the words that start a command in them.

    Without a unit of its own, systemd-nspawn puts every machine into a group "payload" below the group that
    it was started in. Two machines at a time would share it, and the groups of their services: each would
    find the other's processes, as number 0, and could not signal its own.
    """
    folders = [place / name for place in _cgroups()]
    try:
        for folder in folders:
            folder.mkdir()
        join = "".join(f"echo $$ >{folder}/cgroup.procs && " for folder in folders)
        yield ("sh", "-c", f'{join}exec "$@"', "sh")
    finally:
        for folder in folders:
            _remove(folder)


def _cgroups() -> Iterator[Path]:
    """Our own groups in the hierarchies that systemd uses: of its own (v1), and of version 2."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, own = line.split(":", 2)
        names = {"": ("unified", "."), "name=systemd": ("systemd",)}.get(controllers, ())
        places = (Path("/sys/fs/cgroup", name, own.lstrip("/")) for name in names)
        yield from [place for place in places if (place / "cgroup.procs").exists()][:1]


def _remove(group: Path) -> None:
    """Remove a cgroup and those below it, all of them without processes now."""
    for below, _, _ in os.walk(group, topdown=False):
        Path(below).rmdir()


@asynccontextmanager
async def _boot(root: Path, enter: tuple[str, ...]) -> AsyncIterator[Machine]:
    """It runs until the end of the block."""
    command = ("systemd-nspawn", "-q", "-D", str(root), "-M", f"bridge-{os.getpid()}", "--register=no")
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *(*enter, *command, "--keep-unit", "-b", "--console=passive"),
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
    )
    try:
        running = Machine(root, await _leader(process.pid), free_port(), free_port())
        await _booted(running)
        await _peers(running)
        yield running
        await running.run("systemctl", "poweroff")
        await asyncio.wait_for(process.wait(), LATER)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def unpack(suite: str, root: Path) -> None:
    """A Debian that is made once and kept; who wants it meanwhile waits."""
    archive = ROOT / "build" / "systemd" / f"{suite}.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    make = f'mmdebstrap --variant=minbase --include={PARTS} {suite} "$1.tar" && mv "$1.tar" "$1"'
    await must("flock", f"{archive}.lock", "sh", "-c", f'test -e "$1" || {{ {make}; }}', "sh", str(archive))
    await must("mkdir", str(root))
    await must("tar", "-C", str(root), "-xf", str(archive))
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "etc" / "systemd" / "system" / "mosquitto.service").symlink_to("/dev/null")


async def _install(root: Path, enter: tuple[str, ...]) -> None:
    """As deploy/systemd/README.md says, from a copy of the project."""
    _copy(root)
    inside = (
        *enter,
        *("systemd-nspawn", "-q", "-D", str(root), "--register=no", "--keep-unit", "--console=pipe"),
        *(f"--bind-ro={CERTIFICATES}", "--bind-ro=/etc/resolv.conf", "--chdir=/root/innovaphone-mqtt"),
        *("-E", f"PIP_CERT={CERTIFICATES}/ca-certificates.crt"),
    )
    pip = (f"{PROGRAM}/bin/python", "-m", "pip", "install", "--quiet", "--no-deps")
    await must(*inside, "python3", "-m", "venv", PROGRAM)
    await must(*inside, *pip, "--require-hashes", "-r", "locks/program.lock")
    await must(*inside, *pip, "--no-build-isolation", ".")
    await must(*inside, f"{PROGRAM}/bin/python", "-m", "pip", "check")


def _copy(root: Path) -> None:
    source = root / "root" / "innovaphone-mqtt"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "bridge", "deploy", "locks"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    (root / CONFIG.removeprefix("/")).mkdir(mode=0o755)
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.target")):
        shutil.copy(unit, root / "etc" / "systemd" / "system")


async def _leader(pid: int) -> int:
    """The machine's process 1, as its host sees it; there are short-lived ones before it."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [child for child in _children(pid) if _number_inside(child) == 1]
        return bool(found)

    await eventually(there, "the machine has a first process", within=LATER)
    return found[0]


def _children(pid: int) -> list[int]:
    return [
        int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    ]


def _number_inside(pid: int) -> int | None:
    """The number of a process in its innermost namespace; None when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))


async def _booted(running: Machine) -> None:
    end = time.monotonic() + LATER
    while (await running.run("systemctl", "is-system-running"))[1] not in {"running", "degraded"}:
        assert time.monotonic() < end, "the machine does not come up"


async def _peers(running: Machine) -> None:
    """A broker and a simulated PBX, as services."""
    conf = running.root / "etc" / "broker.conf"
    conf.write_text(f"listener {running.broker_port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    unit = ("systemd-run", "-q", "--unit")
    await running.must(*unit, "broker", "mosquitto", "-c", "/etc/broker.conf")
    simulate = (f"{PROGRAM}/bin/innovaphone-mqtt", "simulate", "--port", str(running.pbx_port))
    await running.must(*unit, "pbx", *simulate)
    await running.becomes("broker", "ActiveState", "active")
