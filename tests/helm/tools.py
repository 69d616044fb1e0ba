"""Helm 3, Helm 4 and Kubernetes' schemas, from a virtual environment of their own: they are some 400 MB."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "innovaphone-mqtt"
HERE = Path(__file__).parent
LOCK = ROOT / "locks" / "helm.lock"
ENVIRONMENT = ROOT / ".venv-helm"
LONGEST_INSTALL_S = 300
Object = dict[str, Any]


class RefusedError(Exception):
    """Helm does not render this; the text is what it says."""


@dataclass(frozen=True, slots=True)
class Helm:
    """Both versions of Helm."""

    folder: Path

    @property
    def program(self) -> str:
        """Helm 3."""
        return str(self.folder / "bin" / "helm")

    def three(self, values: Object, *options: str, chart: Path = CHART) -> list[Object]:
        """The objects that Helm 3 renders. Raises RefusedError."""
        return objects(self.text(values, *options, chart=chart))

    def text(self, values: Object, *options: str, chart: Path = CHART) -> str:
        """What Helm 3 renders, as text. Raises RefusedError."""
        command = (self.program, "template", "rel", str(chart), "-n", "phones", "-f", "-", *options)
        done = subprocess.run(
            command, input=json.dumps(values), capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RefusedError(done.stderr)
        return done.stdout

    def four(self, values: Object, chart: Path = CHART) -> list[Object]:
        """The objects that Helm 4 renders. Raises RefusedError."""
        files = self.files(values, chart)
        return objects("\n---\n".join(text for name, text in sorted(files.items()) if name.endswith(".yaml")))

    def files(self, values: Object, chart: Path = CHART) -> dict[str, str]:
        """What Helm 4 renders of each file, NOTES.txt among them. Raises RefusedError."""
        answer = self.inside("inside_helm4.py", "render", str(chart), given=values)
        if "error" in answer:
            raise RefusedError(answer["error"])
        files: dict[str, str] = answer["files"]
        return files

    def inside(self, script: str, *arguments: str, given: object) -> Any:
        """Run one of our scripts among these tools: JSON in, JSON out."""
        command = (str(self.folder / "bin" / "python"), str(HERE / script), *arguments)
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)


def objects(text: str) -> list[Object]:
    """The objects of a YAML stream."""
    return [one for one in yaml.safe_load_all(text) if one]


def kinds(rendered: list[Object]) -> dict[str, int]:
    """How many there are of each kind."""
    names = [one["kind"] for one in rendered]
    return {name: names.count(name) for name in sorted(set(names))}


def only(rendered: list[Object], kind: str, name: str = "") -> Object:
    """The one object of a kind, or the one of this name."""
    found = [one for one in rendered if one["kind"] == kind and name in {"", one["metadata"]["name"]}]
    assert len(found) == 1, [one["metadata"]["name"] for one in found]
    return found[0]


def tools() -> Helm:
    """The tools, installed if need be. Skips where they cannot be had; fails in CI unless they never can.

    Several workers may want them at once: one installs them, the others wait.
    """
    place = ROOT / "build" / "helm.lock"
    place.parent.mkdir(exist_ok=True)
    with place.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _have_tools()
    return Helm(ENVIRONMENT)


def _have_tools() -> None:
    stamp = ENVIRONMENT / "installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        problem = _install()
        if problem:
            no_wheel = sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}
            if os.environ.get("CI") == "true" and not no_wheel:
                pytest.fail(f"Helm cannot be installed: {problem}")
            pytest.skip(f"Helm cannot be installed: {problem}")
        stamp.write_text(wanted)


def _install() -> str:
    """What went wrong; nothing if all is well."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT, with_pip=True)
    pip = (
        str(ENVIRONMENT / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
    )
    try:
        done = subprocess.run(
            (*pip, "--only-binary=:all:", "--require-hashes", "-r", str(LOCK)),
            capture_output=True,
            text=True,
            timeout=LONGEST_INSTALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done within {LONGEST_INSTALL_S} s"
    return done.stderr.strip()[-500:] if done.returncode else ""
