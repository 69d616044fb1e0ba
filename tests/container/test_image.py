"""The image: what its recipe says, and, where podman is, what it does when it is built and run."""

import asyncio
import json
import os
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bridge import __version__
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import configuration, pbx_section

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "container" / "Containerfile"
BASE, IMAGE = "localhost/innovaphone-mqtt-base", "localhost/innovaphone-mqtt-test"
SBOM = "/opt/innovaphone-mqtt/sbom.cdx.json"
LOOK = "from importlib.util import find_spec; print(find_spec('pip'), find_spec('setuptools'))"
CERTIFICATES = Path("/etc/ssl/certs")
RUN = (
    *("podman", "--runtime=runc", "run", "--rm", "--pull=never", "--cgroup-manager=cgroupfs"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network=host"),
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
)


def test_the_recipe() -> None:
    """Two stages, hashed requirements, a numeric user, no shell, SIGTERM."""
    text = RECIPE.read_text()
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.search(r"^USER \d+:\d+$", text, re.MULTILINE)
    assert "--require-hashes" in text
    (base,) = re.findall(r"((?:^#.*\n)*)^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert re.search(r"@sha256:[0-9a-f]{64}$", base[1]) or "# Not pinned: " in base[0]
    assert "STOPSIGNAL SIGTERM" in text
    for line in text.splitlines():
        if line.startswith(("RUN ", "CMD ", "ENTRYPOINT ")):
            assert line.split(" ", 1)[1].startswith("["), f"a shell is needed for: {line}"


def cannot() -> str:
    """Why no image can be built here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    lacking = [name for name in ("podman", "runc", "mmdebstrap") if shutil.which(name) is None]
    return f"install {', '.join(lacking)}" if lacking else ""


async def command(*words: str) -> str:
    """Run a command that must not fail; what it says."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, stdout=pipe, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2000:]
    return output.decode()


async def built() -> None:
    """The image, on a small Debian that is made once."""
    archive = ROOT / "build" / "image" / "base.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        parts = "--include=python3,python3-venv,ca-certificates"
        await command("mmdebstrap", "--variant=minbase", parts, "bookworm", str(archive))
    await command("podman", "import", "-q", str(archive), BASE)
    certificates = f"{CERTIFICATES}:{CERTIFICATES}:ro"
    recipe = ("-f", str(RECIPE.relative_to(ROOT)), "--build-arg", f"BASE={BASE}", "-t", IMAGE)
    trust = ("--volume", certificates, "--env", f"PIP_CERT={CERTIFICATES}/ca-certificates.crt")
    await command("podman", "build", "--isolation=chroot", "--network=host", *trust, *recipe, ".")


def bill_of(parts: str) -> dict[str, str]:
    """Name and version of each component of a CycloneDX bill of materials."""
    bill = json.loads(parts)
    assert bill["bomFormat"] == "CycloneDX"
    return {each["name"]: each["version"] for each in bill["components"]}


async def test_it_runs_without_rights(broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path) -> None:
    """Read-only, no capability, nobody's user: it serves, and ends on SIGTERM with `offline` said."""
    if reason := cannot():
        give_up = pytest.fail if os.environ.get("CI") == "true" and "install" in reason else pytest.skip
        give_up(f"no image is built: {reason}")
    await built()
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(configuration(broker.port, pbx_section(pbx))))
    file.chmod(0o644)
    name, mount = f"innovaphone-mqtt-{os.getpid()}", f"{file}:/etc/innovaphone-mqtt/config.yaml:ro"
    process = await asyncio.create_subprocess_exec(*RUN, "--name", name, "-v", mount, IMAGE)
    try:
        state = "innovaphone/hq/state"
        await eventually(lambda: bus.now(state) == "online", "the container serves", within=60)
        identity = await command("podman", "--runtime=runc", "exec", name, "cat", "/proc/1/status")
        parts = await command("podman", "--runtime=runc", "exec", name, "cat", SBOM)
        python = ("python3", f"{Path(SBOM).parent}/bin/python")
        modules = [
            await command("podman", "--runtime=runc", "exec", name, each, "-c", LOOK) for each in python
        ]
        await command("podman", "--runtime=runc", "stop", "--time", "10", name)
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await eventually(lambda: bus.now(state) == "offline", "offline is said")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert [each.strip() for each in modules] == ["None None", "None None"]
    assert "pip" not in bill_of(parts)
    assert bill_of(parts).items() >= {"innovaphone-mqtt": __version__, "zeep": version("zeep")}.items()
    assert re.search(r"^Uid:\s+65532\s", identity, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", identity, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", identity, re.MULTILINE)
