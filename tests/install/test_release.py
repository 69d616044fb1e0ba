"""What `make dist` publishes: wheel and source package are built, installed and run. Publishes nothing."""

import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from bridge import __version__
from tests.install.lock import ROOT

STEM = f"innovaphone_mqtt-{__version__}"
WHEEL, SDIST = f"{STEM}-py3-none-any.whl", f"{STEM}.tar.gz"
DATA = {"bridge/py.typed", "bridge/pbx/pbx.wsdl", "bridge/sim/office.yaml"}
SOURCES = {"LICENSE", "Makefile", "README.md", "config/full.yaml", "docs/limits.md", "locks/tests.lock"}
WHERE = "import bridge, importlib.metadata as m; print(bridge.__file__, m.version('innovaphone-mqtt'))"


def run(*command: str | Path, folder: Path) -> str:
    """Run a command that must not fail; what it prints."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-1500:]
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both packages, built by the backend that pyproject.toml names."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, folder=ROOT)
    assert sorted(each.name for each in folder.iterdir()) == [WHEEL, SDIST]
    return folder


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    """Each file of `bridge`, data included, and the metadata with the licence."""
    info = f"{STEM}.dist-info"
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"{info}/METADATA").decode()
        licence = wheel.read(f"{info}/licenses/LICENSE")

    files = (each for each in (ROOT / "bridge").rglob("*") if each.is_file() and each.suffix != ".pyc")
    package = {str(each.relative_to(ROOT)) for each in files}
    assert package >= DATA
    assert {each for each in names if not each.startswith(info)} == package
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert licence == (ROOT / "LICENSE").read_bytes()


def test_the_source_package_holds_what_its_tests_need(dist: Path) -> None:
    """Docs, locks and examples too, but nothing of an environment or of an earlier build."""
    with tarfile.open(dist / SDIST) as sdist:
        names = {each.removeprefix(f"{STEM}/") for each in sdist.getnames()}

    assert names >= DATA | SOURCES | {str(Path(__file__).relative_to(ROOT))}
    assert not {each.split("/")[0] for each in names} & {".ci", ".git", ".venv", "build", "dist"}


@pytest.mark.parametrize("package", [WHEEL, SDIST])
def test_a_package_can_be_installed_and_run(dist: Path, tmp_path: Path, package: str) -> None:
    """In an environment of its own, which sees the dependencies of this one but not this project."""
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", folder=tmp_path)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed")
    run(*pip, *offline, dist / package, folder=tmp_path)

    assert run(python, "-c", WHERE, folder=tmp_path) == f"{site / 'bridge/__init__.py'} {__version__}\n"
    command = python.with_name("innovaphone-mqtt")
    assert run(command, "--version", folder=tmp_path) == f"innovaphone-mqtt {__version__}\n"
    assert "2 PBXs" in run(command, "check", "-c", ROOT / "config" / "full.yaml", folder=tmp_path)


def test_every_place_names_the_same_version() -> None:
    """As RELEASE.md sets it: program, chart and changelog."""
    chart = yaml.safe_load((ROOT / "deploy/helm/innovaphone-mqtt/Chart.yaml").read_text())
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert re.search(rf"^## {re.escape(__version__)}\b", changelog, re.MULTILINE)
