"""What is promised of the units, each tried on a booted machine, one after the other."""

import re
import time
from collections.abc import Awaitable, Callable

from tests.bus import Observer, eventually
from tests.systemd.machine import CONFIG, PROGRAM, UNITS, Machine

HQ, BRANCH, ALL = "innovaphone-mqtt@hq.service", "innovaphone-mqtt@branch.service", "innovaphone-mqtt.service"
WORKS = r"pbx=online mqtt=online calls=\d queue=\d"
STOP_S = 5.0
NOTIFY_RELOAD, RESTART_STEPS = 253, 254
KILLS = 25
WRITABLE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  (of the service, in its own mounts)
HUNG = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n"
DROP_INS = "etc/systemd/system/innovaphone-mqtt@hq.service.d"


async def units_are_clean(on: Machine) -> None:
    """There is nothing to say of them, and the sandbox is tight."""
    units = [f"/etc/systemd/system/{name}" for name in (HQ.replace("hq", ""), ALL, "innovaphone-mqtt.target")]
    said = await on.must("systemd-analyze", "verify", "--recursive-errors=yes", *units)
    assert said == "", said
    for unit in (HQ, ALL):
        await on.must("systemd-analyze", "security", "--no-pager", "--threshold=15", unit)


async def two_instances_start(on: Machine) -> None:
    """Ready at once; the status tells how the link does; the password came as a credential."""
    for pbx in ("hq", "branch"):
        on.configure(
            f"{pbx}.yaml", on.settings(pbx), secrets={pbx: "secret", "mqtt": "x"}, folder=f"{pbx}.secrets"
        )
    await on.must("systemctl", "start", HQ, BRANCH)
    for unit in (HQ, BRANCH):
        assert await on.show(unit, "ActiveState") == "active"
        await on.becomes(unit, "StatusText", WORKS)


async def instances_are_apart(on: Machine) -> None:
    """Each has a user of its own, who can read neither state nor credentials of the other."""
    pids = {unit: await on.show(unit, "MainPID") for unit in (HQ, BRANCH)}
    users = {unit: await on.must("stat", "-c", "%u", f"/proc/{pid}") for unit, pid in pids.items()}
    assert len({*users.values(), "0"}) == 3
    as_branch = (*_inside(pids[BRANCH], users[BRANCH]), f"{PROGRAM}/bin/python", "-c")
    read = "import sys; print(open(sys.argv[1]).read())"
    own = await on.must(*as_branch, read, f"/run/credentials/{BRANCH}/secret_branch")
    assert own == "secret"
    for place in (f"/run/credentials/{HQ}/secret_hq", f"{CONFIG}/hq.secrets/hq"):
        code, said = await on.run(*as_branch, read, place)
        assert (code, "PermissionError" in said or "FileNotFoundError" in said) == (1, True), said
    for place in ("/var/lib/private/innovaphone-mqtt/hq/", "/var/lib/innovaphone-mqtt/hq/"):
        code, said = await on.run(*as_branch, "import os, sys; print(os.listdir(sys.argv[1]))", place)
        assert (code != 0, "sqlite" in said) == (True, False), f"{place}: {said}"
        assert "hq.sqlite" in await on.must("ls", place)


async def reload_keeps_the_process(on: Machine) -> None:
    """The file is read again; where systemd can wait for that, it has waited."""
    if await on.version() >= NOTIFY_RELOAD:
        folder = on.root / DROP_INS
        folder.mkdir(exist_ok=True)
        (folder / "reload.conf").write_text((UNITS / "systemd-253.conf").read_text())
        await on.must("systemctl", "daemon-reload")
    pid = await on.show(HQ, "MainPID")
    await on.must("systemctl", "reload", HQ)
    if await on.version() >= NOTIFY_RELOAD:
        assert "configuration reloaded" in await on.journal(HQ)
    await _said(on, HQ, "configuration reloaded")
    assert (await on.show(HQ, "MainPID"), await on.show(HQ, "NRestarts")) == (pid, "0")


async def a_killed_one_comes_back(on: Machine) -> None:
    """After `kill -9`."""
    await on.must("systemctl", "kill", "-s", "KILL", HQ)
    await on.becomes(HQ, "NRestarts", "1")
    await on.becomes(HQ, "StatusText", WORKS)


async def a_crash_loop_never_ends_in_silence(on: Machine) -> None:
    """However often it is killed; a newer systemd waits longer each time."""
    (on.root / DROP_INS).mkdir(exist_ok=True)
    quick = "[Service]\nRestartSec=100ms\n"
    if await on.version() >= RESTART_STEPS:
        quick = (UNITS / "systemd-254.conf").read_text() + "RestartSec=100ms\nRestartMaxDelaySec=200ms\n"
    (on.root / DROP_INS / "restart.conf").write_text(quick)
    await on.must("systemctl", "daemon-reload")
    await on.must("systemctl", "restart", HQ)
    for number in range(1, KILLS + 1):
        await on.becomes(HQ, "MainPID", r"[1-9]\d*")
        await on.must("systemctl", "kill", "-s", "KILL", HQ)
        await on.becomes(HQ, "NRestarts", str(number))
    (on.root / DROP_INS / "restart.conf").unlink()
    await on.must("systemctl", "daemon-reload")
    await on.becomes(HQ, "StatusText", WORKS)


async def nothing_else_is_run(on: Machine) -> None:
    """Neither a shell nor what is written where the service may write; nor is what may be run written to."""
    pid = await on.show(HQ, "MainPID")
    user = await on.must("stat", "-c", "%u", f"/proc/{pid}")
    python = f"{PROGRAM}/bin/python"
    plant = f"import os, sys; print('#!{python}', file=open(sys.argv[1], 'w')); os.chmod(sys.argv[1], 0o755)"
    for folder in (f"/var/lib/private/{await on.show(HQ, 'StateDirectory')}", *WRITABLE):
        await on.must(*_inside(pid, user), python, "-c", plant, f"{folder}/planted")
        await _denied(on, *_inside(pid, user), f"{folder}/planted")
        await on.must(
            "nsenter", "-t", pid, "-m", python, "-c", f"__import__('os').unlink('{folder}/planted')"
        )
    for program in ("/bin/sh", "/usr/bin/env"):
        await _denied(on, *_inside(pid, user), program)
    await on.must(*_inside(pid, user), f"{PROGRAM}/bin/innovaphone-mqtt", "version")
    for folder in (PROGRAM, "/usr/lib"):
        code, said = await on.run(*_inside(pid, user), python, "-c", plant, f"{folder}/planted")
        refused = "PermissionError" in said or "Read-only file system" in said
        assert (code, refused) == (1, True), f"{folder}: {said}"


async def nobody_else_binds(on: Machine) -> None:
    """Where the kernel lets systemd say so; the pages are served."""
    assert "pages served" in await on.journal(HQ), await on.journal(HQ)
    rules = [await on.show(HQ, f"SocketBind{rule}") for rule in ("Allow", "Deny")]
    assert ("9600-9699" in rules[0], rules[1]) == (True, "any"), rules


async def encrypted_credentials_work(on: Machine) -> None:
    """The commands of the README, in a drop-in of one instance."""
    folder = f"{CONFIG}/hq.secrets"
    for name in ("hq", "mqtt"):
        encrypt = ("systemd-creds", "encrypt", f"--name=secret_{name}", f"{folder}/{name}")
        await on.must(*encrypt, f"{folder}/{name}.new")
        await on.must("mv", f"{folder}/{name}.new", f"{folder}/{name}")
    (on.root / DROP_INS).mkdir(exist_ok=True)
    text = (UNITS / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("LoadCredential")]
    assert len(lines) == 2
    (on.root / DROP_INS / "encrypted.conf").write_text("\n".join(["[Service]", *lines, ""]))
    await on.must("systemctl", "daemon-reload")
    await on.must("systemctl", "restart", HQ)
    await on.becomes(HQ, "StatusText", WORKS)
    (on.root / DROP_INS / "encrypted.conf").unlink()
    on.configure("hq.yaml", on.settings("hq"), secrets={"hq": "secret", "mqtt": "x"}, folder="hq.secrets")
    await on.must("systemctl", "daemon-reload")
    await on.must("systemctl", "restart", HQ)


async def a_hung_one_is_replaced(on: Machine) -> None:
    """The watchdog is not fed any more; the other instance does not notice."""
    (on.root / DROP_INS).mkdir(exist_ok=True)
    (on.root / DROP_INS / "hung.conf").write_text(HUNG)
    other = await on.show(BRANCH, "MainPID")
    await on.must("systemctl", "daemon-reload")
    await on.must("systemctl", "restart", HQ)
    await on.becomes(HQ, "StatusText", WORKS)
    pid = await on.show(HQ, "MainPID")
    await on.must("kill", "-STOP", pid)
    await on.becomes(HQ, "NRestarts", "1")
    await on.becomes(HQ, "StatusText", WORKS)
    assert "Watchdog timeout" in await on.journal(HQ)
    assert (await on.show(BRANCH, "MainPID"), pid != await on.show(HQ, "MainPID")) == (other, True)


async def stop_is_quick_and_said(on: Machine) -> None:
    """In less than five seconds, without a failure, and the bus knows."""
    async with Observer(on.broker_port) as bus:
        await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "hq is online")
        start = time.monotonic()
        await on.must("systemctl", "stop", HQ)
        seconds = time.monotonic() - start
        assert seconds < STOP_S, seconds
        assert (await on.show(HQ, "Result"), await on.show(HQ, "ActiveState")) == ("success", "inactive")
        await eventually(lambda: bus.now("innovaphone/hq/state") == "offline", "hq is offline")
        assert bus.now("innovaphone/branch/state") == "online"


async def a_wrong_configuration_does_not_loop(on: Machine) -> None:
    """Exit code 78, once, with the line of the file; nor do credentials that are not there."""
    wrong = {**on.settings("wrong"), "mqqt": {}}
    on.configure("wrong.yaml", wrong, secrets={"wrong": "secret"}, folder="wrong.secrets")
    on.configure("bare.yaml", on.settings("bare"), secrets={}, folder="none")
    for name, code in (("wrong", "78"), ("bare", "243")):
        unit = f"innovaphone-mqtt@{name}.service"
        assert (await on.run("systemctl", "start", unit))[0] == 1
        assert await on.show(unit, "ActiveState") == "failed"
        assert (await on.show(unit, "ExecMainStatus"), await on.show(unit, "NRestarts")) == (code, "0")
    assert re.search(r"wrong.yaml:1: unknown key 'mqqt'", await on.journal("innovaphone-mqtt@wrong"))


async def the_target_holds_the_instances(on: Machine) -> None:
    """Enabled ones start and stop with it."""
    await on.must("systemctl", "stop", BRANCH)
    await on.must("systemctl", "enable", "-q", HQ, BRANCH)
    await on.must("systemctl", "start", "innovaphone-mqtt.target")
    for unit in (HQ, BRANCH):
        await on.becomes(unit, "StatusText", WORKS)
    await on.must("systemctl", "stop", "innovaphone-mqtt.target")
    for unit in (HQ, BRANCH):
        await on.becomes(unit, "ActiveState", "inactive")


async def one_process_for_all(on: Machine) -> None:
    """The plain unit, with its own configuration."""
    secrets = {"hq": "secret", "branch": "secret"}
    on.configure("config.yaml", on.settings("hq", "branch"), secrets=secrets, folder="secrets")
    await on.must("systemctl", "start", ALL)
    await on.becomes(ALL, "StatusText", r"pbx=2/2 mqtt=2/2 calls=\d queue=\d")
    await on.must("systemctl", "stop", ALL)
    assert await on.show(ALL, "Result") == "success"


async def a_check_has_the_credentials(on: Machine) -> None:
    """The command of the README, before a restart."""
    said = await on.must(
        *("systemd-run", "--pipe", "--wait", "-q", "-p", f"LoadCredential=secret:{CONFIG}/hq.secrets"),
        *(f"{PROGRAM}/bin/innovaphone-mqtt", "check", "--connect", "-c", f"{CONFIG}/hq.yaml"),
    )
    assert "FAIL" not in said, said


async def nothing_is_left_behind(on: Machine) -> None:
    """The commands of the README."""
    text = (UNITS / "README.md").read_text(encoding="utf-8").partition("## Uninstall\n")[2]
    for line in text.splitlines():
        if line.startswith("    "):
            await on.must("sh", "-ec", line)
    _, units = await on.run("systemctl", "list-unit-files", "--no-legend", "innovaphone-mqtt*")
    assert units == "", units
    left = await on.must("find", "/etc", "/opt", "/var/lib", "-name", "*innovaphone*")
    assert left == "", left


async def _denied(on: Machine, *command: str) -> None:
    code, said = await on.run(*command)
    assert (code, "Permission denied" in said) == (126, True), f"{command[-1]}: {said}"


def _inside(pid: str, user: str) -> tuple[str, ...]:
    """A command in the mounts of a service, as its user."""
    return ("nsenter", "-t", pid, "-m", "-S", user, "-G", user)


async def _said(on: Machine, unit: str, words: str) -> None:
    for _ in range(100):
        if words in await on.journal(unit):
            return
    raise AssertionError(f"{unit} never said '{words}'")


CHECKS: tuple[Callable[[Machine], Awaitable[None]], ...] = (
    units_are_clean,
    two_instances_start,
    instances_are_apart,
    reload_keeps_the_process,
    a_killed_one_comes_back,
    a_crash_loop_never_ends_in_silence,
    nothing_else_is_run,
    nobody_else_binds,
    encrypted_credentials_work,
    a_hung_one_is_replaced,
    stop_is_quick_and_said,
    a_wrong_configuration_does_not_loop,
    the_target_holds_the_instances,
    one_process_for_all,
    a_check_has_the_credentials,
    nothing_is_left_behind,
)
